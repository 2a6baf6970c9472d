/* The cluster file's keys and rules. What flambe says about each bad file, to the letter, is in
 * test/golden/cluster; here is what is accepted, what comes out of it, and the files themselves. */
#include "base/json.h"
#include "base/mem.h"
#include "cluster/cluster.h"
#include "os/fs.h"
#include <fcntl.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NEEDED                      \
    "!AWSCluster\n"                 \
    "name: mine\n"                  \
    "factories_num: 2\n"            \
    "factories_type: t3.small\n"    \
    "orchestrator_type: t3.micro\n" \
    "creator: me@x.org\n"           \
    "key_name: pair\n"              \
    "key: pair.pem\n"               \
    "subnet_id: subnet-0a1b2c3d\n"  \
    "security_group: sg-0123456789abcdef0\n"

static bool accepts(const char *more)
{
    AUTO_FREE char *text = mem_printf("%s%s", NEEDED, more);
    struct cluster_spec spec;
    struct diags diags;
    struct err err = {0};
    int r = cluster_spec_parse("c.yaml", str_of(text), &spec, &diags, &err);
    diags_done(&diags);
    if (r == 0)
        cluster_spec_done(&spec);
    return r == 0;
}

static struct cluster_spec parsed(const char *path, const char *text)
{
    struct cluster_spec spec;
    struct diags diags;
    struct err err = {0};
    assert_int_equal(cluster_spec_parse(path, str_of(text), &spec, &diags, &err), 0);
    diags_done(&diags);
    return spec;
}

static void defaults(void **state)
{
    struct cluster_spec s = parsed("dir/c.yaml", NEEDED);
    assert_string_equal(s.path, "dir/c.yaml");
    assert_string_equal(s.name, "mine");
    assert_int_equal(s.factories_num, 2);
    assert_int_equal(s.orchestrator_timeout, -1);
    assert_int_equal(s.factories_timeout, 1);
    assert_int_equal(s.volume_size, 100);
    assert_string_equal(s.volume_type, "gp3");
    assert_string_equal(s.username, "ubuntu");
    assert_int_equal(s.ssh_port, 22);
    assert_false(s.dedicated);
    assert_null(s.region_name);
    assert_null(s.orchestrator_ami);
    assert_null(s.factory_ami);
    assert_int_equal(s.tags.count, 0);
    assert_int_equal(s.setup_cmds.count, 0);
    cluster_spec_done(&s);
}

static void key_is(const char *path, const char *key, const char *want)
{
    AUTO_FREE char *head = mem_printf("%.*s", (int)(strstr(NEEDED, "key: ") - NEEDED), NEEDED);
    AUTO_FREE char *text = mem_printf("%skey: %s\n%s", head, key, strstr(NEEDED, "subnet_id"));
    struct cluster_spec s = parsed(path, text);
    assert_string_equal(s.key, want);
    cluster_spec_done(&s);
}

static void the_key_is_found_from_the_file(void **state)
{
    setenv("HOME", "/home/me", 1);
    key_is("c.yaml", "pair.pem", "pair.pem");
    key_is("dir/c.yaml", "pair.pem", "dir/pair.pem");
    key_is("/abs/c.yaml", "../pair.pem", "/abs/../pair.pem");
    key_is("dir/c.yaml", "/etc/pair.pem", "/etc/pair.pem");
    key_is("dir/c.yaml", "~/pair.pem", "/home/me/pair.pem");
}

static void factories_may_not_outlive_the_orchestrator(void **state)
{
    static const struct {
        int orchestrator, factories;
        bool ok;
    } cases[] = {{-1, -1, true}, {-1, 0, true},  {-1, 168, true}, {0, 0, true},
                 {0, 1, false},  {0, -1, false}, {1, 1, true},    {1, 0, true},
                 {1, 2, false},  {2, 1, true},   {24, -1, false}, {168, 168, true}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_FREE char *more = mem_printf("orchestrator_timeout: %d\nfactories_timeout: %d\n",
                                          cases[i].orchestrator, cases[i].factories);
        if (accepts(more) != cases[i].ok)
            fail_msg("%s", more);
    }
    assert_true(accepts("orchestrator_timeout: 1\n"));
    assert_false(accepts("orchestrator_timeout: 0\n"));
}

