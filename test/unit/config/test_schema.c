/* The schema reader, on a small schema that has every type of key; and the two documents made from
 * the same rows. */
#include "base/json.h"
#include "base/mem.h"
#include "config/schema.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct pet {
    char *name, *kind, *note;
    int legs, weight;
    bool tame;
    double tail;
    struct strv foods;
    struct schema_map labels;
};

static const char *const kinds[] = {"cat", "dog", "parrot", NULL};

enum { NAME, KIND, NOTE, LEGS, WEIGHT, TAME, TAIL, FOODS, LABELS, COUNT };

static const struct schema_key keys[COUNT] = {
    [NAME] = {.name = "name",
              .type = SCHEMA_STRING,
              .required = true,
              .min = 1,
              .max = 8,
              .pattern = "^[a-zé]+$",
              .pattern_help = "small letters",
              .example = "tom",
              .help = "What it is called",
              .offset = offsetof(struct pet, name)},
    [KIND] = {.name = "kind",
              .type = SCHEMA_STRING,
              .fallback = "cat",
              .choices = kinds,
              .help = "What it is",
              .offset = offsetof(struct pet, kind)},
    [NOTE] = {.name = "note",
              .type = SCHEMA_STRING,
              .help = "A_note *of* any [kind]",
              .offset = offsetof(struct pet, note)},
    [LEGS] = {.name = "legs",
              .type = SCHEMA_INT,
              .fallback = "-1",
              .min = -1,
              .max = 4,
              .unit = "legs",
              .help = "How many; -1 is unknown",
              .offset = offsetof(struct pet, legs)},
    [WEIGHT] = {.name = "weight",
                .type = SCHEMA_INT,
                .required = true,
                .example = "3",
                .help = "In kg",
                .offset = offsetof(struct pet, weight)},
    [TAME] = {.name = "tame",
              .type = SCHEMA_BOOL,
              .fallback = "true",
              .help = "Whether it is tame",
              .offset = offsetof(struct pet, tame)},
    [TAIL] = {.name = "tail",
              .type = SCHEMA_NUMBER,
              .fallback = "0.5",
              .min = 0,
              .max = 2.5,
              .unit = "m",
              .help = "Its tail's length",
              .offset = offsetof(struct pet, tail)},
    [FOODS] = {.name = "foods",
               .type = SCHEMA_STRING_LIST,
               .help = "What it eats",
               .offset = offsetof(struct pet, foods)},
    [LABELS] = {.name = "labels",
                .type = SCHEMA_STRING_MAP,
                .help = "Labels",
                .offset = offsetof(struct pet, labels)},
};
static const struct schema pet_schema = {"!Pet", "a pet", keys, COUNT};

struct reading {
    struct diags diags;
    struct yaml_file file;
    struct pet pet;
    struct span spans[COUNT];
};

static struct reading read_text(const char *text)
{
    struct reading r = {0};
    struct err err = {0};
    diags_init(&r.diags, "pet.yaml", str_of(text));
    assert_int_equal(yaml_parse(str_of(text), &r.diags, &r.file, &err), 0);
    schema_read(&pet_schema, r.file.documents[0], &r.diags, &r.pet, r.spans);
    return r;
}

static void done(struct reading *r)
{
    diags_done(&r->diags);
    yaml_done(&r->file);
    schema_free(&pet_schema, &r->pet);
}

/* One error, here, with these words and this fix (NULL: any). The rest of the file is well. */
static void wrong(const char *line, int column, const char *problem, const char *fix)
{
    AUTO_FREE char *text = mem_printf("name: tom\nweight: 3\n%s\n", line);
    struct reading r = read_text(text);
    if (diags_total(&r.diags) != 1)
        fail_msg("'%s': %zu errors", line, diags_total(&r.diags));
    const struct diag *d = &r.diags.items[0];
    assert_string_equal(d->problem, problem);
    assert_int_equal(d->at.line, 3);
    assert_int_equal(d->at.column, column);
    if (fix)
        assert_string_equal(d->fix, fix);
    done(&r);
}

static void reads_every_type(void **state)
{
    struct reading r =
        read_text("name: é\nkind: dog\nnote: 'it''s: #1'\nlegs: 4\nweight: 0x10\n"
                  "tame: false\ntail: 1\nfoods:\n  - fish\n  - |\n    two\n    lines\n"
                  "labels: {z: a, a: 日本, 5: \"5\"}\n");
    assert_int_equal(diags_total(&r.diags), 0);
    assert_string_equal(r.pet.name, "é");
    assert_string_equal(r.pet.kind, "dog");
    assert_string_equal(r.pet.note, "it's: #1");
    assert_int_equal(r.pet.legs, 4);
    assert_int_equal(r.pet.weight, 16);
    assert_false(r.pet.tame);
    assert_true(r.pet.tail == 1.0);
    assert_int_equal(r.pet.foods.count, 2);
    assert_string_equal(r.pet.foods.items[1], "two\nlines\n");
    assert_int_equal(r.pet.labels.count, 3);
    assert_string_equal(r.pet.labels.items[0].key, "z");
    assert_string_equal(r.pet.labels.items[1].value, "日本");
    assert_string_equal(r.pet.labels.items[2].key, "5");
    assert_int_equal(r.pet.labels.items[1].at.column, 16);
    assert_int_equal(r.spans[LEGS].line, 4);
    assert_int_equal(r.spans[LEGS].column, 7);
    done(&r);
}

