/* Systems Manager's parameter store: the public names of images, read-only.
 * https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html */
#include "base/json.h"
#include "base/mem.h"
#include "sandbox/world_priv.h"
#include <string.h>

#define NAMES_MAX 10

static usec_t modified(const char *image_id)
{
    usec_t when = 0;
    for (size_t i = 0; i < catalog_image_count; i++) {
        if (strcmp(catalog_images[i].id, image_id) == 0)
            (void)clock_parse_iso(str_of(catalog_images[i].created), &when);
    }
    return when;
}

/* NULL where there is none of that name. */
static json_t *parameter(const struct world *w, const char *name)
{
    const char *value = catalog_parameter(name);
    if (!value)
        return NULL;
    AUTO_FREE char *arn = mem_printf("arn:aws:ssm:%s::parameter%s", w->region, name);
    json_t *j = json_object();
    json_object_set_new(j, "ARN", json_string(arn));
    json_object_set_new(j, "DataType", json_string("aws:ec2:image"));
    json_object_set_new(j, "LastModifiedDate",
                        json_real((double)modified(value) / (double)USEC_PER_SEC));
    json_object_set_new(j, "Name", json_string(name));
    json_object_set_new(j, "Type", json_string("String"));
    json_object_set_new(j, "Value", json_string(value));
    json_object_set_new(j, "Version", json_integer(1));
    return j;
}

static void get_parameter(struct world *w, const struct api_request *q, struct api_reply *r)
{
    const char *name = json_text(q->json, "Name");
    if (!name) {
        api_fail(r, 400, "ValidationException",
                 "1 validation error detected: Value null at 'name' failed to satisfy constraint: "
                 "Member must not be null");
        return;
    }
    json_t *found = parameter(w, name);
    if (!found) {
        api_fail(r, 400, "ParameterNotFound", "Parameter %.200s not found.", name);
        return;
    }
    json_auto_t *j = json_object();
    json_object_set_new(j, "Parameter", found);
    json_write(j, false, &r->body);
}

static void get_parameters(struct world *w, const struct api_request *q, struct api_reply *r)
{
    const json_t *names = json_object_get(q->json, "Names");
    size_t count = json_array_size(names);
    if (count < 1 || count > NAMES_MAX) {
        api_fail(
            r, 400, "ValidationException",
            "1 validation error detected: Value at 'names' failed to satisfy constraint: Member "
            "must have length between 1 and %d",
            NAMES_MAX);
        return;
    }
    json_auto_t *j = json_object();
    json_t *found = json_array(), *invalid = json_array();
    json_object_set_new(j, "InvalidParameters", invalid);
    json_object_set_new(j, "Parameters", found);
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (!name) {
            api_fail(r, 400, "SerializationException", "a name is no string");
            return;
        }
        json_t *one = parameter(w, name);
        if (one)
            json_array_append_new(found, one);
        else
            json_array_append_new(invalid, json_string(name));
    }
    json_write(j, false, &r->body);
}

const struct api_action ssm_actions[] = {
    {"GetParameter", get_parameter, false},
    {"GetParameters", get_parameters, false},
    {NULL, NULL, false},
};