static void volumes(void **state)
{
    static const struct {
        const char *type;
        int min, max;
    } cases[] = {{"gp2", 1, 16384}, {"gp3", 1, 65536}, {"io1", 4, 16384}, {"io2", 4, 65536}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (int d = -1; d <= 1; d++) {
            AUTO_FREE char *low =
                mem_printf("volume_type: %s\nvolume_size: %d\n", cases[i].type, cases[i].min + d);
            AUTO_FREE char *high =
                mem_printf("volume_type: %s\nvolume_size: %d\n", cases[i].type, cases[i].max + d);
            assert_int_equal(accepts(low), d >= 0);
            assert_int_equal(accepts(high), d <= 0);
        }
    assert_false(accepts("volume_type: st1\n"));
}

static void tags(void **state)
{
    assert_true(
        accepts("tags: {project: x, Creators: y, my-name: z, \"a b:c/d\": \"日本 (x), y\"}\n"));
    assert_true(accepts("tags: {empty: \"\"}\n"));
    static const char *const own[] = {"creator", "CREATOR", "Name",         "name",  "purpose",
                                      "Role",    "role",    "Cluster-Name", "aws:x", "AWS:x"};
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        AUTO_FREE char *more = mem_printf("tags: {\"%s\": x}\n", own[i]);
        if (accepts(more))
            fail_msg("%s", more);
    }
    for (int n = CLUSTER_USER_TAGS_MAX; n <= CLUSTER_USER_TAGS_MAX + 1; n++) {
        AUTO_BUF struct buf b = {0};
        buf_adds(&b, "tags:\n");
        for (int i = 0; i < n; i++)
            buf_addf(&b, "  t%d: v\n", i);
        assert_int_equal(accepts(buf_text(&b)), n == CLUSTER_USER_TAGS_MAX);
    }
    for (int n = 127; n <= 128; n++) {
        AUTO_FREE char *more = mem_printf("tags: {\"%0*d\": x}\n", n, 0);
        assert_int_equal(accepts(more), n == 127);
    }
    for (int n = 256; n <= 257; n++) {
        AUTO_FREE char *more = mem_printf("tags: {x: \"%0*d\"}\n", n, 0);
        assert_int_equal(accepts(more), n == 256);
    }
}

static bool takes(const char *key, const char *value)
{
    const struct schema_key *k = cluster_schema.keys;
    while (strcmp(k->name, key) != 0)
        k++;
    regex_t re;
    assert_int_equal(regcomp(&re, k->pattern, REG_EXTENDED | REG_NOSUB), 0);
    bool r = regexec(&re, value, 0, NULL, 0) == 0;
    regfree(&re);
    return r;
}

static void patterns(void **state)
{
    static const char *const good[][2] = {{"name", "9x"},
                                          {"name", "a--_"},
                                          {"name", "my-cluster"},
                                          {"name", "a"},
                                          {"factories_type", "g4dn.xlarge"},
                                          {"factories_type", "u-6tb1.112xlarge"},
                                          {"factories_type", "m7i-flex.large"},
                                          {"factories_type", "mac2-m2.metal"},
                                          {"factories_type", "p4d.24xlarge"},
                                          {"region_name", "us-east-1"},
                                          {"region_name", "us-gov-west-1"},
                                          {"region_name", "cn-northwest-1"},
                                          {"region_name", "eu-isoe-west-1"},
                                          {"subnet_id", "subnet-9d4a7b6c"},
                                          {"security_group", "sg-0123456789abcdef0"},
                                          {"factory_ami", "ami-12345678"},
                                          {"username", "ec2-user"},
                                          {"username", "admin"},
                                          {"creator", "Ada Lovelace <a@x.org>"},
                                          {"creator", "日本"},
                                          {"creator", "a"},
                                          {"key_name", "my pair (2)"}};
    static const char *const bad[][2] = {{"name", ""},
                                         {"name", "_a"},
                                         {"name", "a.b"},
                                         {"name", "-a"},
                                         {"name", "a b"},
                                         {"name", "é"},
                                         {"factories_type", "t3"},
                                         {"factories_type", "t3."},
                                         {"factories_type", "T3.small"},
                                         {"factories_type", "t3.small "},
                                         {"region_name", "us-east"},
                                         {"region_name", "us-east-1a"},
                                         {"region_name", "frankfurt"},
                                         {"subnet_id", "subnet-XXXXXXXX"},
                                         {"subnet_id", "subnet-1234567"},
                                         {"subnet_id", "subnet-0123456789abcdef01"},
                                         {"subnet_id", "my-subnet-12345678"},
                                         {"security_group", "default"},
                                         {"factory_ami", "ami-"},
                                         {"username", "-o"},
                                         {"username", "a b"},
                                         {"creator", "a*"},
                                         {"creator", "a?"},
                                         {"creator", "a\\b"},
                                         {"creator", " a"},
                                         {"creator", "a "},
                                         {"key_name", "é"}};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (!takes(good[i][0], good[i][1]))
            fail_msg("%s: %s", good[i][0], good[i][1]);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (takes(bad[i][0], bad[i][1]))
            fail_msg("%s: %s", bad[i][0], bad[i][1]);
}

