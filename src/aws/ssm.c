/* SSM GetParameters: the public names of AMIs. See aws.h. */
#include "aws/call.h"
#include "base/json.h"
#include "base/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PARAMETERS_MAX 10 /* names in one call; SSM's own limit */

struct parameters {
    struct strv names, values; /* values: NULL where there is no such parameter */
    bool asked;
};

static bool request(void *state, struct buf *body)
{
    struct parameters *p = state;
    if (p->asked || p->names.count == 0)
        return false;
    p->asked = true;
    json_auto_t *names = json_array();
    for (size_t i = 0; i < p->names.count; i++)
        json_array_append_new(names, json_string(p->names.items[i]));
    json_auto_t *root = json_pack("{s:O}", "Names", names);
    json_write(root, false, body);
    return true;
}

static int answer(void *state, struct str text, struct err *err)
{
    struct parameters *p = state;
    json_auto_t *root = NULL;
    if (json_parse(text, BUF_MAX_DEFAULT, &root, err) == -1)
        return -1;
    const json_t *list = json_object_get(root, "Parameters");
    if (!json_is_array(list))
        return err_set(err, ERR_PARSE, "the answer has no Parameters");
    size_t index;
    const json_t *one;
    json_array_foreach(list, index, one)
    {
        const char *name = json_text(one, "Name"), *value = json_text(one, "Value");
        for (size_t i = 0; name && value && i < p->names.count; i++)
            if (strcmp(p->names.items[i], name) == 0 && !p->values.items[i])
                p->values.items[i] = mem_dup(value);
    }
    return 0;
}

static void parameters_free(void *state)
{
    struct parameters *p = state;
    strv_done(&p->names);
    strv_done(&p->values);
    free(p);
}

static const struct aws_call_ops get_parameters = {.service = &aws_ssm,
                                                   .action = "GetParameters",
                                                   .request = request,
                                                   .answer = answer,
                                                   .free = parameters_free};

struct aws_call *ssm_get_parameters(struct aws *aws, const char *const *names, size_t count)
{
    assert(count <= PARAMETERS_MAX);
    struct parameters *p = mem_alloc(sizeof *p);
    for (size_t i = 0; i < count; i++) {
        strv_add(&p->names, names[i]);
        strv_take(&p->values, NULL);
    }
    return aws_call_start(aws, &get_parameters, p);
}

int ssm_get_parameters_end(struct aws_call *c, struct strv *values, struct err *err)
{
    struct parameters *p = aws_call_wait(c, &get_parameters, err);
    if (!p)
        return -1;
    *values = p->values;
    p->values = (struct strv){0};
    aws_call_free(c);
    return 0;
}
