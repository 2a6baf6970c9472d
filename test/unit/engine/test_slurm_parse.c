/* What Slurm prints: lines as Slurm 22.05 wrote them, and lines that others made look like them. */
#include "engine/slurm_priv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* After the headers above, as cmocka asks. */
#include <cmocka.h>

#define NAME "flambe-0123456789abcdef"
#define REST                                                                                  \
    " Partition=flambe TimeLimit=UNLIMITED StartTime=2026-11-25T13:30:48 "                    \
    "EndTime=2026-11-25T13:30:48 NodeList=w1 NodeCnt=1 ProcCnt=1 WorkDir=/ ReservationName= " \
    "Tres=cpu=1 Account= QOS= WcKey= Cluster=unknown SubmitTime=2026-11-25T13:30:47 "         \
    "EligibleTime=2026-11-25T13:30:47 "

static void a_list_of_ended_jobs(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool ours;
        enum slurm_state state;
        int status, signal;
    } rows[] = {
        {"JobId=12 UserId=u(1000) GroupId=u(1000) Name=" NAME " JobState=COMPLETED" REST
         "ArrayJobId=9 ArrayTaskId=6 DerivedExitCode=0:0 ExitCode=0:0 ",
         true, SLURM_COMPLETED, 0, 0},
        {"JobId=12 UserId=u(1000) GroupId=u(1000) Name=" NAME " JobState=FAILED" REST
         "ArrayJobId=9 ArrayTaskId=6 DerivedExitCode=0:0 ExitCode=127:0 ",
         true, SLURM_FAILED, 127, 0},
        {"JobId=12 UserId=u(1000) GroupId=u(1000) Name=" NAME " JobState=NODE_FAIL" REST
         "ArrayJobId=9 ArrayTaskId=6 DerivedExitCode=0:0 ExitCode=0:9 ",
         true, SLURM_NODE_FAIL, 0, 9},
        {"JobId=12 UserId=u(1000) GroupId=u(1000) Name=" NAME " JobState=NEW_IN_2030" REST
         "ArrayJobId=9 ArrayTaskId=6 ExitCode=0:9 ",
         true, SLURM_ALIVE, 0, 9},
        {"JobId=12 UserId=u(1000) GroupId=u(1000) Name=" NAME " JobState=FAILED" REST
         "ArrayJobId=9 ArrayTaskId=6 ExitCode=999:0 ",
         true, SLURM_FAILED, -1, -1},
        /* another user's, no array, another name, a name that goes on as the line would */
        {"JobId=12 UserId=u(1001) GroupId=u(1000) Name=" NAME " JobState=FAILED" REST
         "ArrayJobId=9 ArrayTaskId=6 ExitCode=0:9 "},
        {"JobId=12 UserId=1000) GroupId=u(1000) Name=" NAME " JobState=FAILED" REST
         "ArrayJobId=9 ArrayTaskId=6 ExitCode=0:9 "},
        {"JobId=12 UserId=u(1000) GroupId=u(1000) Name=" NAME " JobState=FAILED" REST
         "ExitCode=0:9 "},
        {"JobId=12 UserId=u(1000) GroupId=u(1000) Name=" NAME "0 JobState=FAILED" REST
         "ArrayJobId=9 ArrayTaskId=6 ExitCode=0:9 "},
        {"JobId=12 UserId=u(1000) GroupId=u(1000) Name=x Name=" NAME " JobState=FAILED" REST
         "ArrayJobId=9 ArrayTaskId=6 ExitCode=0:9 "},
        {"JobId=12 UserId=u(1000) GroupId=u(1000) Name=" NAME " x JobState=FAILED" REST
         "ArrayJobId=9 ArrayTaskId=6 ExitCode=0:9 "},
        {""},
        {"JobId="},
        {"JobId=12 UserId=u(1000)"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slurm_task task;
        struct slurm_word word;
        if (slurm_parse_ended(str_of(rows[i].line), 1000, &task, &word) != rows[i].ours)
            fail_msg("'%s'", rows[i].line);
        if (!rows[i].ours)
            continue;
        assert_string_equal(task.token, "0123456789abcdef");
        assert_int_equal(task.index, 6);
        assert_int_equal(task.job, 9);
        assert_string_equal(word.node, "w1");
        assert_int_equal(word.state, rows[i].state);
        assert_int_equal(word.exit_status, rows[i].status);
        assert_int_equal(word.signal, rows[i].signal);
    }
}

