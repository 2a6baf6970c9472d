/* One call of ours to whatever endpoint the environment names, its result as JSON: for
 * test_aws_moto.py. An error goes to standard error as "NAME ORIGIN MESSAGE", with status 1. */
#include "aws/ec2.h"
#include "aws/s3.h"
#include "base/json.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct loop *loop;
static struct aws *aws;
static struct err err;

static void add_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text ? json_string(text) : json_null());
}

static json_t *texts(const struct strv *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->count; i++)
        json_array_append_new(list, v->items[i] ? json_string(v->items[i]) : json_null());
    return list;
}

static json_t *instances_json(const struct ec2_instances *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < l->count; i++) {
        const struct ec2_instance *n = &l->items[i];
        json_t *o = json_object(), *tags = json_object();
        add_text(o, "id", n->id);
        add_text(o, "type", n->type);
        add_text(o, "image", n->image_id);
        add_text(o, "key", n->key_name);
        add_text(o, "subnet", n->subnet_id);
        add_text(o, "vpc", n->vpc_id);
        add_text(o, "zone", n->zone);
        add_text(o, "token", n->client_token);
        add_text(o, "public_ip", n->public_ip);
        add_text(o, "private_ip", n->private_ip);
        add_text(o, "reason", n->state_reason);
        add_text(o, "state", ec2_state_name(n->state));
        json_object_set_new(o, "launched", json_integer(n->launched));
        for (size_t t = 0; t < n->tag_count; t++)
            add_text(tags, n->tags[t].key, n->tags[t].value);
        json_object_set_new(o, "tags", tags);
        json_object_set_new(o, "groups", texts(&n->security_groups));
        json_array_append_new(list, o);
    }
    return list;
}

static int instances(char **argv, int argc, json_t **out)
{
    struct ec2_instances l = {0};
    struct ec2_filter f = {"tag:Cluster-Name", (const char *const *)argv, (size_t)argc};
    if (ec2_describe_instances_end(ec2_describe_instances(aws, &f, argc ? 1 : 0), &l, &err) == -1)
        return -1;
    *out = instances_json(&l);
    ec2_instances_done(&l);
    return 0;
}

/* IMAGE TYPE KEY SUBNET GROUP COUNT TOKEN, or less */
static int launch(char **argv, int argc, json_t **out)
{
    struct ec2_tag tags[] = {{(char *)"Name", (char *)"a & b <é>"},
                             {(char *)"Cluster-Name", (char *)"mine"}};
    if (argc != 7)
        return err_set(&err, ERR_USAGE, "IMAGE TYPE KEY SUBNET GROUP COUNT TOKEN");
    struct ec2_run r = {.image_id = argv[0],
                        .type = argv[1],
                        .key_name = argv[2],
                        .subnet_id = argv[3],
                        .security_group_ids = (const char *const *)&argv[4],
                        .security_group_count = 1,
                        .min_count = atoi(argv[5]),
                        .max_count = atoi(argv[5]),
                        .client_token = argv[6],
                        .user_data = STR("#!/bin/sh\n"),
                        .tags = tags,
                        .tag_count = 2,
                        .root_device = "/dev/sda1",
                        .volume_gb = 20,
                        .volume_type = "gp3",
                        .public_ip = true};
    struct buf body = {0};
    struct ec2_instances l = {0};
    ec2_run_encode(&r, &body);
    int rc = ec2_run_instances_end(ec2_run_instances(aws, buf_view(&body)), &l, &err);
    buf_done(&body);
    if (rc == -1)
        return -1;
    *out = instances_json(&l);
    ec2_instances_done(&l);
    return 0;
}

static int terminate(char **argv, int argc, json_t **out)
{
    return ec2_terminate_instances_end(
        ec2_terminate_instances(aws, (const char *const *)argv, (size_t)argc), &err);
}

static int start(char **argv, int argc, json_t **out)
{
    return ec2_start_instances_end(
        ec2_start_instances(aws, (const char *const *)argv, (size_t)argc), &err);
}

