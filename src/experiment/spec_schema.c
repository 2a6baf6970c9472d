/* The JSON Schema of an experiment's file: the tables of its parts, one within the other. */
#include "experiment/spec.h"

/* A part of a schema is no schema of its own. */
static json_t *part(const struct schema *s, const char *description)
{
    json_t *value = schema_to_json(s);
    json_object_del(value, "$schema");
    json_object_set_new(value, "description", json_string(description));
    return value;
}

static json_t *stage(const struct schema *s, const char *description)
{
    json_t *value = part(s, description);
    json_t *objective = part(&objective_schema, "What the trials are compared by");
    json_object_set_new(json_object_get(value, "properties"), "objective", objective);
    return value;
}

json_t *experiment_schema_json(void)
{
    json_t *value = schema_to_json(&experiment_schema);
    json_t *properties = json_object_get(value, "properties");
    json_object_set_new(properties, "devices", part(&devices_schema, "What each trial gets"));
    json_t *stages = json_pack("{s:s, s:s, s:i, s:{s:[o, o]}}", "description",
                               "The stages, in the order in which they run", "type", "object",
                               "minProperties", 1, "additionalProperties", "anyOf",
                               stage(&script_schema, "A stage tagged !Script"),
                               stage(&command_schema, "A stage tagged !Command"));
    json_object_set_new(properties, "pipeline", stages);
    return value;
}