static void a_queue(void **state)
{
    (void)state;
    struct slurm_task task;
    struct slurm_word word;
    assert_true(slurm_parse_queue(STR("17|3|RUNNING|w2|" NAME), &task, &word));
    assert_int_equal(task.job, 17);
    assert_int_equal(task.index, 3);
    assert_int_equal(word.state, SLURM_ALIVE);
    assert_string_equal(word.node, "w2");
    assert_true(slurm_parse_queue(STR("17|30|PENDING||" NAME), &task, &word));
    assert_int_equal(word.state, SLURM_PENDING);
    assert_string_equal(word.node, "");
    assert_true(slurm_parse_queue(STR("17|30|OUT_OF_MEMORY|../x|" NAME), &task, &word));
    assert_int_equal(word.state, SLURM_OUT_OF_MEMORY);
    assert_string_equal(word.node, ""); /* no name of a host */
    static const char *const others[] = {"",
                                         "|",
                                         "17|3|RUNNING|w2",
                                         "17|N/A|RUNNING|w2|" NAME,
                                         "17|3|RUNNING|w2|a|" NAME,
                                         "||||x",
                                         "17|3|RUNNING|w2|" NAME "|"};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_false(slurm_parse_queue(str_of(others[i]), &task, &word));
}

static void nodes(void **state)
{
    (void)state;
    struct slurm_cluster sum = {0};
    assert_true(slurm_parse_node(STR("w1|2/6/0/8|(null)"), &sum));
    assert_true(slurm_parse_node(STR("w2|0/64/0/64|gpu:a10g:4(S:0-1),tmp:3,gpu:2"), &sum));
    assert_true(slurm_parse_node(STR("w3|0/0/8/8|gpu:7(S:0,1)"), &sum)); /* down */
    assert_true(slurm_parse_node(STR("w4|1/0/0/1|gpu:1(S:0,1)"), &sum));
    assert_int_equal(sum.cpus, 8 + 64 + 1);
    assert_int_equal(sum.gpus, 4 + 2 + 1);
    assert_false(slurm_parse_node(STR(""), &sum));
    assert_false(slurm_parse_node(STR("w1|2/6|x"), &sum));
    assert_false(slurm_parse_node(STR("w1|-2/6/0/8|x"), &sum));
}

static void numbers_and_messages(void **state)
{
    (void)state;
    uint64_t n;
    char line[32];
    assert_true(slurm_parse_job(STR("17\n"), &n) && n == 17);
    assert_true(slurm_parse_job(STR("18;lab\n"), &n) && n == 18);
    assert_false(slurm_parse_job(STR("Submitted batch job 17\n"), &n));
    assert_false(slurm_parse_job(STR("0\n"), &n));
    assert_false(slurm_parse_job(STR(""), &n));
    assert_true(slurm_parse_array_max(STR("A = 1\nMaxArraySize            = 5001\nB\n"), &n));
    assert_int_equal(n, 5001);
    assert_false(slurm_parse_array_max(STR("NotMaxArraySize = 5001\n"), &n));
    assert_false(slurm_number(STR("18446744073709551616"), UINT64_MAX, &n));
    assert_true(slurm_number(STR("18446744073709551615"), UINT64_MAX, &n) && n == UINT64_MAX);
    slurm_first_line(STR("\n \nsbatch: error: no \x1b[31msuch\nmore"), line, sizeof line);
    assert_string_equal(line, "no ?[31msuch");
    slurm_first_line(STR(""), line, sizeof line);
    assert_string_equal(line, "");
    slurm_first_line(STR("0123456789012345678901234567890123456789"), line, sizeof line);
    assert_int_equal(strlen(line), sizeof line - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_ended_jobs),
        cmocka_unit_test(a_queue),
        cmocka_unit_test(nodes),
        cmocka_unit_test(numbers_and_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