static int images(char **argv, int argc, json_t **out)
{
    struct ec2_images l = {0};
    if (ec2_describe_images_end(ec2_describe_images(aws, (const char *const *)argv, (size_t)argc),
                                &l, &err) == -1)
        return -1;
    *out = json_array();
    for (size_t i = 0; i < l.count; i++) {
        json_t *o = json_object();
        add_text(o, "id", l.items[i].id);
        add_text(o, "name", l.items[i].name);
        add_text(o, "architecture", l.items[i].architecture);
        add_text(o, "root_device", l.items[i].root_device);
        add_text(o, "state", l.items[i].state);
        json_object_set_new(o, "root_gb", json_integer(l.items[i].root_gb));
        json_array_append_new(*out, o);
    }
    ec2_images_done(&l);
    return 0;
}

static int types(char **argv, int argc, json_t **out)
{
    struct ec2_instance_types l = {0};
    if (ec2_describe_instance_types_end(
            ec2_describe_instance_types(aws, (const char *const *)argv, (size_t)argc), &l, &err) ==
        -1)
        return -1;
    *out = json_array();
    for (size_t i = 0; i < l.count; i++) {
        json_t *o = json_object();
        add_text(o, "name", l.items[i].name);
        add_text(o, "architecture", l.items[i].architecture);
        add_text(o, "gpu", l.items[i].gpu_name);
        json_object_set_new(o, "gpus", json_integer(l.items[i].gpus));
        json_object_set_new(o, "vcpus", json_integer(l.items[i].vcpus));
        json_object_set_new(o, "memory_mib", json_integer(l.items[i].memory_mib));
        json_object_set_new(o, "current", json_boolean(l.items[i].current_generation));
        json_array_append_new(*out, o);
    }
    ec2_instance_types_done(&l);
    return 0;
}

static int subnets(char **argv, int argc, json_t **out)
{
    struct ec2_subnets l = {0};
    struct ec2_filter f = {"vpc-id", (const char *const *)argv, (size_t)argc};
    if (ec2_describe_subnets_end(ec2_describe_subnets(aws, &f, argc ? 1 : 0), &l, &err) == -1)
        return -1;
    *out = json_array();
    for (size_t i = 0; i < l.count; i++) {
        json_t *o = json_object();
        add_text(o, "id", l.items[i].id);
        add_text(o, "vpc", l.items[i].vpc_id);
        add_text(o, "zone", l.items[i].zone);
        add_text(o, "state", l.items[i].state);
        add_text(o, "cidr", l.items[i].cidr);
        json_object_set_new(o, "free", json_integer(l.items[i].free_addresses));
        json_object_set_new(o, "maps_public_ip", json_boolean(l.items[i].maps_public_ip));
        json_array_append_new(*out, o);
    }
    ec2_subnets_done(&l);
    return 0;
}

static int groups(char **argv, int argc, json_t **out)
{
    struct ec2_security_groups l = {0};
    struct ec2_filter f = {"group-name", (const char *const *)argv, (size_t)argc};
    if (ec2_describe_security_groups_end(ec2_describe_security_groups(aws, &f, argc ? 1 : 0), &l,
                                         &err) == -1)
        return -1;
    *out = json_array();
    for (size_t i = 0; i < l.count; i++) {
        json_t *o = json_object(), *rules = json_array();
        add_text(o, "id", l.items[i].id);
        add_text(o, "name", l.items[i].name);
        add_text(o, "vpc", l.items[i].vpc_id);
        for (size_t j = 0; j < l.items[i].ingress_count; j++) {
            const struct ec2_ip_permission *p = &l.items[i].ingress[j];
            json_t *rule = json_pack("{s:s, s:i, s:i}", "protocol", p->protocol, "from",
                                     p->from_port, "to", p->to_port);
            json_object_set_new(rule, "cidrs", texts(&p->cidrs));
            json_object_set_new(rule, "groups", texts(&p->group_ids));
            json_array_append_new(rules, rule);
        }
        json_object_set_new(o, "ingress", rules);
        json_array_append_new(*out, o);
    }
    ec2_security_groups_done(&l);
    return 0;
}

