/* See ec2.h. All calls are one state (struct ask) that differs in its parameters and its parser. */
#include "aws/ec2.h"
#include "aws/call.h"
#include "aws/ec2_priv.h"
#include "aws/query.h"
#include "base/digest.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define TERMINATE_BATCH 1000
#define INSTANCE_TYPES_BATCH 100
#define PAGE_SIZE 1000
#define VOLUMES_PAGE_SIZE 500
#define TERMINATE_TRIES 16 /* answers that name ids that are gone */

struct ask {
    struct buf parameters; /* sent with every page */
    char *token;           /* of the next page, or NULL */
    bool asked;
    struct strv ids;      /* calls in batches */
    const char *ids_name; /* "InstanceId" */
    size_t at, batch, batch_max;
    int tries;
    ec2_parse_fn *parse;
    void (*done)(union ec2_result *result);
    union ec2_result result;
};

static void done_instances(union ec2_result *r)
{
    ec2_instances_done(&r->instances);
}

static void done_images(union ec2_result *r)
{
    ec2_images_done(&r->images);
}

static void done_types(union ec2_result *r)
{
    ec2_instance_types_done(&r->types);
}

static void done_subnets(union ec2_result *r)
{
    ec2_subnets_done(&r->subnets);
}

static void done_groups(union ec2_result *r)
{
    ec2_security_groups_done(&r->groups);
}

static void done_keys(union ec2_result *r)
{
    ec2_key_pairs_done(&r->keys);
}

static void done_volumes(union ec2_result *r)
{
    ec2_volumes_done(&r->volumes);
}

static void done_names(union ec2_result *r)
{
    strv_done(&r->names);
}

static void done_text(union ec2_result *r)
{
    buf_done(&r->text);
}

static struct ask *ask_new(ec2_parse_fn *parse, void (*done)(union ec2_result *result))
{
    struct ask *a = mem_alloc(sizeof *a);
    a->parse = parse;
    a->done = done;
    return a;
}

static void ask_free(void *state)
{
    struct ask *a = state;
    if (a->done)
        a->done(&a->result);
    buf_wipe(&a->parameters);
    strv_done(&a->ids);
    free(a->token);
    free(a);
}

/* One request, and one more for each further page. */
static bool ask_pages(void *state, struct buf *body)
{
    struct ask *a = state;
    if (a->asked && !a->token)
        return false;
    a->asked = true;
    if (a->parameters.len) {
        buf_addc(body, '&');
        buf_add_str(body, buf_view(&a->parameters));
    }
    query_add(body, "NextToken", a->token);
    return true;
}

/* One request for each batch of ids. */
static bool ask_batches(void *state, struct buf *body)
{
    struct ask *a = state;
    a->at += a->batch;
    a->batch = a->ids.count - a->at;
    if (a->batch > a->batch_max)
        a->batch = a->batch_max;
    query_add_list(body, a->ids_name, (const char *const *)a->ids.items + a->at, a->batch);
    return a->batch > 0;
}

static int ask_answer(void *state, struct str text, struct err *err)
{
    struct ask *a = state;
    CLEANUP(xml_freep) struct xml *x = NULL;
    if (xml_parse(text, &x, err) == -1)
        return -1;
    const struct xml_node *root = xml_root(x);
    AUTO_FREE char *token = xml_dup(root, "nextToken");
    if (token && a->token && strcmp(token, a->token) == 0)
        return err_set(err, ERR_PARSE, "the server gives the same page again and again");
    if (a->parse(root, &a->result, err) == -1)
        return -1;
    free(a->token);
    a->token = TAKE(token);
    return 0;
}

#define EC2_OPS(name, action_name, ask_function, failed_function)       \
    static const struct aws_call_ops name = {.service = &aws_ec2,       \
                                             .action = action_name,     \
                                             .request = ask_function,   \
                                             .answer = ask_answer,      \
                                             .failed = failed_function, \
                                             .free = ask_free}

static void add_filters(struct buf *out, const struct ec2_filter *filters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *name = mem_printf("Filter.%zu.Name", i + 1);
        AUTO_FREE char *value = mem_printf("Filter.%zu.Value", i + 1);
        query_add(out, name, filters[i].name);
        query_add_list(out, value, filters[i].values, filters[i].count);
    }
}

