/* See faults.h and api.h. */
#include "sandbox/faults.h"
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)4 << 20)

#define SECONDS_MAX 86400.0

const struct fault_info fault_infos[FAULT_KIND_COUNT] = {
    [FAULT_THROTTLE] = {"throttle", FAULT_POINT_BEFORE, NULL, false, 0, 0, 0,
                        "asked too often: RequestLimitExceeded, 503"},
    [FAULT_ERROR] = {"error", FAULT_POINT_BEFORE, "500|503", false, 500, 503, 500,
                     "the server fails: InternalError, or Unavailable"},
    [FAULT_UNAUTHORIZED] = {"unauthorized", FAULT_POINT_BEFORE, NULL, false, 0, 0, 0,
                            "the user may not: UnauthorizedOperation, 403"},
    [FAULT_EXPIRED] = {"expired", FAULT_POINT_BEFORE, NULL, false, 0, 0, 0,
                       "the credentials have expired: RequestExpired, ExpiredToken"},
    [FAULT_DROP_BEFORE] = {"drop-before", FAULT_POINT_BEFORE, NULL, false, 0, 0, 0,
                           "the connection breaks; the request has no effect"},
    [FAULT_DROP_AFTER] = {"drop-after", FAULT_POINT_AFTER, NULL, false, 0, 0, 0,
                          "the request has its effect; then the connection breaks"},
    [FAULT_HOLD_BEFORE] = {"hold-before", FAULT_POINT_BEFORE, "SECONDS", false, 0, SECONDS_MAX,
                           FAULT_FOREVER,
                           "the request hangs before its effect, for a time or until 'release'"},
    [FAULT_HOLD_AFTER] = {"hold-after", FAULT_POINT_AFTER, "SECONDS", false, 0, SECONDS_MAX,
                          FAULT_FOREVER,
                          "the request has its effect; its answer hangs, or until 'release'"},
    [FAULT_CAPACITY] = {"capacity", FAULT_POINT_LAUNCH, NULL, false, 0, 0, 0,
                        "no such machine now: InsufficientInstanceCapacity, 500"},
    [FAULT_QUOTA] = {"quota", FAULT_POINT_LAUNCH, NULL, false, 0, 0, 0,
                     "the account's quota is used up: VcpuLimitExceeded, 400"},
    [FAULT_PARTIAL] = {"partial", FAULT_POINT_LAUNCH, "N", true, 0, 100000, 0,
                       "a launch gets no more than N instances"},
    [FAULT_LATE_ADDRESS] = {"late-address", FAULT_POINT_INSTANCE, "SECONDS", true, 0, SECONDS_MAX,
                            0, "an instance shows its addresses that much later"},
    [FAULT_NEVER_BOOTS] = {"never-boots", FAULT_POINT_INSTANCE, NULL, false, 0, 0, 0,
                           "an instance is running, but its sshd never answers"},
    [FAULT_FOREIGN_HOST_KEY] = {"foreign-host-key", FAULT_POINT_INSTANCE, NULL, false, 0, 0, 0,
                                "an instance shows a host key that nobody gave it"},
    [FAULT_SKEW] = {"skew", FAULT_POINT_CLOCK, "SECONDS", true, -1e8, 1e8, 0,
                    "the server's clock differs from ours by this much"},
};

struct faults {
    char *path;
    struct fault items[FAULTS_MAX];
    size_t count;
    int next_id;
    struct fault last; /* what faults_for_request() lent */
};

bool fault_kind_from_name(const char *name, enum fault_kind *out)
{
    for (int i = 0; i < FAULT_KIND_COUNT; i++) {
        if (strcmp(name, fault_infos[i].name) == 0) {
            *out = (enum fault_kind)i;
            return true;
        }
    }
    return false;
}

/* ---- keeping -------------------------------------------------------------------------------- */

static void drop_texts(struct fault *f)
{
    free((char *)f->action);
    free((char *)f->type);
    free((char *)f->zone);
}

static void append(struct faults *f, const struct fault *from)
{
    struct fault *to = &f->items[f->count++];
    *to = *from;
    to->action = mem_dup(from->action);
    to->type = mem_dup(from->type);
    to->zone = mem_dup(from->zone);
}

static void remove_at(struct faults *f, size_t at)
{
    drop_texts(&f->items[at]);
    f->count--;
    memmove(&f->items[at], &f->items[at + 1], (f->count - at) * sizeof f->items[0]);
}

static void set_text(json_t *j, const char *key, const char *text)
{
    if (text)
        json_object_set_new(j, key, json_string(text));
}