static void defaults(void **state)
{
    struct reading r = read_text("name: tom\nweight: 3\nnote:\nfoods: ~\nlabels: null\n");
    assert_int_equal(diags_total(&r.diags), 0);
    assert_string_equal(r.pet.kind, "cat");
    assert_null(r.pet.note);
    assert_int_equal(r.pet.legs, -1);
    assert_true(r.pet.tame);
    assert_true(r.pet.tail == 0.5);
    assert_int_equal(r.pet.foods.count, 0);
    assert_int_equal(r.spans[LEGS].line, 0);
    done(&r);
}

static void a_wrong_value_keeps_its_default(void **state)
{
    struct reading r = read_text("name: TOM\nweight: 3\nlegs: 9\nkind: dot\ntame: 5\ntail: .nan\n");
    assert_int_equal(diags_total(&r.diags), 5);
    assert_null(r.pet.name);
    assert_int_equal(r.pet.legs, -1);
    assert_string_equal(r.pet.kind, "cat");
    assert_true(r.pet.tame);
    assert_true(r.pet.tail == 0.5);
    assert_int_equal(r.spans[LEGS].line, 3);
    done(&r);
}

static void wrong_types(void **state)
{
    wrong("legs: \"4\"", 7, "'legs' must be a whole number, not text",
          "remove the quotes: 'legs: 4'");
    wrong("legs: 2.5", 7, "'legs' must be a whole number; '2.5' is a number with a fraction",
          "write a whole number, such as 'legs: 3'");
    wrong("legs: four", 7, "'legs' must be a whole number; 'four' is text",
          "for example 'legs: -1'");
    wrong("legs: [4]", 7, "'legs' must be a whole number, not a list", "for example 'legs: -1'");
    wrong("legs: 9999999999", 7, "'legs' cannot be '9999999999'", "allowed: -1 to 4 legs");
    wrong("tame: yes", 7, "'tame' must be true or false; 'yes' is text", "write 'tame: true'");
    wrong("tame: Off", 7, "'tame' must be true or false; 'Off' is text", "write 'tame: false'");
    wrong("tame: 'true'", 7, "'tame' must be true or false, not text",
          "remove the quotes: 'tame: true'");
    wrong("tail: \"1.5\"", 7, "'tail' must be a number, not text",
          "remove the quotes: 'tail: 1.5'");
    wrong("note: 5", 7, "'note' must be text; '5' is a whole number", "put it in quotes: \"5\"");
    wrong("note: true", 7, "'note' must be text; 'true' is a truth value",
          "put it in quotes: \"true\"");
    wrong("note: {a: b}", 7, "'note' must be text, not a map of keys", NULL);
    wrong("foods: fish", 8, "'foods' must be a list; 'fish' is text",
          "write each entry on a line of its own behind '- ', here: - fish");
    wrong("foods: [fish, 5]", 15, "'foods[2]' must be text; '5' is a whole number", NULL);
    wrong("labels: [a]", 9, "'labels' must be a map of keys, not a list", NULL);
    wrong("labels: {a: 1.0}", 13, "'labels.a' must be text; '1.0' is a number with a fraction",
          "put it in quotes: \"1.0\"");
    wrong("labels: {a: }", 13, "'labels.a' must be text, not nothing", NULL);
    wrong("note: !x y", 7, "the tag '!x' has no place at 'note'", NULL);
}

static void bounds_choices_patterns(void **state)
{
    wrong("legs: -2", 7, "'legs' cannot be '-2'", "allowed: -1 to 4 legs");
    wrong("legs: 5", 7, "'legs' cannot be '5'", "allowed: -1 to 4 legs");
    wrong("tail: 2.6", 7, "'tail' cannot be '2.6'", "allowed: 0 to 2.5 m");
    wrong("tail: .inf", 7, "'tail' must be a finite number", NULL);
    wrong("kind: dag", 7, "'kind' cannot be 'dag'",
          "did you mean 'dog'? allowed: cat, dog, parrot");
    wrong("kind: horse", 7, "'kind' cannot be 'horse'", "allowed: cat, dog, parrot");
    wrong("note: \"\"", 7, "'note' is empty", "write a value, or remove the line");
    wrong("note: \"a\\nb\"", 7, "'note' holds a line break", "write it on one line");
    wrong("note: \"a\\0b\"", 7, "'note' holds a control character", "remove it");
    wrong("note: \"a\\x9bb\"", 7, "'note' holds a control character", "remove it");
    wrong("note: \"a\\tb\"", 7, "'note' holds a tab", "remove it");
    wrong("foods: [\"a\\rb\"]", 9, "'foods[1]' holds a control character", "remove it");
    wrong("legs:", 1, "'legs' has no value", "write 'legs: -1' (the default), or remove the line");
    struct reading r = read_text("name: T\nweight: 3\n");
    assert_string_equal(r.diags.items[0].problem, "'T' cannot be the 'name'");
    assert_string_equal(r.diags.items[0].fix, "allowed: small letters");
    done(&r);
    r = read_text("name: abcdéfghi\nweight: 3\n");
    assert_string_equal(r.diags.items[0].problem, "'name' has 9 characters; allowed: 1 to 8");
    done(&r);
}