static int keys(char **argv, int argc, json_t **out)
{
    struct ec2_key_pairs l = {0};
    struct ec2_filter f = {"key-name", (const char *const *)argv, (size_t)argc};
    if (ec2_describe_key_pairs_end(ec2_describe_key_pairs(aws, &f, argc ? 1 : 0), &l, &err) == -1)
        return -1;
    *out = json_array();
    for (size_t i = 0; i < l.count; i++) {
        json_t *o = json_object();
        add_text(o, "name", l.items[i].name);
        add_text(o, "fingerprint", l.items[i].fingerprint);
        add_text(o, "type", l.items[i].type);
        add_text(o, "public_key", l.items[i].public_key);
        json_array_append_new(*out, o);
    }
    ec2_key_pairs_done(&l);
    return 0;
}

static int volumes(char **argv, int argc, json_t **out)
{
    struct ec2_volumes l = {0};
    struct ec2_filter f = {"attachment.instance-id", (const char *const *)argv, (size_t)argc};
    if (ec2_describe_volumes_end(ec2_describe_volumes(aws, &f, argc ? 1 : 0), &l, &err) == -1)
        return -1;
    *out = json_array();
    for (size_t i = 0; i < l.count; i++) {
        json_t *o = json_object();
        add_text(o, "id", l.items[i].id);
        add_text(o, "state", l.items[i].state);
        add_text(o, "instance", l.items[i].instance_id);
        json_object_set_new(o, "gb", json_integer(l.items[i].gb));
        json_array_append_new(*out, o);
    }
    ec2_volumes_done(&l);
    return 0;
}

static int regions(char **argv, int argc, json_t **out)
{
    struct strv names = {0};
    if (ec2_describe_regions_end(ec2_describe_regions(aws), &names, &err) == -1)
        return -1;
    *out = texts(&names);
    strv_done(&names);
    return 0;
}

static int console(char **argv, int argc, json_t **out)
{
    struct buf text = {0};
    if (argc != 1)
        return err_set(&err, ERR_USAGE, "ID");
    int rc = ec2_get_console_output_end(ec2_get_console_output(aws, argv[0], false), &text, &err);
    if (rc == 0)
        *out = json_stringn(buf_text(&text), text.len);
    buf_done(&text);
    return rc;
}

static int identity(char **argv, int argc, json_t **out)
{
    struct aws_identity who;
    if (sts_get_caller_identity_end(sts_get_caller_identity(aws), &who, &err) == -1)
        return -1;
    *out = json_pack("{s:s, s:s}", "account", who.account, "arn", who.arn);
    aws_identity_done(&who);
    return 0;
}

static int parameters(char **argv, int argc, json_t **out)
{
    struct strv values = {0};
    if (ssm_get_parameters_end(ssm_get_parameters(aws, (const char *const *)argv, (size_t)argc),
                               &values, &err) == -1)
        return -1;
    *out = texts(&values);
    strv_done(&values);
    return 0;
}

static int put_alarm(char **argv, int argc, json_t **out)
{
    if (argc != 2)
        return err_set(&err, ERR_USAGE, "NAME INSTANCE");
    struct cloudwatch_alarm a = {.name = argv[0],
                                 .instance_id = argv[1],
                                 .period_s = 300,
                                 .evaluation_periods = 12,
                                 .cpu_percent = 0.5,
                                 .description = "idle"};
    return cloudwatch_put_idle_alarm_end(cloudwatch_put_idle_alarm(aws, &a), &err);
}

static int alarms(char **argv, int argc, json_t **out)
{
    struct strv names = {0};
    if (cloudwatch_describe_alarms_end(cloudwatch_describe_alarms(aws, argc ? argv[0] : ""), &names,
                                       &err) == -1)
        return -1;
    *out = texts(&names);
    strv_done(&names);
    return 0;
}

static int delete_alarms(char **argv, int argc, json_t **out)
{
    return cloudwatch_delete_alarms_end(
        cloudwatch_delete_alarms(aws, (const char *const *)argv, (size_t)argc), &err);
}

