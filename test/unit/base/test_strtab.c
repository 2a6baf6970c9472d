/* The table against a plain array, at random. */
#include "base/mem.h"
#include "base/strtab.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

#define KEYS 300

static void it_behaves_as_an_array_does(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 20; round++) {
        struct strtab *t = strtab_new();
        void *model[KEYS] = {NULL};
        size_t count = 0;
        static char values[KEYS * 2];
        for (int i = 0; i < 5000; i++) {
            int k = rand_r(&seed) % (round % 2 ? KEYS : 20);
            char key[16];
            int n = snprintf(key, sizeof key, "key-%d", k);
            struct str view = {key, (size_t)n};
            int what = rand_r(&seed) % 4;
            if (what < 2) {
                void *value = &values[k + (what ? KEYS : 0)];
                assert_ptr_equal(strtab_put(t, view, value), model[k]);
                count += !model[k];
                model[k] = value;
            } else if (what == 2) {
                assert_ptr_equal(strtab_remove(t, view), model[k]);
                count -= model[k] != NULL;
                model[k] = NULL;
            }
            assert_ptr_equal(strtab_get(t, view), model[k]);
            assert_int_equal(strtab_count(t), count);
        }
        bool seen[KEYS] = {false};
        size_t at = 0, visited = 0;
        struct str key;
        void *value;
        while (strtab_next(t, &at, &key, &value)) {
            int k = atoi(key.p + 4);
            assert_false(seen[k]);
            assert_ptr_equal(value, model[k]);
            seen[k] = true;
            visited++;
        }
        assert_int_equal(visited, count);
        strtab_free(t);
    }
}

static void any_bytes_are_a_key(void **state)
{
    (void)state;
    struct strtab *t = strtab_new();
    int a, b, c;
    assert_null(strtab_put(t, STR(""), &a));
    assert_null(strtab_put(t, (struct str){"x\0y", 3}, &b));
    assert_null(strtab_put(t, (struct str){"x\0z", 3}, &c));
    assert_ptr_equal(strtab_get(t, STR("")), &a);
    assert_ptr_equal(strtab_get(t, (struct str){"x\0y", 3}), &b);
    assert_null(strtab_get(t, STR("x")));
    char key[] = "mine";
    strtab_put(t, str_of(key), &a);
    key[0] = 'd'; /* it was copied */
    assert_ptr_equal(strtab_get(t, STR("mine")), &a);
    strtab_freep(&t);
    assert_null(t);
    strtab_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_behaves_as_an_array_does),
        cmocka_unit_test(any_bytes_are_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
