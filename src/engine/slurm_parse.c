/* What Slurm's programs and its list of ended jobs say. All of it is from outside: a job's name may
 * hold anything, so the fields before it are looked at first, and those after it only where the
 * name is one of ours. */
#include "engine/slurm_priv.h"
#include <stdio.h>
#include <string.h>

bool slurm_number(struct str text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (text.n == 0)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.p[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

bool slurm_is_token(struct str text)
{
    if (text.n != SLURM_TOKEN)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (!memchr("0123456789abcdef", text.p[i], 16))
            return false;
    }
    return true;
}

static bool take_name(struct str name, struct slurm_task *task)
{
    if (!str_starts(name, SLURM_NAME))
        return false;
    struct str token = {name.p + strlen(SLURM_NAME), name.n - strlen(SLURM_NAME)};
    if (!slurm_is_token(token))
        return false;
    snprintf(task->token, sizeof task->token, "%.*s", STR_FMT(token));
    return true;
}

static const struct {
    const char *name;
    enum slurm_state state;
} states[] = {
    {"PENDING", SLURM_PENDING},         {"REQUEUED", SLURM_PENDING},
    {"COMPLETED", SLURM_COMPLETED},     {"FAILED", SLURM_FAILED},
    {"CANCELLED", SLURM_CANCELLED},     {"TIMEOUT", SLURM_TIMEOUT},
    {"DEADLINE", SLURM_TIMEOUT},        {"NODE_FAIL", SLURM_NODE_FAIL},
    {"BOOT_FAIL", SLURM_NODE_FAIL},     {"PREEMPTED", SLURM_NODE_FAIL},
    {"LAUNCH_FAILED", SLURM_NODE_FAIL}, {"OUT_OF_MEMORY", SLURM_OUT_OF_MEMORY},
};

static enum slurm_state state_of(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        if (str_is(name, states[i].name))
            return states[i].state;
    }
    return SLURM_ALIVE;
}

/* A node's name; what cannot be one is left out. */
static void take_node(struct str node, struct slurm_word *word)
{
    word->node[0] = '\0';
    if (node.n == 0 || node.n >= sizeof word->node || str_is(node, "(null)"))
        return;
    for (size_t i = 0; i < node.n; i++) {
        if ((unsigned char)node.p[i] <= ' ' || (unsigned char)node.p[i] >= 0x7f || node.p[i] == '/')
            return;
    }
    snprintf(word->node, sizeof word->node, "%.*s", STR_FMT(node));
}

/* ---- the list of ended jobs ------------------------------------------------------------------ */

/* Moves *rest behind "KEY=value " and returns the value; false where the next field is another. */
static bool next_field(struct str *rest, const char *key, struct str *value)
{
    if (!rest->p || !str_starts(*rest, key))
        return false;
    rest->p += strlen(key);
    rest->n -= strlen(key);
    *value = str_cut(rest, ' ');
    return true;
}

/* The value of " KEY=value " anywhere in what follows our own name, where all is Slurm's. */
static struct str find_field(struct str text, const char *key)
{
    while (text.p) {
        struct str field = str_cut(&text, ' ');
        if (str_starts(field, key))
            return (struct str){field.p + strlen(key), field.n - strlen(key)};
    }
    return (struct str){NULL, 0};
}

/* "user(1000)" */
static bool is_uid(struct str user, uint64_t uid)
{
    uint64_t number;
    if (!str_ends(user, ")"))
        return false;
    size_t at = user.n - 1;
    while (at > 0 && user.p[at - 1] != '(')
        at--;
    return at > 0 &&
           slurm_number((struct str){user.p + at, user.n - 1 - at}, UINT32_MAX, &number) &&
           number == uid;
}