/* Moves a result out of the ended call. */
#define EC2_END(call, ops, out, member, err)                      \
    do {                                                          \
        struct ask *ended = aws_call_wait((call), &(ops), (err)); \
        if (!ended)                                               \
            return -1;                                            \
        *(out) = ended->result.member;                            \
        memset(&ended->result, 0, sizeof ended->result);          \
        aws_call_free(call);                                      \
        return 0;                                                 \
    } while (0)

/* ---- instances --------------------------------------------------------------------------------
 */

EC2_OPS(describe_instances, "DescribeInstances", ask_pages, NULL);

struct aws_call *ec2_describe_instances(struct aws *aws, const struct ec2_filter *filters,
                                        size_t count)
{
    struct ask *a = ask_new(ec2_parse_reservations, done_instances);
    add_filters(&a->parameters, filters, count);
    query_add_int(&a->parameters, "MaxResults", PAGE_SIZE);
    return aws_call_start(aws, &describe_instances, a);
}

int ec2_describe_instances_end(struct aws_call *c, struct ec2_instances *out, struct err *err)
{
    EC2_END(c, describe_instances, out, instances, err);
}

static void add_tags(struct buf *out, const struct ec2_run *r)
{
    static const char *const kinds[] = {"instance", "volume"};
    for (size_t k = 0; k < COUNT_OF(kinds) && r->tag_count; k++) {
        AUTO_FREE char *kind = mem_printf("TagSpecification.%zu.ResourceType", k + 1);
        query_add(out, kind, kinds[k]);
        for (size_t i = 0; i < r->tag_count; i++) {
            AUTO_FREE char *key = mem_printf("TagSpecification.%zu.Tag.%zu.Key", k + 1, i + 1);
            AUTO_FREE char *value = mem_printf("TagSpecification.%zu.Tag.%zu.Value", k + 1, i + 1);
            query_add(out, key, r->tags[i].key);
            query_add(out, value, r->tags[i].value);
        }
    }
}

static void add_network(struct buf *out, const struct ec2_run *r)
{
    if (!r->public_ip) {
        query_add(out, "SubnetId", r->subnet_id);
        query_add_list(out, "SecurityGroupId", r->security_group_ids, r->security_group_count);
        return;
    }
    /* a public address is asked for on an interface, which then bears subnet and groups as well */
    query_add_int(out, "NetworkInterface.1.DeviceIndex", 0);
    query_add(out, "NetworkInterface.1.SubnetId", r->subnet_id);
    query_add_list(out, "NetworkInterface.1.SecurityGroupId", r->security_group_ids,
                   r->security_group_count);
    query_add(out, "NetworkInterface.1.AssociatePublicIpAddress", "true");
    query_add(out, "NetworkInterface.1.DeleteOnTermination", "true");
}

static void add_volume(struct buf *out, const struct ec2_run *r)
{
    if (!r->root_device)
        return;
    query_add(out, "BlockDeviceMapping.1.DeviceName", r->root_device);
    if (r->volume_gb)
        query_add_int(out, "BlockDeviceMapping.1.Ebs.VolumeSize", r->volume_gb);
    query_add(out, "BlockDeviceMapping.1.Ebs.VolumeType", r->volume_type);
    if (r->volume_iops)
        query_add_int(out, "BlockDeviceMapping.1.Ebs.Iops", r->volume_iops);
    query_add(out, "BlockDeviceMapping.1.Ebs.Encrypted", "true");
    query_add(out, "BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true");
}

void ec2_run_encode(const struct ec2_run *r, struct buf *out)
{
    query_add(out, "ImageId", r->image_id);
    query_add(out, "InstanceType", r->type);
    query_add(out, "KeyName", r->key_name);
    query_add_int(out, "MinCount", r->min_count);
    query_add_int(out, "MaxCount", r->max_count);
    query_add(out, "ClientToken", r->client_token);
    add_network(out, r);
    add_volume(out, r);
    add_tags(out, r);
    query_add(out, "InstanceInitiatedShutdownBehavior", "terminate");
    query_add(out, "MetadataOptions.HttpTokens", "required");
    query_add(out, "MetadataOptions.HttpEndpoint", "enabled");
    if (r->dedicated)
        query_add(out, "Placement.Tenancy", "dedicated");
    if (r->user_data.n) {
        AUTO_BUF struct buf encoded = {0};
        digest_base64(r->user_data, &encoded);
        query_add_str(out, "UserData", buf_view(&encoded));
    }
    if (r->dry_run)
        query_add(out, "DryRun", "true");
}