static void unknown_and_missing_keys(void **state)
{
    wrong("lags: 4", 1, "unknown key 'lags'", "did you mean 'legs'?");
    wrong("zzzzzz: 4", 1, "unknown key 'zzzzzz'",
          "allowed here: name, kind, note, legs, weight, tame, tail, foods, labels");
    struct reading r = read_text("!Pet\nkind: cat\n");
    assert_int_equal(r.diags.count, 2);
    assert_string_equal(r.diags.items[0].problem, "the key 'name' is missing");
    assert_string_equal(r.diags.items[0].fix, "add the line 'name: tom'");
    assert_int_equal(r.diags.items[0].at.line, 1);
    assert_int_equal(r.diags.items[0].at.length, 4);
    assert_string_equal(r.diags.items[1].fix, "add the line 'weight: 3'");
    done(&r);
    /* what is misspelt is not also missing */
    r = read_text("nmae: tom\nweight: 3\n");
    assert_int_equal(r.diags.count, 1);
    assert_string_equal(r.diags.items[0].fix, "did you mean 'name'?");
    done(&r);
    r = read_text("- a\n");
    assert_int_equal(r.diags.count, 1);
    assert_string_equal(r.diags.items[0].problem, "a list where the keys of a pet must be");
    done(&r);
}

static void what_the_reader_reported_is_not_said_again(void **state)
{
    wrong("legs: 99999999999999999999", 7,
          "'99999999999999999999' does not fit a 64-bit whole number", NULL);
    wrong("legs: *x", 7, "no anchor 'x' in front of this alias", NULL);
    wrong("name: x", 1, "the key 'name' is here twice", NULL);
}

static void to_json_schema(void **state)
{
    json_auto_t *s = schema_to_json(&pet_schema);
    assert_non_null(s);
    assert_string_equal(json_text(s, "$schema"), "https://json-schema.org/draft/2020-12/schema");
    assert_string_equal(json_text(s, "title"), "a pet");
    assert_true(json_is_false(json_object_get(s, "additionalProperties")));
    const json_t *required = json_object_get(s, "required");
    assert_int_equal(json_array_size(required), 2);
    const json_t *p = json_object_get(s, "properties");
    assert_int_equal(json_object_size(p), COUNT);
    const json_t *legs = json_object_get(p, "legs");
    assert_string_equal(json_text(legs, "type"), "integer");
    assert_int_equal(json_integer_value(json_object_get(legs, "minimum")), -1);
    assert_int_equal(json_integer_value(json_object_get(legs, "maximum")), 4);
    assert_int_equal(json_integer_value(json_object_get(legs, "default")), -1);
    assert_string_equal(json_text(legs, "description"), "How many; -1 is unknown (legs)");
    const json_t *name = json_object_get(p, "name");
    assert_string_equal(json_text(name, "pattern"), "^[a-zé]+$");
    assert_int_equal(json_integer_value(json_object_get(name, "maxLength")), 8);
    assert_int_equal(json_array_size(json_object_get(json_object_get(p, "kind"), "enum")), 3);
    assert_true(json_is_true(json_object_get(json_object_get(p, "tame"), "default")));
    const json_t *type = json_object_get(json_object_get(p, "foods"), "type");
    assert_string_equal(json_string_value(json_array_get(type, 0)), "array");
    assert_string_equal(json_string_value(json_array_get(type, 1)), "null");
}

static void to_scdoc(void **state)
{
    AUTO_BUF struct buf out = {0};
    schema_to_scdoc(&pet_schema, &out);
    const char *text = buf_text(&out);
    assert_non_null(strstr(text, "*name* (text, required)\n\tWhat it is called. Allowed: small "
                                 "letters. From 1 to 8 characters.\n\n"));
    assert_non_null(
        strstr(text, "*kind* (text)\n\tWhat it is. One of cat, dog, parrot. Default: _cat_.\n"));
    assert_non_null(strstr(text, "From -1 to 4 legs. Default: _-1_."));
    assert_non_null(strstr(text, "A\\_note \\*of\\* any \\[kind\\]."));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type),
        cmocka_unit_test(defaults),
        cmocka_unit_test(a_wrong_value_keeps_its_default),
        cmocka_unit_test(wrong_types),
        cmocka_unit_test(bounds_choices_patterns),
        cmocka_unit_test(unknown_and_missing_keys),
        cmocka_unit_test(what_the_reader_reported_is_not_said_again),
        cmocka_unit_test(to_json_schema),
        cmocka_unit_test(to_scdoc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
