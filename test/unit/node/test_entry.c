/* Entries: what is taken, and what hostile JSON is refused with. */
#include "base/json.h"
#include "base/mem.h"
#include "node/entry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static const char full[] =
    "{\"version\":1,\"name\":\"sweep\",\"file\":\"/f/experiment.yaml\",\"work\":\"/f/work\","
    "\"resources\":{\"data\":\"/f/data\"},\"extensions\":{\"mine\":\"/f/mine\"},"
    "\"save_path\":\"/srv/results\",\"state\":\"/s\",\"engine\":\"slurm\",\"secrets\":\"/s.ini\","
    "\"force\":true,\"reuse\":true,\"install\":true,\"by\":\"me@laptop\",\"submitted\":1700000000,"
    "\"python\":\"python3.11\"}";
static const char least[] = "{\"version\":1,\"name\":\"a\",\"file\":\"/f\",\"work\":\"/w\","
                            "\"save_path\":\"/s\",\"engine\":\"local\"}";

static void all_keys_are_taken(void **state)
{
    (void)state;
    struct entry e;
    struct err err = {0};
    assert_int_equal(entry_parse(str_of(full), &e, &err), 0);
    assert_string_equal(e.name, "sweep");
    assert_string_equal(e.file, "/f/experiment.yaml");
    assert_string_equal(e.work, "/f/work");
    assert_string_equal(strtab_get(e.resources, STR("data")), "/f/data");
    assert_string_equal(strtab_get(e.extensions, STR("mine")), "/f/mine");
    assert_string_equal(e.state, "/s");
    assert_int_equal(e.engine, ENTRY_SLURM);
    assert_string_equal(e.secrets, "/s.ini");
    assert_true(e.force && e.reuse && e.install);
    assert_string_equal(e.by, "me@laptop");
    assert_int_equal(e.submitted, 1700000000);
    assert_string_equal(e.python, "python3.11");
    AUTO_FREE char *results = entry_results(&e), *order = entry_order("/q/1-2-sweep.json", &e);
    assert_string_equal(results, "/srv/results/output__sweep");
    assert_string_equal(order, "1-2-sweep.json@1700000000");
    entry_done(&e);
    entry_done(&e); /* an empty one is legal */
}

static void what_is_not_needed_may_be_absent_or_null(void **state)
{
    (void)state;
    struct entry e;
    struct err err = {0};
    assert_int_equal(entry_parse(str_of(least), &e, &err), 0);
    assert_null(e.resources);
    assert_null(e.state);
    assert_false(e.force || e.reuse || e.install);
    entry_done(&e);
    json_auto_t *object = NULL;
    assert_int_equal(json_parse(str_of(least), 1000, &object, NULL), 0);
    static const char *const optional[] = {"resources", "extensions", "state", "secrets",
                                           "python",    "force",      "reuse", "install",
                                           "submitted", "by"};
    for (size_t i = 0; i < COUNT_OF(optional); i++)
        json_object_set_new(object, optional[i], json_null());
    AUTO_BUF struct buf text = {0};
    json_write(object, false, &text);
    assert_int_equal(entry_parse(buf_view(&text), &e, &err), 0);
    entry_done(&e);
}

/* The least entry with one key set to that JSON text, or without it where that is NULL. */
static void assert_refused(const char *key, const char *json, enum err_code code, const char *words)
{
    json_auto_t *object = NULL;
    assert_int_equal(json_parse(str_of(least), 1000, &object, NULL), 0);
    json_object_del(object, key);
    if (json)
        json_object_set_new(object, key, json_loads(json, JSON_DECODE_ANY, NULL));
    AUTO_BUF struct buf text = {0};
    json_write(object, false, &text);
    struct entry e = {.submitted = 77};
    struct err err = {0};
    if (entry_parse(buf_view(&text), &e, &err) == 0)
        fail_msg("taken: %s", buf_text(&text));
    assert_int_equal(e.submitted, 77); /* untouched */
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, words))
        fail_msg("no '%s' in: %s", words, err.msg);
}