/* Whether an earlier try may have launched machines decides what becomes of the journal. */
static const struct aws_call_ops run_instances = {.service = &aws_ec2,
                                                  .action = "RunInstances",
                                                  .request = ask_pages,
                                                  .answer = ask_answer,
                                                  .free = ask_free,
                                                  .once = true};

struct aws_call *ec2_run_instances(struct aws *aws, struct str body)
{
    struct ask *a = ask_new(ec2_parse_launched, done_instances);
    buf_add_str(&a->parameters, body);
    return aws_call_start(aws, &run_instances, a);
}

int ec2_run_instances_end(struct aws_call *c, struct ec2_instances *out, struct err *err)
{
    EC2_END(c, run_instances, out, instances, err);
}

/* EC2 names the ids that it does not know and terminates none: those are left out, and the rest of
 * the batch is asked for again. */
static bool leave_out_missing(void *state, const struct err *err)
{
    struct ask *a = state;
    if (err->code != ERR_NOT_FOUND || strcmp(err->origin, "InvalidInstanceID.NotFound") != 0 ||
        ++a->tries > TERMINATE_TRIES)
        return false;
    size_t kept = a->at, end = a->at + a->batch, dropped = 0;
    for (size_t i = a->at; i < a->ids.count; i++) {
        if (i < end && strstr(err->msg, a->ids.items[i])) {
            free(a->ids.items[i]);
            dropped++;
        } else {
            a->ids.items[kept++] = a->ids.items[i];
        }
    }
    a->ids.count = kept;
    a->batch = 0; /* ask_batches() starts this batch anew */
    return dropped > 0;
}

EC2_OPS(terminate_instances, "TerminateInstances", ask_batches, leave_out_missing);

struct aws_call *ec2_terminate_instances(struct aws *aws, const char *const *ids, size_t count)
{
    struct ask *a = ask_new(ec2_parse_nothing, NULL);
    a->ids_name = "InstanceId";
    a->batch_max = TERMINATE_BATCH;
    for (size_t i = 0; i < count; i++)
        strv_add(&a->ids, ids[i]);
    return aws_call_start(aws, &terminate_instances, a);
}

int ec2_terminate_instances_end(struct aws_call *c, struct err *err)
{
    return aws_call_finish(c, &terminate_instances, err);
}

EC2_OPS(start_instances, "StartInstances", ask_batches, NULL);

struct aws_call *ec2_start_instances(struct aws *aws, const char *const *ids, size_t count)
{
    struct ask *a = ask_new(ec2_parse_nothing, NULL);
    a->ids_name = "InstanceId";
    a->batch_max = TERMINATE_BATCH;
    for (size_t i = 0; i < count; i++)
        strv_add(&a->ids, ids[i]);
    return aws_call_start(aws, &start_instances, a);
}

int ec2_start_instances_end(struct aws_call *c, struct err *err)
{
    return aws_call_finish(c, &start_instances, err);
}

EC2_OPS(get_console_output, "GetConsoleOutput", ask_pages, NULL);

struct aws_call *ec2_get_console_output(struct aws *aws, const char *instance_id, bool latest)
{
    struct ask *a = ask_new(ec2_parse_console, done_text);
    query_add(&a->parameters, "InstanceId", instance_id);
    if (latest)
        query_add(&a->parameters, "Latest", "true");
    return aws_call_start(aws, &get_console_output, a);
}

int ec2_get_console_output_end(struct aws_call *c, struct buf *out, struct err *err)
{
    struct ask *a = aws_call_wait(c, &get_console_output, err);
    if (!a)
        return -1;
    buf_add_str(out, buf_view(&a->result.text));
    aws_call_free(c);
    return 0;
}

/* ---- what a launch needs ----------------------------------------------------------------------
 */

EC2_OPS(describe_images, "DescribeImages", ask_batches, NULL);

