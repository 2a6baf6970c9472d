/* Faults on demand: what the operator asked to go wrong, and how often.
 *
 * A fault waits for `skip` matching requests to pass, then acts `count` times and is gone. All are
 * in one file, written at each change, so that they survive a restart and a kill. What a launch
 * asks is in api.h. */
#ifndef FLAMBE_SANDBOX_FAULTS_H
#define FLAMBE_SANDBOX_FAULTS_H

#include "base/err.h"
#include "sandbox/api.h"

enum fault_kind {
    FAULT_THROTTLE,
    FAULT_ERROR,
    FAULT_UNAUTHORIZED,
    FAULT_EXPIRED,
    FAULT_DROP_BEFORE,
    FAULT_DROP_AFTER,
    FAULT_HOLD_BEFORE,
    FAULT_HOLD_AFTER,
    FAULT_CAPACITY,
    FAULT_QUOTA,
    FAULT_PARTIAL,
    FAULT_LATE_ADDRESS,
    FAULT_NEVER_BOOTS,
    FAULT_FOREIGN_HOST_KEY,
    FAULT_SKEW,
    FAULT_KIND_COUNT,
};

/* Where a fault acts. */
enum fault_point {
    FAULT_POINT_BEFORE,   /* a request, before its effect */
    FAULT_POINT_AFTER,    /* … after it */
    FAULT_POINT_LAUNCH,   /* one launch */
    FAULT_POINT_INSTANCE, /* one instance of a launch */
    FAULT_POINT_CLOCK,    /* the server's clock, until it is cleared */
};

struct fault_info {
    const char *name;
    enum fault_point point;
    const char *unit; /* of its value, for the help; NULL: it has none */
    bool value_needed;
    double min, max, fallback;
    const char *help;
};
extern const struct fault_info fault_infos[FAULT_KIND_COUNT];
bool fault_kind_from_name(const char *name, enum fault_kind *out);

#define FAULT_FOREVER (-1) /* as a count; and as a hold's seconds: until it is released */
#define FAULTS_MAX 1000

struct fault {
    int id; /* given by faults_add() */
    enum fault_kind kind;
    const char *action, *type, *zone; /* NULL: any. Copied by faults_add() */
    double value;
    int64_t count, skip;
};

/* Reads the file; a missing one means none. ERR_PARSE where it is damaged. */
int faults_open(const char *path, struct faults **out, struct err *err) MUST_CHECK;
void faults_free(struct faults *f);

/* Checks that the fields go together; returns the id. */
int faults_add(struct faults *f, const struct fault *fault, struct err *err) MUST_CHECK;
/* Removes one, or all where id is 0; returns how many there were, or -1. */
int faults_clear(struct faults *f, int id, struct err *err) MUST_CHECK;
json_t *faults_list(const struct faults *f); /* an array; the caller owns it */

struct fault_target {
    const char *action, *type, *zone; /* NULL: it has none */
};
/* The fault that acts on a request at this point, or NULL; valid until the next call. */
const struct fault *faults_for_request(struct faults *f, enum fault_point point,
                                       const struct fault_target *target);
usec_t faults_skew(const struct faults *f); /* to add to the true time */

#endif