bool slurm_parse_ended(struct str line, uint64_t uid, struct slurm_task *task,
                       struct slurm_word *word)
{
    struct str rest = line, job, user, group, name, state;
    struct slurm_task t = {0};
    struct slurm_word w = {.exit_status = -1, .signal = -1};
    uint64_t index, number;
    if (!next_field(&rest, "JobId=", &job) || !next_field(&rest, "UserId=", &user) ||
        !is_uid(user, uid) || !next_field(&rest, "GroupId=", &group) ||
        !next_field(&rest, "Name=", &name) || !take_name(name, &t) ||
        !next_field(&rest, "JobState=", &state))
        return false;
    if (!slurm_number(find_field(rest, "ArrayTaskId="), UINT32_MAX, &index) ||
        !slurm_number(find_field(rest, "ArrayJobId="), UINT64_MAX, &t.job))
        return false;
    t.index = (uint32_t)index;
    w.state = state_of(state);
    take_node(find_field(rest, "NodeList="), &w);
    struct str code = find_field(rest, "ExitCode=");
    struct str status = str_cut(&code, ':');
    if (code.p && slurm_number(status, 255, &number)) {
        w.exit_status = (int)number;
        if (slurm_number(code, 255, &number))
            w.signal = (int)number;
    }
    *task = t;
    *word = w;
    return true;
}

/* ---- squeue, sinfo, scontrol, sbatch --------------------------------------------------------- */

bool slurm_parse_queue(struct str line, struct slurm_task *task, struct slurm_word *word)
{
    struct str rest = line;
    struct str job = str_cut(&rest, '|'), index = str_cut(&rest, '|'), state = str_cut(&rest, '|'),
               node = str_cut(&rest, '|');
    struct slurm_task t = {0};
    struct slurm_word w = {.exit_status = -1, .signal = -1};
    uint64_t number;
    if (!rest.p || !take_name(rest, &t) || !slurm_number(job, UINT64_MAX, &t.job) ||
        !slurm_number(index, UINT32_MAX, &number))
        return false;
    t.index = (uint32_t)number;
    w.state = state_of(state);
    take_node(node, &w);
    *task = t;
    *word = w;
    return true;
}

/* "gpu:2", "gpu:a10g:4(S:0-1)", with other things between commas: a comma within parentheses only
 * begins what is no "gpu:". */
static uint64_t count_gpus(struct str gres)
{
    uint64_t sum = 0;
    while (gres.p) {
        struct str one = str_cut(&gres, ',');
        if (!str_starts(one, "gpu:"))
            continue;
        struct str plain = str_cut(&one, '('), last = plain;
        while (plain.p)
            last = str_cut(&plain, ':');
        uint64_t n;
        if (slurm_number(last, 1024, &n))
            sum += n;
    }
    return sum;
}

bool slurm_parse_node(struct str line, struct slurm_cluster *sum)
{
    struct str rest = line;
    (void)str_cut(&rest, '|');
    struct str cpus = str_cut(&rest, '|');
    uint64_t allocated, idle;
    struct str a = str_cut(&cpus, '/'), b = str_cut(&cpus, '/');
    if (!rest.p || !cpus.p || !slurm_number(a, 1 << 20, &allocated) ||
        !slurm_number(b, 1 << 20, &idle))
        return false;
    if (allocated + idle == 0) /* it is down */
        return true;
    sum->cpus += allocated + idle;
    sum->gpus += count_gpus(str_cut(&rest, '|'));
    return true;
}

bool slurm_parse_array_max(struct str text, uint64_t *out)
{
    while (text.p) {
        struct str line = str_cut(&text, '\n');
        struct str key = str_trim(str_cut(&line, '='));
        if (str_is(key, "MaxArraySize") && line.p)
            return slurm_number(str_trim(line), UINT32_MAX, out);
    }
    return false;
}

bool slurm_parse_job(struct str text, uint64_t *out)
{
    struct str line = str_cut(&text, '\n');
    uint64_t job;
    if (!slurm_number(str_trim(str_cut(&line, ';')), UINT64_MAX, &job) || job == 0)
        return false;
    *out = job;
    return true;
}

void slurm_first_line(struct str text, char *out, size_t size)
{
    struct str line = {NULL, 0};
    while (text.p && line.n == 0)
        line = str_trim(str_cut(&text, '\n'));
    for (const char *prefix = "sbatch: error: "; str_starts(line, prefix);) {
        line.p += strlen(prefix);
        line.n -= strlen(prefix);
    }
    size_t n = 0;
    for (size_t i = 0; i < line.n && n + 1 < size; i++) {
        unsigned char c = (unsigned char)line.p[i];
        out[n++] = c < ' ' || c >= 0x7f ? '?' : (char)c;
    }
    out[n] = '\0';
}