struct aws_call *ec2_describe_images(struct aws *aws, const char *const *ids, size_t count)
{
    struct ask *a = ask_new(ec2_parse_images, done_images);
    a->ids_name = "ImageId";
    a->batch_max = PAGE_SIZE;
    for (size_t i = 0; i < count; i++)
        strv_add(&a->ids, ids[i]);
    return aws_call_start(aws, &describe_images, a);
}

int ec2_describe_images_end(struct aws_call *c, struct ec2_images *out, struct err *err)
{
    EC2_END(c, describe_images, out, images, err);
}

EC2_OPS(describe_instance_types, "DescribeInstanceTypes", ask_batches, NULL);

struct aws_call *ec2_describe_instance_types(struct aws *aws, const char *const *names,
                                             size_t count)
{
    struct ask *a = ask_new(ec2_parse_instance_types, done_types);
    a->ids_name = "InstanceType";
    a->batch_max = INSTANCE_TYPES_BATCH;
    for (size_t i = 0; i < count; i++)
        if (!strv_has(&a->ids, names[i]))
            strv_add(&a->ids, names[i]);
    return aws_call_start(aws, &describe_instance_types, a);
}

int ec2_describe_instance_types_end(struct aws_call *c, struct ec2_instance_types *out,
                                    struct err *err)
{
    EC2_END(c, describe_instance_types, out, types, err);
}

EC2_OPS(describe_subnets, "DescribeSubnets", ask_pages, NULL);

struct aws_call *ec2_describe_subnets(struct aws *aws, const struct ec2_filter *filters,
                                      size_t count)
{
    struct ask *a = ask_new(ec2_parse_subnets, done_subnets);
    add_filters(&a->parameters, filters, count);
    return aws_call_start(aws, &describe_subnets, a);
}

int ec2_describe_subnets_end(struct aws_call *c, struct ec2_subnets *out, struct err *err)
{
    EC2_END(c, describe_subnets, out, subnets, err);
}

EC2_OPS(describe_security_groups, "DescribeSecurityGroups", ask_pages, NULL);

struct aws_call *ec2_describe_security_groups(struct aws *aws, const struct ec2_filter *filters,
                                              size_t count)
{
    struct ask *a = ask_new(ec2_parse_security_groups, done_groups);
    add_filters(&a->parameters, filters, count);
    return aws_call_start(aws, &describe_security_groups, a);
}

int ec2_describe_security_groups_end(struct aws_call *c, struct ec2_security_groups *out,
                                     struct err *err)
{
    EC2_END(c, describe_security_groups, out, groups, err);
}

EC2_OPS(describe_key_pairs, "DescribeKeyPairs", ask_pages, NULL);

struct aws_call *ec2_describe_key_pairs(struct aws *aws, const struct ec2_filter *filters,
                                        size_t count)
{
    struct ask *a = ask_new(ec2_parse_key_pairs, done_keys);
    add_filters(&a->parameters, filters, count);
    query_add(&a->parameters, "IncludePublicKey", "true");
    return aws_call_start(aws, &describe_key_pairs, a);
}

int ec2_describe_key_pairs_end(struct aws_call *c, struct ec2_key_pairs *out, struct err *err)
{
    EC2_END(c, describe_key_pairs, out, keys, err);
}

EC2_OPS(describe_volumes, "DescribeVolumes", ask_pages, NULL);

struct aws_call *ec2_describe_volumes(struct aws *aws, const struct ec2_filter *filters,
                                      size_t count)
{
    struct ask *a = ask_new(ec2_parse_volumes, done_volumes);
    add_filters(&a->parameters, filters, count);
    query_add_int(&a->parameters, "MaxResults", VOLUMES_PAGE_SIZE);
    return aws_call_start(aws, &describe_volumes, a);
}

int ec2_describe_volumes_end(struct aws_call *c, struct ec2_volumes *out, struct err *err)
{
    EC2_END(c, describe_volumes, out, volumes, err);
}

EC2_OPS(describe_regions, "DescribeRegions", ask_pages, NULL);

struct aws_call *ec2_describe_regions(struct aws *aws)
{
    return aws_call_start(aws, &describe_regions, ask_new(ec2_parse_regions, done_names));
}

int ec2_describe_regions_end(struct aws_call *c, struct strv *names, struct err *err)
{
    EC2_END(c, describe_regions, names, names, err);
}