json_t *faults_list(const struct faults *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->count; i++) {
        const struct fault *one = &f->items[i];
        json_t *j = json_object();
        json_object_set_new(j, "id", json_integer(one->id));
        json_object_set_new(j, "kind", json_string(fault_infos[one->kind].name));
        set_text(j, "action", one->action);
        set_text(j, "type", one->type);
        set_text(j, "zone", one->zone);
        if (fault_infos[one->kind].unit)
            json_object_set_new(j, "value", json_real(one->value));
        json_object_set_new(j, "count", json_integer(one->count));
        json_object_set_new(j, "skip", json_integer(one->skip));
        json_array_append_new(list, j);
    }
    return list;
}

static int save(const struct faults *f, struct err *err)
{
    json_auto_t *j = json_object();
    json_object_set_new(j, "faults", faults_list(f));
    json_object_set_new(j, "next_id", json_integer(f->next_id));
    AUTO_BUF struct buf text = {0};
    json_write(j, true, &text);
    return fs_write_atomic(f->path, 0600, buf_view(&text), err);
}

static int check(const struct fault *fault, struct err *err)
{
    const struct fault_info *info = &fault_infos[fault->kind];
    bool launch = info->point == FAULT_POINT_LAUNCH || info->point == FAULT_POINT_INSTANCE;
    bool clock = info->point == FAULT_POINT_CLOCK;
    if (clock && (fault->action || fault->type || fault->zone || fault->skip))
        return err_set(err, ERR_USAGE,
                       "'%s' is of the whole server: it takes no action, type, zone "
                       "or skip",
                       info->name);
    if (launch && fault->action && strcmp(fault->action, "RunInstances") != 0)
        return err_set(err, ERR_USAGE, "'%s' is a fault of RunInstances, not of %s", info->name,
                       fault->action);
    if (fault->count == 0 || fault->count < FAULT_FOREVER || fault->skip < 0)
        return err_set(err, ERR_USAGE, "a fault's count is at least 1, its skip at least 0");
    if (fault->kind == FAULT_ERROR && fault->value != 500 && fault->value != 503)
        return err_set(err, ERR_USAGE, "'error' takes 500 or 503");
    bool lasting = (fault->kind == FAULT_HOLD_BEFORE || fault->kind == FAULT_HOLD_AFTER) &&
                   fault->value == FAULT_FOREVER;
    bool between = fault->value >= info->min && fault->value <= info->max;
    if (info->unit && !between && !lasting)
        return err_set(err, ERR_USAGE, "'%s' takes a value from %g to %g", info->name, info->min,
                       info->max);
    return 0;
}

static int load_one(struct faults *f, const json_t *j)
{
    const char *kind = json_text(j, "kind");
    struct fault one = {.id = (int)json_integer_value(json_object_get(j, "id")),
                        .action = json_text(j, "action"),
                        .type = json_text(j, "type"),
                        .zone = json_text(j, "zone"),
                        .value = json_number_value(json_object_get(j, "value")),
                        .count = json_integer_value(json_object_get(j, "count")),
                        .skip = json_integer_value(json_object_get(j, "skip"))};
    if (!kind || !fault_kind_from_name(kind, &one.kind) || one.id <= 0 || f->count == FAULTS_MAX)
        return -1;
    if (check(&one, NULL) == -1)
        return -1;
    append(f, &one);
    return 0;
}

static int load(struct faults *f, struct err *err)
{
    AUTO_BUF struct buf text = {0};
    struct err why = {0};
    if (fs_read(f->path, FILE_MAX, &text, &why) == -1)
        return why.code == ERR_NOT_FOUND ? 0 : err_copy(err, &why);
    json_auto_t *j = NULL;
    if (json_parse(buf_view(&text), FILE_MAX, &j, err) == -1)
        return err_wrap(err, "'%s'", f->path);
    f->next_id = (int)json_integer_value(json_object_get(j, "next_id"));
    json_t *list = json_object_get(j, "faults"), *one;
    size_t i;
    bool good = json_is_array(list) && f->next_id > 0;
    json_array_foreach(list, i, one)
    {
        good = good && load_one(f, one) == 0;
    }
    return good ? 0 : err_set(err, ERR_PARSE, "'%s' is damaged", f->path);
}

int faults_open(const char *path, struct faults **out, struct err *err)
{
    struct faults *f = mem_alloc(sizeof *f);
    f->path = mem_dup(path);
    f->next_id = 1;
    if (load(f, err) == -1) {
        faults_free(f);
        return -1;
    }
    *out = f;
    return 0;
}

void faults_free(struct faults *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        drop_texts(&f->items[i]);
    drop_texts(&f->last);
    free(f->path);
    free(f);
}

