/* Any bytes as an answer of EC2, STS or CloudWatch: the XML reader, every parser of an EC2 answer,
 * the errors. */
#include "aws/ec2_priv.h"
#include "aws/errors.h"
#include "fuzz.h"
#include <string.h>

static void instances_done(union ec2_result *r)
{
    ec2_instances_done(&r->instances);
}

static void images_done(union ec2_result *r)
{
    ec2_images_done(&r->images);
}

static void types_done(union ec2_result *r)
{
    ec2_instance_types_done(&r->types);
}

static void subnets_done(union ec2_result *r)
{
    ec2_subnets_done(&r->subnets);
}

static void groups_done(union ec2_result *r)
{
    ec2_security_groups_done(&r->groups);
}

static void keys_done(union ec2_result *r)
{
    ec2_key_pairs_done(&r->keys);
}

static void volumes_done(union ec2_result *r)
{
    ec2_volumes_done(&r->volumes);
}

static void names_done(union ec2_result *r)
{
    strv_done(&r->names);
}

static void text_done(union ec2_result *r)
{
    buf_done(&r->text);
}

static const struct {
    ec2_parse_fn *parse;
    void (*done)(union ec2_result *r);
} parsers[] = {
    {ec2_parse_reservations, instances_done}, {ec2_parse_launched, instances_done},
    {ec2_parse_images, images_done},          {ec2_parse_instance_types, types_done},
    {ec2_parse_subnets, subnets_done},        {ec2_parse_security_groups, groups_done},
    {ec2_parse_key_pairs, keys_done},         {ec2_parse_volumes, volumes_done},
    {ec2_parse_regions, names_done},          {ec2_parse_console, text_done},
};

static void read_answer(const struct xml_node *root)
{
    for (size_t i = 0; i < COUNT_OF(parsers); i++) {
        union ec2_result result = {0};
        struct err err = {0};
        if (parsers[i].parse(root, &result, &err) != 0)
            FUZZ_CHECK(err.code != ERR_NONE);
        parsers[i].done(&result);
    }
}

static size_t walk(const struct xml_node *n, int depth)
{
    FUZZ_CHECK(depth <= XML_DEPTH_MAX);
    FUZZ_CHECK(n->name && n->text);
    size_t seen = 1;
    for (const struct xml_node *c = n->first; c; c = c->next)
        seen += walk(c, depth + 1);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct xml *x = NULL;
    struct err err = {0};
    if (xml_parse(text, &x, &err) == 0) {
        FUZZ_CHECK(walk(xml_root(x), 1) <= XML_NODES_MAX);
        read_answer(xml_root(x));
        xml_free(x);
    } else {
        FUZZ_CHECK(err.code == ERR_PARSE || err.code == ERR_LIMIT);
    }
    struct err answer = {0};
    FUZZ_CHECK(aws_error_set(&answer, 400, text, STR("")) == -1 && answer.code != ERR_NONE);
    free(aws_error_denial(text));
    return 0;
}
