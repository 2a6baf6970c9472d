/* The metadata service, as cloud-init and a person with curl ask it. */
#include "base/mem.h"
#include "sandbox/imds.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PEER "10.213.0.10"

struct fixture {
    struct loop *loop;
    struct imds *imds;
    struct imds_facts facts;
    usec_t now;
    struct clock clock;
    struct buf body;
    const char *type;
};

static const struct api_tag tags[] = {{"Name", "mine_factory_1"}, {"Creator", "me"}};

static bool give_facts(void *ctx, const char *private_ip, struct imds_facts *out)
{
    struct fixture *f = ctx;
    if (strcmp(private_ip, PEER) != 0)
        return false;
    *out = f->facts;
    return true;
}

static usec_t fake_now(void *ctx)
{
    return ((struct fixture *)ctx)->now;
}

static int set_up(void **state)
{
    struct fixture *f = mem_alloc(sizeof *f);
    f->loop = loop_new();
    f->now = 1000 * USEC_PER_SEC;
    f->clock = (struct clock){.wall = fake_now, .mono = fake_now, .ctx = f};
    f->facts = (struct imds_facts){.instance_id = "i-0123456789abcdef0",
                                   .type = "t3.small",
                                   .image_id = "ami-1",
                                   .zone = "us-east-1b",
                                   .region = "us-east-1",
                                   .hostname = "ip-10-213-0-10.ec2.internal",
                                   .private_ip = PEER,
                                   .public_ip = "10.214.0.10",
                                   .public_hostname = "ec2-10-214-0-10.compute-1.amazonaws.com",
                                   .mac = "02:00:0a:d5:00:0a",
                                   .security_groups = "default",
                                   .key_name = "my-key",
                                   .public_key = "ssh-ed25519 AAAA my-key",
                                   .account = "123456789012",
                                   .subnet_id = "subnet-1",
                                   .vpc_id = "vpc-1",
                                   .user_data = STR("#cloud-config\n\0binary"),
                                   .tokens_required = true,
                                   .tags = tags,
                                   .tag_count = COUNT_OF(tags)};
    struct imds_options o = {
        .loop = f->loop, .clock = &f->clock, .facts = give_facts, .ctx = f, .listen_fd = -1};
    assert_int_equal(imds_start(&o, &f->imds, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    imds_stop(f->imds);
    loop_free(f->loop);
    buf_done(&f->body);
    free(f);
    return 0;
}

static int ask_as(struct fixture *f, const char *method, const char *path, const char *token,
                  const char *ttl, const char *peer)
{
    struct imds_request q = {.method = str_of(method),
                             .path = str_of(path),
                             .token = str_of(token),
                             .ttl = str_of(ttl),
                             .peer = peer};
    buf_clear(&f->body);
    return imds_answer(f->imds, &q, &f->body, &f->type);
}

static char *get_token(struct fixture *f, const char *ttl)
{
    assert_int_equal(ask_as(f, "PUT", "/latest/api/token", "", ttl, PEER), 200);
    return mem_dup(buf_text(&f->body));
}

/* The answer to a GET with a good token; NULL for 404. */
static const char *get(struct fixture *f, const char *path)
{
    AUTO_FREE char *token = get_token(f, "60");
    int status = ask_as(f, "GET", path, token, "", PEER);
    if (status == 404)
        return NULL;
    assert_int_equal(status, 200);
    return buf_text(&f->body);
}

static void tokens_are_required_and_expire(void **state)
{
    struct fixture *f = *state;
    const char *path = "/latest/meta-data/instance-id";
    assert_int_equal(ask_as(f, "GET", path, "", "", PEER), 401);
    assert_int_equal(ask_as(f, "GET", path, "1060-abc", "", PEER), 401);
    AUTO_FREE char *token = get_token(f, "60");
    assert_int_equal(ask_as(f, "GET", path, token, "", PEER), 200);
    assert_string_equal(buf_text(&f->body), "i-0123456789abcdef0");
    f->now += 59 * USEC_PER_SEC;
    assert_int_equal(ask_as(f, "GET", path, token, "", PEER), 200);
    f->now += 1 * USEC_PER_SEC;
    assert_int_equal(ask_as(f, "GET", path, token, "", PEER), 401);
}

static void a_token_with_another_end_is_none(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *token = get_token(f, "60");
    AUTO_FREE char *longer = mem_printf("9999999%s", strchr(token, '-'));
    assert_int_equal(ask_as(f, "GET", "/latest/meta-data/", longer, "", PEER), 401);
}

static void tokens_are_optional_where_the_instance_says_so(void **state)
{
    struct fixture *f = *state;
    f->facts.tokens_required = false;
    assert_int_equal(ask_as(f, "GET", "/latest/meta-data/instance-id", "", "", PEER), 200);
    /* A bad token is refused all the same. */
    assert_int_equal(ask_as(f, "GET", "/latest/meta-data/instance-id", "x-y", "", PEER), 401);
}

static void a_token_is_asked_for_properly(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"", "0", "21601", "x", "-5", "60 "};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(ask_as(f, "PUT", "/latest/api/token", "", bad[i], PEER), 400);
    assert_int_equal(ask_as(f, "GET", "/latest/api/token", "", "60", PEER), 405);
    struct imds_request q = {.method = STR("PUT"),
                             .path = STR("/latest/api/token"),
                             .token = STR(""),
                             .ttl = STR("60"),
                             .forwarded = true,
                             .peer = PEER};
    assert_int_equal(imds_answer(f->imds, &q, &f->body, &f->type), 403);
}

static void strangers_get_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask_as(f, "PUT", "/latest/api/token", "", "60", "10.213.0.11"), 404);
    assert_int_equal(ask_as(f, "GET", "/latest/meta-data/", "", "", "10.213.0.11"), 404);
}