int faults_add(struct faults *f, const struct fault *fault, struct err *err)
{
    if (check(fault, err) == -1)
        return -1;
    if (f->count == FAULTS_MAX)
        return err_set(err, ERR_LIMIT, "there are %d faults already, the most there can be",
                       FAULTS_MAX);
    append(f, fault);
    f->items[f->count - 1].id = f->next_id++;
    if (save(f, err) == -1) {
        remove_at(f, f->count - 1);
        return -1;
    }
    return f->items[f->count - 1].id;
}

int faults_clear(struct faults *f, int id, struct err *err)
{
    int removed = 0;
    for (size_t i = f->count; i-- > 0;) {
        if (id && f->items[i].id != id)
            continue;
        remove_at(f, i);
        removed++;
    }
    if (id && removed == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no fault %d", id);
    return save(f, err) == -1 ? -1 : removed;
}

/* ---- acting --------------------------------------------------------------------------------- */

static bool fits(const char *wanted, const char *is)
{
    return !wanted || (is && strcmp(wanted, is) == 0);
}

/* Whether the fault acts now. One that has acted its last time goes. */
static bool fires(struct faults *f, size_t *at, struct fault *out)
{
    struct fault *one = &f->items[*at];
    if (one->skip > 0) {
        one->skip--;
        (void)save(f, NULL); /* a lost count is no reason to fail a request */
        return false;
    }
    *out = *one;
    if (one->count != FAULT_FOREVER && --one->count == 0) {
        remove_at(f, *at);
        (*at)--;
    }
    (void)save(f, NULL);
    return true;
}

static bool is_for(const struct fault *f, enum fault_point point, const struct fault_target *t)
{
    return fault_infos[f->kind].point == point && fits(f->action, t->action) &&
           fits(f->type, t->type) && fits(f->zone, t->zone);
}

/* The next one that acts on the target, from *at on; false where there is none. */
static bool next_fault(struct faults *f, enum fault_point point, const struct fault_target *t,
                       size_t *at, struct fault *out)
{
    for (; *at < f->count; (*at)++) {
        if (is_for(&f->items[*at], point, t) && fires(f, at, out)) {
            (*at)++;
            return true;
        }
    }
    return false;
}

const struct fault *faults_for_request(struct faults *f, enum fault_point point,
                                       const struct fault_target *target)
{
    size_t at = 0;
    struct fault fired;
    if (!f || !next_fault(f, point, target, &at, &fired))
        return NULL;
    fired.action = fired.type = fired.zone = NULL;
    f->last = fired;
    return &f->last;
}

usec_t faults_skew(const struct faults *f)
{
    double seconds = 0;
    for (size_t i = 0; f && i < f->count; i++) {
        if (f->items[i].kind == FAULT_SKEW)
            seconds += f->items[i].value;
    }
    return (usec_t)(seconds * (double)USEC_PER_SEC);
}

static void apply_to_launch(const struct fault *fired, struct fault_launch *out)
{
    if (fired->kind == FAULT_PARTIAL) {
        int n = (int)fired->value;
        out->at_most = out->at_most < 0 || n < out->at_most ? n : out->at_most;
    } else if (fired->kind == FAULT_QUOTA) {
        out->code = "VcpuLimitExceeded";
        out->status = 400;
        out->message =
            "You have requested more vCPU capacity than your current vCPU limit allows for "
            "the instance bucket that the specified instance type belongs to. Please "
            "visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment "
            "to this limit.";
    } else {
        out->code = "InsufficientInstanceCapacity";
        out->status = 500;
        out->message =
            "We currently do not have sufficient capacity of the requested instance type "
            "in the Availability Zone you requested. Our system will be working on "
            "provisioning additional capacity.";
    }
}

void faults_for_launch(struct faults *f, const char *type, const char *zone,
                       struct fault_launch *out)
{
    struct fault_target t = {"RunInstances", type, zone};
    struct fault fired;
    size_t at = 0;
    *out = (struct fault_launch){.at_most = -1};
    while (f && !out->code && next_fault(f, FAULT_POINT_LAUNCH, &t, &at, &fired))
        apply_to_launch(&fired, out);
}

void faults_for_instance(struct faults *f, const char *type, const char *zone,
                         struct fault_instance *out)
{
    struct fault_target t = {"RunInstances", type, zone};
    struct fault fired;
    size_t at = 0;
    *out = (struct fault_instance){0};
    while (f && next_fault(f, FAULT_POINT_INSTANCE, &t, &at, &fired)) {
        if (fired.kind == FAULT_LATE_ADDRESS)
            out->late_addresses = (usec_t)(fired.value * (double)USEC_PER_SEC);
        else if (fired.kind == FAULT_NEVER_BOOTS)
            out->never_boots = true;
        else
            out->foreign_host_key = true;
    }
}