static int price(char **argv, int argc, json_t **out)
{
    double usd;
    if (pricing_on_demand_end(pricing_on_demand(aws, argc ? argv[0] : ""), &usd, &err) == -1)
        return -1;
    *out = json_real(usd);
    return 0;
}

static int s3_objects(char **argv, int argc, json_t **out)
{
    char *bucket, *key;
    struct s3_bucket *b;
    struct s3_objects l = {0};
    if (argc != 1)
        return err_set(&err, ERR_USAGE, "URL");
    if (s3_parse_url(argv[0], &bucket, &key, &err) == -1)
        return -1;
    int rc = s3_open(aws, bucket, &b, &err);
    if (rc == 0) {
        rc = s3_list(b, key, &l, &err);
        s3_close(b);
    }
    free(bucket);
    free(key);
    if (rc == -1)
        return -1;
    *out = json_array();
    for (size_t i = 0; i < l.count; i++)
        json_array_append_new(*out, json_pack("{s:s, s:I, s:s}", "key", l.items[i].key, "size",
                                              (json_int_t)l.items[i].size, "etag",
                                              l.items[i].etag ? l.items[i].etag : ""));
    s3_objects_done(&l);
    return 0;
}

static int s3_file(char **argv, int argc, json_t **out)
{
    struct s3_fetched f;
    if (argc != 2)
        return err_set(&err, ERR_USAGE, "URL DESTINATION");
    if (s3_fetch(aws, argv[0], argv[1], NULL, NULL, &f, &err) == -1)
        return -1;
    *out = json_pack("{s:b, s:I, s:I}", "tree", f.is_tree, "size", (json_int_t)f.size, "count",
                     (json_int_t)f.count);
    s3_fetched_done(&f);
    return 0;
}

static int download(char **argv, int argc, json_t **out)
{
    struct http *http;
    struct http_options o = {.ca_bundle = argc > 2 ? argv[2] : NULL};
    struct download_result got;
    if (argc != 2 && argc != 3)
        return err_set(&err, ERR_USAGE, "URL PATH [CA-BUNDLE]");
    if (http_new(loop, &o, &http, &err) == -1)
        return -1;
    struct download_order order = {
        .url = argv[0], .path = argv[1], .stall = 5 * USEC_PER_SEC, .delay = 20 * USEC_PER_MSEC};
    int rc = download_run(http, &order, &got, &err);
    if (rc == 0) {
        *out = json_pack("{s:I}", "size", (json_int_t)got.size);
        download_result_done(&got);
    }
    http_free(http);
    return rc;
}

static const struct {
    const char *name;
    int (*run)(char **argv, int argc, json_t **out);
} calls[] = {{"instances", instances},
             {"run", launch},
             {"terminate", terminate},
             {"start", start},
             {"images", images},
             {"types", types},
             {"subnets", subnets},
             {"groups", groups},
             {"keys", keys},
             {"volumes", volumes},
             {"regions", regions},
             {"console", console},
             {"identity", identity},
             {"parameters", parameters},
             {"put-alarm", put_alarm},
             {"alarms", alarms},
             {"delete-alarms", delete_alarms},
             {"price", price},
             {"s3-list", s3_objects},
             {"s3-fetch", s3_file},
             {"download", download}};

int main(int argc, char **argv)
{
    json_t *out = NULL;
    int rc = -1;
    loop = loop_new();
    struct aws_options o = {.loop = loop};
    err_set(&err, ERR_USAGE, "which call?");
    if (argc > 1 && aws_open(&o, &aws, &err) == 0)
        for (size_t i = 0; i < COUNT_OF(calls); i++)
            if (strcmp(argv[1], calls[i].name) == 0)
                rc = calls[i].run(argv + 2, argc - 2, &out);
    if (rc == -1)
        fprintf(stderr, "%s %s %s\n", err_name(err.code), err.origin[0] ? err.origin : "-",
                err.msg);
    struct buf text = {0};
    if (out)
        json_write(out, true, &text);
    fputs(buf_text(&text), stdout);
    buf_done(&text);
    json_decref(out);
    aws_close(aws);
    loop_free(loop);
    return rc == 0 ? 0 : 1;
}