static void a_token_is_its_asker_s_alone(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *token = get_token(f, "60");
    f->facts.private_ip = PEER;
    struct imds_request q = {.method = STR("GET"),
                             .path = STR("/latest/meta-data/"),
                             .token = str_of(token),
                             .peer = PEER};
    assert_int_equal(imds_answer(f->imds, &q, &f->body, &f->type), 200);
    token[strlen(token) - 1] ^= 1;
    assert_int_equal(imds_answer(f->imds, &q, &f->body, &f->type), 401);
}

static void values(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *path, *value;
    } want[] = {
        {"ami-id", "ami-1"},
        {"instance-type", "t3.small"},
        {"local-ipv4", PEER},
        {"public-ipv4", "10.214.0.10"},
        {"hostname", "ip-10-213-0-10.ec2.internal"},
        {"local-hostname", "ip-10-213-0-10.ec2.internal"},
        {"public-hostname", "ec2-10-214-0-10.compute-1.amazonaws.com"},
        {"mac", "02:00:0a:d5:00:0a"},
        {"placement/availability-zone", "us-east-1b"},
        {"placement/region", "us-east-1"},
        {"public-keys/", "0=my-key"},
        {"public-keys/0/", "openssh-key"},
        {"public-keys/0/openssh-key", "ssh-ed25519 AAAA my-key"},
        {"security-groups", "default"},
        {"services/", "domain\npartition"},
        {"reservation-id", "r-0123456789abcdef0"},
        {"network/interfaces/macs/", "02:00:0a:d5:00:0a/"},
        {"network/interfaces/macs/02:00:0a:d5:00:0a/subnet-id", "subnet-1"},
        {"block-device-mapping/root", "/dev/sda1"},
        {"events/maintenance/scheduled", "[]"},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        AUTO_FREE char *path = mem_printf("/latest/meta-data/%s", want[i].path);
        assert_string_equal(get(f, path), want[i].value);
        AUTO_FREE char *dated = mem_printf("/2021-03-23/meta-data/%s", want[i].path);
        assert_string_equal(get(f, dated), want[i].value);
    }
    assert_null(get(f, "/latest/meta-data/iam/"));
    assert_null(get(f, "/latest/meta-data/iam/security-credentials/"));
    assert_null(get(f, "/latest/meta-data/spot/instance-action"));
    assert_null(get(f, "/latest/meta-data/no-such-thing"));
    assert_null(get(f, "/2030-01-01/meta-data/ami-id"));
    assert_null(get(f, "/nonsense"));
}

