/* Published vectors: FIPS 180-4, RFC 4231, RFC 4648. */
#include "base/digest.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

static void sha256(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char hex[SHA256_HEX_SIZE];
        digest_sha256_hex(str_of(rows[i].text), hex);
        assert_string_equal(hex, rows[i].hex);
    }
    AUTO_FREE char *million = mem_alloc(1000001);
    memset(million, 'a', 1000000);
    char hex[SHA256_HEX_SIZE];
    digest_sha256_hex(str_of(million), hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void check_hmac(struct str key, struct str data, const char *want)
{
    uint8_t raw[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    digest_hmac_sha256(key, data, raw);
    digest_hex(raw, sizeof raw, hex);
    assert_memory_equal(hex, want, strlen(want));
}

static void hmac(void **state)
{
    (void)state;
    char key[131], data[50], count[25];
    memset(key, 0x0b, 20);
    check_hmac((struct str){key, 20}, STR("Hi There"),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check_hmac(STR("Jefe"), STR("what do ya want for nothing?"),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 20);
    memset(data, 0xdd, 50);
    check_hmac((struct str){key, 20}, (struct str){data, 50},
               "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    for (int i = 0; i < 25; i++)
        count[i] = (char)(i + 1);
    memset(data, 0xcd, 50);
    check_hmac((struct str){count, 25}, (struct str){data, 50},
               "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    memset(key, 0x0c, 20);
    check_hmac((struct str){key, 20}, STR("Test With Truncation"),
               "a3b6167473100ee06e0c796c2955552b"); /* truncated to 128 bits in the RFC */
    memset(key, 0xaa, 131);
    check_hmac((struct str){key, 131},
               STR("Test Using Larger Than Block-Size Key - Hash Key First"),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    check_hmac((struct str){key, 131},
               STR("This is a test using a larger than block-size key and a larger than "
                   "block-size data. The key needs to be hashed before being used by the HMAC "
                   "algorithm."),
               "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
    check_hmac(STR(""), STR(""),
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void base64(void **state)
{
    (void)state;
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        AUTO_BUF struct buf to = {0}, back = {0};
        digest_base64(str_of(plain[i]), &to);
        assert_string_equal(buf_text(&to), coded[i]);
        assert_true(digest_unbase64(str_of(coded[i]), &back));
        assert_string_equal(buf_text(&back), plain[i]);
    }
    for (size_t n = 0; n < 300; n++) {
        char raw[300];
        digest_random(raw, n ? n : 1);
        AUTO_BUF struct buf to = {0}, back = {0};
        digest_base64((struct str){raw, n}, &to);
        assert_true(digest_unbase64(buf_view(&to), &back));
        assert_int_equal(back.len, n);
        if (n)
            assert_memory_equal(back.data, raw, n);
    }
}

static void malformed_base64(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",
        "Zg",
        "Zg=",
        "Zg===",
        "=",
        "==",
        "====",
        "Z===",
        "Zg==Zg==",
        "Z=g=",
        "Zm9v=",
        "Zm9vZ",
        "Zm9*",
        "Zm9-",
        "Zm9_",
        "Zg== =",
        "\xff\xff\xff\xff",
        "Zm9v\x01",
        "=Zg=",
        "Zg==Z",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        AUTO_BUF struct buf out = {0};
        buf_adds(&out, "before");
        if (digest_unbase64(str_of(bad[i]), &out))
            fail_msg("taken: '%s'", bad[i]);
        assert_string_equal(buf_text(&out), "before");
    }
    AUTO_BUF struct buf spaced = {0};
    assert_true(digest_unbase64(STR(" Zm9v\r\n\tYm\n Fy \n"), &spaced));
    assert_string_equal(buf_text(&spaced), "foobar");
    AUTO_BUF struct buf small = {.max = 3};
    assert_false(digest_unbase64(STR("Zm9vYmFy"), &small));
    assert_int_equal(small.len, 0);
}

static void hex_and_random(void **state)
{
    (void)state;
    static const uint8_t raw[] = {0x00, 0x0f, 0xf0, 0xff, 0xa5};
    char hex[11];
    digest_hex(raw, sizeof raw, hex);
    assert_string_equal(hex, "000ff0ffa5");
    for (size_t n = 0; n < 300; n++) {
        char text[301];
        memset(text, 'X', sizeof text);
        digest_random_hex(text, n);
        assert_int_equal(strlen(text), n);
        assert_int_equal(strspn(text, "0123456789abcdef"), n);
    }
    uint8_t much[1000] = {0}; /* more than the kernel gives at once: all of it is filled */
    digest_random(much, sizeof much);
    for (size_t at = 0; at < sizeof much; at += 100) {
        int zeros = 0;
        for (size_t i = 0; i < 100; i++)
            zeros += much[at + i] == 0;
        assert_true(zeros < 50);
    }
    char a[33], b[33];
    digest_random_hex(a, 32);
    digest_random_hex(b, 32);
    assert_string_not_equal(a, b);
    assert_true(digest_equal(STR("same"), STR("same")));
    assert_false(digest_equal(STR("same"), STR("sane")));
    assert_false(digest_equal(STR("same"), STR("sam")));
    assert_true(digest_equal(STR(""), STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256),         cmocka_unit_test(hmac),
        cmocka_unit_test(base64),         cmocka_unit_test(malformed_base64),
        cmocka_unit_test(hex_and_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