static void what_is_no_entry_is_refused_with_its_key(void **state)
{
    (void)state;
    static const char *const needed[] = {"version", "name", "file", "work", "save_path", "engine"};
    for (size_t i = 0; i < COUNT_OF(needed); i++) {
        AUTO_FREE char *words = mem_printf("has no '%s'", needed[i]);
        assert_refused(needed[i], NULL, ERR_PARSE, words);
        assert_refused(needed[i], "null", ERR_PARSE, words);
    }
    assert_refused("version", "2", ERR_CONFLICT, "newer flambe");
    assert_refused("version", "\"1\"", ERR_PARSE, "'version'");
    assert_refused("version", "0", ERR_PARSE, "'version'");
    assert_refused("engine", "\"ray\"", ERR_PARSE, "'engine'");
    assert_refused("force", "1", ERR_PARSE, "'force'");
    assert_refused("submitted", "-1", ERR_PARSE, "'submitted'");
    assert_refused("submitted", "1.5", ERR_PARSE, "'submitted'");
    assert_refused("submitted", "253402300800", ERR_PARSE, "'submitted'");
    assert_refused("by", "\"a\\u001b[2J\"", ERR_PARSE, "'by'");
    assert_refused("by", "\"\"", ERR_PARSE, "'by'");
    assert_refused("python", "[]", ERR_PARSE, "'python'");
    assert_refused("surprise", "1", ERR_PARSE, "unknown key 'surprise'");
}

static void names_and_paths_lead_nowhere_else(void **state)
{
    (void)state;
    static const char *const names[] = {"\"\"",    "\"../x\"", "\"a/b\"",  "\".\"", "\"-rf\"",
                                        "\"a b\"", "\"_a\"",   "\"a\\n\"", "7"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_refused("name", names[i], ERR_PARSE, "'name'");
    AUTO_FREE char *digits = mem_alloc(ENTRY_NAME_MAX + 4);
    memset(digits, 'a', ENTRY_NAME_MAX + 3);
    digits[0] = digits[ENTRY_NAME_MAX + 2] = '"';
    assert_refused("name", digits, ERR_PARSE, "'name'");
    static const char *const paths[] = {"\"\"", "\"relative\"", "\"/a/../b\"", "\"/..\"", "7",
                                        "{}"};
    static const char *const keys[] = {"file", "work", "save_path", "state", "secrets"};
    for (size_t k = 0; k < COUNT_OF(keys); k++)
        for (size_t i = 0; i < COUNT_OF(paths); i++)
            assert_refused(keys[k], paths[i], ERR_PARSE, keys[k]);
    assert_refused("resources", "[]", ERR_PARSE, "'resources'");
    assert_refused("resources", "{\"a\":7}", ERR_PARSE, "'resources'");
    assert_refused("resources", "{\"a\":\"b\"}", ERR_PARSE, "'resources'");
    assert_refused("resources", "{\"ok\":\"/\",\"\":\"/b\"}", ERR_PARSE, "'resources'");
    assert_refused("extensions", "{\"a\":\"/../b\"}", ERR_PARSE, "'extensions'");
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",    "[]", "null", "{", "7", "{\"version\":1,\"version\":1}", "{\"name\":\"a\\u0000b\"}",
        "\xff"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct entry e;
        struct err err = {0};
        assert_int_equal(entry_parse(str_of(texts[i]), &e, &err), -1);
        assert_int_equal(err.code, ERR_PARSE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_keys_are_taken),
        cmocka_unit_test(what_is_not_needed_may_be_absent_or_null),
        cmocka_unit_test(what_is_no_entry_is_refused_with_its_key),
        cmocka_unit_test(names_and_paths_lead_nowhere_else),
        cmocka_unit_test(what_is_no_object_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