/* What the table itself must hold, whoever adds a row. */
static void check_rows(const struct schema *schema)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_key *k = &schema->keys[i];
        assert_non_null(k->name);
        assert_non_null(k->help);
        assert_false(k->required && k->fallback);
        assert_false(k->required && !k->example);
        assert_false(k->pattern && !k->pattern_help);
        assert_int_not_equal(k->help[strlen(k->help) - 1], '.');
        if (k->pattern && k->example && !takes(k->name, k->example))
            fail_msg("%s: the example '%s' is refused", k->name, k->example);
        if (k->pattern && k->fallback && !takes(k->name, k->fallback))
            fail_msg("%s: the default '%s' is refused", k->name, k->fallback);
        for (size_t j = i + 1; j < schema->count; j++) {
            assert_string_not_equal(k->name, schema->keys[j].name);
            assert_int_not_equal(k->offset, schema->keys[j].offset);
        }
    }
    json_auto_t *json = schema_to_json(schema);
    assert_int_equal(json_object_size(json_object_get(json, "properties")), schema->count);
}

static void rows_are_sound(void **state)
{
    check_rows(&cluster_schema);
    check_rows(&ssh_cluster_schema);
}

/* ---- files ---------------------------------------------------------------------------------- */

static char dir[] = "/tmp/flambe-test-spec-XXXXXX";

static int make_dir(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    struct err err;
    return fs_remove_tree(dir, &err);
}

static void load_fails(const char *path, const char *words)
{
    struct cluster_spec spec;
    struct diags diags;
    struct err err = {0};
    assert_int_equal(cluster_spec_load(path, &spec, &diags, &err), -1);
    assert_int_equal(err.code, ERR_FILE);
    assert_int_equal(diags_total(&diags), 0);
    if (!strstr(err.msg, words) || !strstr(err.msg, path))
        fail_msg("%s", err.msg);
    diags_done(&diags);
}

static void files_that_cannot_be_read(void **state)
{
    AUTO_FREE char *missing = fs_join(dir, "missing.yaml");
    load_fails(missing, "no such file");
    load_fails(dir, "is a directory");
    if (geteuid() == 0)
        return; /* root may read everything */
    AUTO_FREE char *closed = fs_join(dir, "closed.yaml");
    struct err err;
    assert_int_equal(fs_write_atomic(closed, 0600, STR("a: b\n"), &err), 0);
    assert_int_equal(chmod(closed, 0), 0);
    load_fails(closed, "Permission denied");
}

static void a_file_too_long(void **state)
{
    AUTO_FREE char *path = fs_join(dir, "long.yaml");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)YAML_BYTES_MAX + 1), 0);
    close(fd);
    load_fails(path, "longer than");
}

/* The example has placeholders for the two ids, and nothing else wrong. */
static void the_example_needs_two_ids(void **state)
{
    struct cluster_spec spec;
    struct diags diags;
    struct err err = {0};
    assert_int_equal(
        cluster_spec_load(SOURCE_ROOT "/examples/aws-cluster.yaml", &spec, &diags, &err), -1);
    assert_int_equal(diags_total(&diags), 2);
    for (size_t i = 0; i < 2; i++)
        assert_non_null(strstr(diags.items[i].fix, "placeholder"));
    diags_done(&diags);
}

static bool is_known_key(const struct schema *schema, struct str line)
{
    for (size_t i = 0; i < schema->count; i++) {
        AUTO_FREE char *head = mem_printf("%s:", schema->keys[i].name);
        if (str_starts(line, head))
            return true;
    }
    return false;
}

/* With its comments' keys and entries uncommented and the ids filled in, an example is a good file
 * that sets every key there is. */
static struct cluster_spec whole_example(const char *path, const struct schema *schema)
{
    AUTO_BUF struct buf file = {0}, text = {0};
    struct err err;
    assert_int_equal(fs_read(path, YAML_BYTES_MAX, &file, &err), 0);
    size_t keys = 0;
    for (struct str rest = buf_view(&file); rest.p;) {
        struct str line = str_cut(&rest, '\n');
        bool comment = str_starts(line, "# ");
        struct str bare = comment ? (struct str){line.p + 2, line.n - 2} : line;
        bool key = is_known_key(schema, bare);
        keys += key;
        buf_add_str(&text, key || str_starts(bare, "  - ") ? bare : line);
        buf_addc(&text, '\n');
    }
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == 'X')
            text.data[i] = '0';
    assert_int_equal(keys, schema->count);
    struct cluster_spec s = parsed("c.yaml", buf_text(&text));
    assert_int_equal(s.setup_cmds.count, 2);
    return s;
}

