/* Which GPUs are ours, told by an nvidia-smi of the test's own. */
#include "experiment/machine.h"
#include "place.h"

#define GPUS                                                      \
    "echo '0, GPU-aaaa1111-0000, NVIDIA A100-SXM4-80GB, 81920'; " \
    "echo '1, GPU-aaaa2222-0000, NVIDIA A100-SXM4-80GB, 81920'; " \
    "echo '2, GPU-bbbb3333-0000, Quadro, with a comma, 81920'"

static void assert_gpus(struct place *p, const char *visible, const char *want)
{
    if (visible)
        setenv("CUDA_VISIBLE_DEVICES", visible, 1);
    else
        unsetenv("CUDA_VISIBLE_DEVICES");
    struct machine m = machine_here(p->loop);
    AUTO_FREE char *ids = strv_join(&m.gpu_ids, " ");
    if (strcmp(ids, want) != 0)
        fail_msg("CUDA_VISIBLE_DEVICES=%s: '%s', not '%s'", visible ? visible : "(unset)", ids,
                 want);
    assert_int_equal(m.gpus, m.gpu_ids.count);
    assert_true(m.cpus > 0);
    machine_done(&m);
    unsetenv("CUDA_VISIBLE_DEVICES");
}

static void test_gpus(void **state)
{
    struct place *p = *state;
    place_program(p, "nvidia-smi", GPUS);
    assert_gpus(p, NULL, "0 1 2");
    assert_gpus(p, "", "");
    assert_gpus(p, "-1", "");
    assert_gpus(p, "2,0", "2 0");
    assert_gpus(p, " 1 , 2 ", "1 2");
    assert_gpus(p, "1,1,0", "1 0");
    assert_gpus(p, "0,7,1", "0"); /* CUDA looks at nothing behind what it does not know */
    assert_gpus(p, "GPU-bbbb", "GPU-bbbb3333-0000");
    assert_gpus(p, "GPU-aaaa2222-0000,GPU-bbbb", "GPU-aaaa2222-0000 GPU-bbbb3333-0000");
    assert_gpus(p, "GPU-aaaa", ""); /* two begin so */
    assert_gpus(p, "MIG-GPU-aaaa1111/1/0,MIG-x", "MIG-GPU-aaaa1111/1/0 MIG-x");
    assert_gpus(p, "nonsense", "");
}

static void test_what_it_is_asked(void **state)
{
    struct place *p = *state;
    AUTO_BUF struct buf text = {0};
    AUTO_FREE char *asked = fs_join(p->dir, "asked");
    AUTO_FREE char *script = mem_printf("echo \"$@\" >%s", asked);
    place_program(p, "nvidia-smi", script);
    assert_gpus(p, NULL, "");
    assert_int_equal(fs_read(asked, 1000, &text, NULL), 0);
    assert_string_equal(buf_text(&text), "--query-gpu=index,uuid,name,memory.total "
                                         "--format=csv,noheader,nounits\n");
}

static void test_broken(void **state)
{
    static const char *const scripts[] = {
        "echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9",
        GPUS "; exit 1",
        "echo 'No devices were found'",
        "kill -9 $$",
        "echo '0, GPU-x'",
        "echo 'x, GPU-x, name, 1'",
        "echo '0, other, name, 1'",
        ""};
    struct place *p = *state;
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        place_program(p, "nvidia-smi", scripts[i]);
        assert_gpus(p, NULL, "");
    }
}

static void test_without(void **state)
{
    struct place *p = *state;
    if (fs_exists("/dev/nvidiactl"))
        skip();
    setenv("PATH", p->dir, 1);
    assert_gpus(p, NULL, "");
    assert_gpus(p, "0", "");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {T(test_gpus), T(test_what_it_is_asked), T(test_broken),
                                       T(test_without)};
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
