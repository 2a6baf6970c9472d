/* The same rows as JSON Schema (draft 2020-12) and as a man page's list of keys. */
#include "base/mem.h"
#include "config/schema.h"
#include <string.h>

static const char *json_type_name(enum schema_type t)
{
    static const char *const names[] = {
        [SCHEMA_STRING] = "string", [SCHEMA_INT] = "integer",       [SCHEMA_BOOL] = "boolean",
        [SCHEMA_NUMBER] = "number", [SCHEMA_STRING_LIST] = "array", [SCHEMA_STRING_MAP] = "object",
        [SCHEMA_NODE] = NULL, /* of any type */
    };
    return names[t];
}

static json_t *json_value(const struct schema_key *k, const char *text)
{
    struct yaml_node n = {.text = (char *)(uintptr_t)text, .text_len = strlen(text)};
    yaml_resolve_plain(&n);
    switch (k->type) {
    case SCHEMA_INT:
        return json_integer(n.integer);
    case SCHEMA_BOOL:
        return json_boolean(n.boolean);
    case SCHEMA_NUMBER:
        return json_real(n.real);
    default:
        return json_string(text);
    }
}

static void add_bounds(const struct schema_key *k, json_t *property)
{
    if (!(k->min < k->max))
        return;
    bool text = k->type == SCHEMA_STRING, whole = text || k->type == SCHEMA_INT;
    json_object_set_new(property, text ? "minLength" : "minimum",
                        whole ? json_integer((json_int_t)k->min) : json_real(k->min));
    json_object_set_new(property, text ? "maxLength" : "maximum",
                        whole ? json_integer((json_int_t)k->max) : json_real(k->max));
}

static json_t *json_property(const struct schema_key *k)
{
    json_t *p = json_object();
    bool nullable = !k->required && !k->fallback;
    if (k->type != SCHEMA_NODE)
        json_object_set_new(p, "type",
                            nullable ? json_pack("[s, s]", json_type_name(k->type), "null")
                                     : json_string(json_type_name(k->type)));
    AUTO_FREE char *help = k->unit ? mem_printf("%s (%s)", k->help, k->unit) : mem_dup(k->help);
    json_object_set_new(p, "description", json_string(help));
    if (k->fallback)
        json_object_set_new(p, "default", json_value(k, k->fallback));
    if (k->example && k->type != SCHEMA_STRING_LIST && k->type != SCHEMA_STRING_MAP)
        json_object_set_new(p, "examples", json_pack("[o]", json_value(k, k->example)));
    if (k->choices) {
        json_t *list = json_array();
        for (size_t i = 0; k->choices[i]; i++)
            json_array_append_new(list, json_string(k->choices[i]));
        json_object_set_new(p, "enum", list);
    }
    add_bounds(k, p);
    if (k->type == SCHEMA_STRING && !k->choices && !k->pattern && !(k->min < k->max))
        json_object_set_new(p, "minLength", json_integer(1));
    if (k->pattern)
        json_object_set_new(p, "pattern", json_string(k->pattern));
    if (k->type == SCHEMA_STRING_LIST)
        json_object_set_new(p, "items", json_pack("{s:s}", "type", "string"));
    if (k->type == SCHEMA_STRING_MAP)
        json_object_set_new(p, "additionalProperties", json_pack("{s:s}", "type", "string"));
    return p;
}

json_t *schema_to_json(const struct schema *s)
{
    json_t *properties = json_object(), *required = json_array();
    for (size_t i = 0; i < s->count; i++) {
        json_object_set_new(properties, s->keys[i].name, json_property(&s->keys[i]));
        if (s->keys[i].required)
            json_array_append_new(required, json_string(s->keys[i].name));
    }
    AUTO_FREE char *description = mem_printf("The keys of a file tagged %s.", s->tag);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:b}", "$schema",
                     "https://json-schema.org/draft/2020-12/schema", "title", s->title,
                     "description", description, "type", "object", "properties", properties,
                     "required", required, "additionalProperties", 0);
}

/* scdoc takes '_' and '*' as emphasis, and more at a line's beginning. */
static void add_escaped(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("_*\\[]|#<>.`~", *text))
            buf_addc(out, '\\');
        buf_addc(out, *text);
    }
}

static void scdoc_facts(const struct schema_key *k, struct buf *out)
{
    if (k->choices) {
        buf_adds(out, " One of ");
        for (size_t i = 0; k->choices[i]; i++) {
            buf_adds(out, i ? ", " : "");
            add_escaped(out, k->choices[i]);
        }
        buf_addc(out, '.');
    }
    if (k->pattern_help) {
        buf_adds(out, " Allowed: ");
        add_escaped(out, k->pattern_help);
        buf_addc(out, '.');
    }
    if (k->min < k->max)
        buf_addf(out, " From %.10g to %.10g%s%s.", k->min, k->max,
                 k->unit || k->type == SCHEMA_STRING ? " " : "",
                 k->type == SCHEMA_STRING ? "characters"
                 : k->unit                ? k->unit
                                          : "");
    if (k->fallback) {
        buf_adds(out, " Default: _");
        add_escaped(out, k->fallback);
        buf_adds(out, "_.");
    }
}

void schema_to_scdoc(const struct schema *s, struct buf *out)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct schema_key *k = &s->keys[i];
        buf_adds(out, "*");
        add_escaped(out, k->name);
        buf_addf(out, "* (%s%s)\n\t", k->kind ? k->kind : schema_type_name(k->type),
                 k->required ? ", required" : "");
        add_escaped(out, k->help);
        buf_addc(out, '.');
        scdoc_facts(k, out);
        buf_adds(out, "\n\n");
    }
}