static void the_example_shows_every_key(void **state)
{
    struct cluster_spec s =
        whole_example(SOURCE_ROOT "/examples/aws-cluster.yaml", &cluster_schema);
    assert_int_equal(s.kind, CLUSTER_AWS);
    assert_int_equal(s.tags.count, 2);
    cluster_spec_done(&s);
}

/* ---- machines that exist already ---------------------------------------------------------- */

#define MACHINES "!SSHCluster\nname: mine\nkey: id\n"

static void the_example_of_machines(void **state)
{
    struct cluster_spec s = parsed(SOURCE_ROOT "/examples/ssh-cluster.yaml",
                                   MACHINES "orchestrator_ip: 10.0.0.10\nfactories_ips: []\n");
    assert_int_equal(s.kind, CLUSTER_SSH);
    assert_int_equal(s.factories_num, 0);
    assert_int_equal(s.machines.count, 1);
    assert_string_equal(s.username, "ubuntu");
    assert_true(s.creator && *s.creator); /* whoever runs this */
    assert_int_equal(s.orchestrator_timeout, -1);
    assert_int_equal(s.factories_timeout, -1);
    cluster_spec_done(&s);
    s = whole_example(SOURCE_ROOT "/examples/ssh-cluster.yaml", &ssh_cluster_schema);
    assert_int_equal(s.factories_num, 2);
    assert_string_equal(s.machines.items[2].address, "10.0.0.12");
    assert_string_equal(s.shared, "/mnt/home");
    cluster_spec_done(&s);
}

static void machines_have_one_address_or_two(void **state)
{
    struct cluster_spec s =
        parsed("c.yaml", MACHINES "orchestrator_ip: [gate.x.org, 10.0.0.10]\n"
                                  "factories_ips: [10.0.0.11, [192.0.2.1, fd00::1]]\n");
    static const char *const want[][2] = {
        {"gate.x.org", "10.0.0.10"}, {"10.0.0.11", "10.0.0.11"}, {"192.0.2.1", "fd00::1"}};
    assert_int_equal(s.machines.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(s.machines.items[i].address, want[i][0]);
        assert_string_equal(s.machines.items[i].inside, want[i][1]);
    }
    struct cluster_hosts hosts;
    cluster_hosts_of_spec(&s, &hosts);
    assert_int_equal(hosts.count, 3);
    assert_string_equal(hosts.items[0].name, "mine_orchestrator");
    assert_string_equal(hosts.items[2].name, "mine_factory_2");
    assert_string_equal(hosts.items[2].instance_id, "ssh-192.0.2.1");
    assert_string_equal(hosts.items[2].private_ip, "fd00::1");
    cluster_hosts_done(&hosts);
    cluster_spec_done(&s);
}

/* Nothing is launched, whatever there is. */
static void a_plan_of_machines_keeps_them(void **state)
{
    struct cluster_spec s = parsed(
        "c.yaml", MACHINES "orchestrator_ip: 10.0.0.10\nfactories_ips: [10.0.0.11, 10.0.0.12]\n");
    struct cluster_hosts hosts;
    struct plan plan;
    struct err err = {0};
    cluster_hosts_of_spec(&s, &hosts);
    assert_int_equal(plan_make(&s, &hosts, CLUSTER_REGION_SSH, &plan, &err), 0);
    assert_true(plan_is_empty(&plan));
    assert_int_equal(plan.differences.count, 0);
    AUTO_BUF struct buf text = {0};
    plan_text(&plan, &text);
    assert_non_null(strstr(buf_text(&text), "use     mine_factory_2  10.0.0.12\n"));
    plan_done(&plan);
    cluster_hosts_done(&hosts);
    cluster_spec_done(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(the_key_is_found_from_the_file),
        cmocka_unit_test(factories_may_not_outlive_the_orchestrator),
        cmocka_unit_test(volumes),
        cmocka_unit_test(tags),
        cmocka_unit_test(patterns),
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(a_file_too_long),
        cmocka_unit_test(the_example_needs_two_ids),
        cmocka_unit_test(the_example_shows_every_key),
        cmocka_unit_test(the_example_of_machines),
        cmocka_unit_test(machines_have_one_address_or_two),
        cmocka_unit_test(a_plan_of_machines_keeps_them),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