static void listings_name_what_is_there(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *all = mem_dup(get(f, "/latest/meta-data/"));
    assert_non_null(strstr(all, "ami-id\n"));
    assert_non_null(strstr(all, "\nplacement/\n"));
    assert_null(strstr(all, "spot"));
    assert_null(strstr(all, "tags"));
    assert_string_equal(get(f, "/latest/meta-data/placement"),
                        "availability-zone\navailability-zone-id\nregion");
    /* Every entry of the listing is there. */
    struct str rest = str_of(all);
    while (rest.p) {
        struct str entry = str_cut(&rest, '\n');
        AUTO_FREE char *path = mem_printf("/latest/meta-data/%.*s", STR_FMT(entry));
        assert_non_null(get(f, path));
    }
    f->facts.public_ip = NULL;
    AUTO_FREE char *without = mem_dup(get(f, "/latest/meta-data/"));
    assert_null(strstr(without, "public-ipv4"));
    assert_null(get(f, "/latest/meta-data/public-ipv4"));
    assert_string_equal(get(f, "/latest/"), "dynamic\nmeta-data\nuser-data");
    assert_non_null(strstr(get(f, "/"), "2009-04-04\n"));
}

static void a_machine_without_a_key_pair(void **state)
{
    struct fixture *f = *state;
    f->facts.key_name = NULL;
    f->facts.public_key = NULL;
    assert_null(get(f, "/latest/meta-data/public-keys/"));
    assert_null(get(f, "/latest/meta-data/public-keys/0/openssh-key"));
}

static void tags_where_they_are_shown(void **state)
{
    struct fixture *f = *state;
    assert_null(get(f, "/latest/meta-data/tags/instance/Name"));
    f->facts.tags_visible = true;
    assert_string_equal(get(f, "/latest/meta-data/tags/"), "instance/");
    assert_string_equal(get(f, "/latest/meta-data/tags/instance"), "Name\nCreator");
    assert_string_equal(get(f, "/latest/meta-data/tags/instance/Name"), "mine_factory_1");
    assert_null(get(f, "/latest/meta-data/tags/instance/Nam"));
}

static void a_spot_reclaim(void **state)
{
    struct fixture *f = *state;
    f->facts.spot_action = "{\"action\": \"terminate\", \"time\": \"2026-01-01T00:02:00Z\"}";
    assert_string_equal(get(f, "/latest/meta-data/spot/instance-action"), f->facts.spot_action);
    assert_string_equal(get(f, "/latest/meta-data/spot/termination-time"), "2026-01-01T00:02:00Z");
}

static void user_data_as_it_was_given(void **state)
{
    struct fixture *f = *state;
    assert_non_null(get(f, "/latest/user-data"));
    assert_true(str_eq(buf_view(&f->body), f->facts.user_data));
    assert_string_equal(f->type, "application/octet-stream");
    f->facts.user_data = (struct str){NULL, 0};
    assert_null(get(f, "/latest/user-data"));
}

static void the_identity_document(void **state)
{
    struct fixture *f = *state;
    json_auto_t *j = json_loads(get(f, "/latest/dynamic/instance-identity/document"), 0, NULL);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "instanceId")), "i-0123456789abcdef0");
    assert_string_equal(json_string_value(json_object_get(j, "region")), "us-east-1");
    assert_true(json_is_null(json_object_get(j, "kernelId")));
}

static void odd_paths(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(get(f, "//latest//meta-data/ami-id") ? "" : "none", "none");
    assert_string_equal(get(f, "//latest/meta-data/ami-id"), "ami-1");
    AUTO_FREE char *token = get_token(f, "60");
    assert_int_equal(ask_as(f, "POST", "/latest/meta-data/", token, "", PEER), 405);
    assert_int_equal(ask_as(f, "GET", "latest", token, "", PEER), 400);
    AUTO_FREE char *longest = mem_alloc(5001);
    memset(longest, 'a', 5000);
    longest[0] = '/';
    assert_int_equal(ask_as(f, "GET", longest, token, "", PEER), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tokens_are_required_and_expire, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_with_another_end_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tokens_are_optional_where_the_instance_says_so, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_token_is_asked_for_properly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strangers_get_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_is_its_asker_s_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(listings_name_what_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_machine_without_a_key_pair, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tags_where_they_are_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_spot_reclaim, set_up, tear_down),
        cmocka_unit_test_setup_teardown(user_data_as_it_was_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_identity_document, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_paths, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
