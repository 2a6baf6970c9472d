/* What the files of this room share. See cluster.h for the whole. */
#ifndef FLAMBE_CLUSTER_PRIV_H
#define FLAMBE_CLUSTER_PRIV_H

#include "cluster/cluster.h"
#include "os/lock.h"

/* The tags by which a cluster is found: the original's. */
#define TAG_CREATOR "creator"
#define TAG_PURPOSE "Purpose"
#define TAG_PURPOSE_VALUE "flambe"
#define TAG_CLUSTER "Cluster-Name"
#define TAG_ROLE "Role"
#define TAG_NAME "Name"

/* ---- host.c ------------------------------------------------------------------------------- */

/* "mine_orchestrator", "mine_factory_3"; the caller frees. */
char *host_name(const char *cluster, enum cluster_role role, int index);
/* The Name tag of factories first … last that one call launches. */
char *host_batch_name(const char *cluster, int first, int last);
/* The first and last factory number in a Name tag of ours; false where it is none. */
bool host_batch_parse(struct str name, const char *cluster, int *first, int *last);

void host_done(struct cluster_host *h);
struct cluster_host *hosts_push(struct cluster_hosts *h);
void hosts_copy(struct cluster_hosts *to, const struct cluster_hosts *from);
struct cluster_host *hosts_find(const struct cluster_hosts *h, const char *instance_id);
void hosts_sort(struct cluster_hosts *h);
/* Adds the instances as hosts of `cluster`: role and number from the tags, each number once. */
void hosts_from_instances(const char *cluster, const struct ec2_instances *found,
                          struct cluster_hosts *out);
/* Takes over what EC2 says now, without touching the phase. */
void host_update(struct cluster_host *h, const struct ec2_instance *i);
enum host_phase host_phase_of_state(enum ec2_state s);
/* The one setter of a host's phase; reports to the watch where phase or note changed. */
void host_set_phase(struct cluster *c, struct cluster_hosts *hosts, size_t index,
                    enum host_phase phase, const char *note);
void step(struct cluster *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void warn_user(struct cluster *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

struct pins;

/* ---- targets.c ---------------------------------------------------------------------------- */

/* Reads the console output of running hosts that have no pin, and pins what EC2 vouches for. */
int pinfile_learn(struct cluster *c, struct pins *pins, const struct cluster_hosts *hosts,
                  struct err *err) MUST_CHECK;

/* ---- observe.c ---------------------------------------------------------------------------- */

/* Escapes what EC2's filters read as wildcards; the caller frees. */
char *filter_escape(const char *s);
/* Starts DescribeInstances by the cluster's tags; with_terminated also shows the terminated. */
struct aws_call *observe_start(struct cluster *c, const char *creator, const char *name,
                               bool with_terminated);

/* ---- machines.c --------------------------------------------------------------------------- */

void hosts_from_machines(const char *cluster, const struct cluster_machines *machines,
                         struct cluster_hosts *out);
/* cluster_observe() without AWS. */
int observe_machines(struct cluster *c, const char *creator, const char *name,
                     struct cluster_hosts *out, struct err *err) MUST_CHECK;

/* ---- state.c: STATE_ROOT/clusters/REGION/CREATOR/NAME/ ------------------------------------- */

char *state_path(struct cluster *c, const char *creator, const char *name, const char *file);
/* A name as a path component: what is not a letter, digit, '-', '_' or '.' becomes %XX. */
char *state_component(const char *s);
/* Makes the directory (0700) and takes its lock. */
int state_lock(struct cluster *c, const char *creator, const char *name, struct lock **out,
               struct err *err) MUST_CHECK;
/* The stamp changes with every run that acts; empty where there is none. */
void state_stamp(struct cluster *c, const char *creator, const char *name, char out[33]);
int state_stamp_renew(struct cluster *c, const char *creator, const char *name,
                      struct err *err) MUST_CHECK;

/* ---- journal.c ---------------------------------------------------------------------------- */

/* A launch that was, or is about to be, sent: enough to send it again and know its machines. */
struct launch_entry {
    char *token;    /* the client token */
    char *body;     /* the encoded request; holds the bootstrap host key */
    char *host_key; /* the bootstrap key's public line */
    enum cluster_role role;
    int first, count; /* a factory batch's numbers */
    usec_t at;        /* wall time */
};

struct journal {
    char *path;
    struct launch_entry *pending; /* launches without an answer, oldest first */
    size_t count, cap;
    bool mended; /* a torn last line is cut off before the first write */
};

#define JOURNAL_BYTES_MAX ((size_t)64 << 20)

/* Reads what is there; a last line cut short by a crash is dropped. ERR_PARSE where the file is no
 * journal of ours. */
int journal_open(const char *path, struct journal *out, struct err *err) MUST_CHECK;
void journal_done(struct journal *j);
/* Writes the entry and syncs it, before the launch is sent. Takes the entry's strings. */
int journal_begin(struct journal *j, struct launch_entry *e, struct err *err) MUST_CHECK;
/* The launch was answered and its hosts' pins are written. The journal is emptied, and with it the
 * bootstrap keys, as soon as nothing is pending. */
int journal_end(struct journal *j, const char *token, struct err *err) MUST_CHECK;

/* What to do with a pending launch on the next run. */
enum journal_verdict { JOURNAL_REPLAY, JOURNAL_FORGET };
/* After this long DescribeInstances shows whatever the launch made, and a launch that never arrived
 * is no longer wanted: the plan decides anew. */
#define JOURNAL_REPLAY_WITHIN (10 * USEC_PER_MIN)
enum journal_verdict journal_judge(const struct launch_entry *e, usec_t now);
/* Whether a failed replay ends the entry for good (`origin` is EC2's code). */
bool journal_replay_is_final(const struct err *e);

/* ---- recent.c ----------------------------------------------------------------------------- */

#define RECENT_FOR                                                                \
    (15 * USEC_PER_SEC) /* by then DescribeInstances shows what RunInstances made \
                         */

int recent_add(struct cluster *c, const char *creator, const char *name,
               const struct ec2_instances *made, struct err *err) MUST_CHECK;
/* The instances that this laptop launched less than RECENT_FOR ago. */
void recent_list(struct cluster *c, const char *creator, const char *name, struct strv *ids);
bool recent_all_seen(const struct strv *ids, const struct ec2_instances *found);

/* ---- pins.c: known_hosts ------------------------------------------------------------------ */

struct pin {
    char *host; /* the instance id */
    char *line; /* "ssh-ed25519 AAAA…" */
    bool first; /* the key that user data brought: nobody has reached the host yet */
};

struct pins {
    char *path;
    struct pin *items;
    size_t count, cap;
};

#define PINS_BYTES_MAX ((size_t)16 << 20)

/* A missing file is an empty list. Lines that are no pins are left out. */
int pinfile_load(const char *path, struct pins *out, struct err *err) MUST_CHECK;
void pinfile_done(struct pins *p);
size_t pinfile_count(const struct pins *p, const char *host);
/* Up to `max` of the host's lines, owned by the pins and valid until they change. */
size_t pinfile_get(const struct pins *p, const char *host, const char **lines, size_t max);
/* The host's pins from now on. Changes memory only: pinfile_save() writes. */
void pinfile_set(struct pins *p, const char *host, const char *const *lines, size_t count);
void pinfile_add(struct pins *p, const char *host, const char *line, bool first);
/* Whether the host was never reached: a first key is all that is pinned. */
bool pinfile_is_first(const struct pins *p, const char *host);
int pinfile_save(const struct pins *p, struct err *err) MUST_CHECK;
/* TYPE and BASE64 of a valid public line, without its comment; NULL if it is none. */
char *pin_clean(struct str line);
/* All keys in the last complete block that a console shows between BEGIN and END SSH HOST KEY KEYS.
 * False where there is none. */
bool console_host_keys(struct str console, struct strv *keys);

/* ---- record.c ----------------------------------------------------------------------------- */

int record_save(struct cluster *c, const struct cluster_spec *spec, struct err *err) MUST_CHECK;

/* ---- userdata.c --------------------------------------------------------------------------- */

#define USERDATA_MAX 16384

struct userdata {
    struct str host_key_private; /* an OpenSSH private key file */
    const char *host_key_public;
    int deadman_minutes;
    enum cluster_role role;
    bool slurm; /* whether the cluster's engine is Slurm */
};
/* ERR_LIMIT past USERDATA_MAX. */
int userdata_write(const struct userdata *u, struct buf *out, struct err *err) MUST_CHECK;

/* ---- scripts.c: what runs on hosts --------------------------------------------------------- */

#define COMMAND_CONTACT "sudo -n sh -s flambe-contact"
#define COMMAND_ACTIVATE "sudo -n sh -s flambe-contact-activate"
#define COMMAND_FINISH "sudo -n sh -s flambe-finish"
#define COMMAND_SETUP "sh -s flambe-setup"
/* Light: what a ready host says of itself. */
#define COMMAND_CHECK "cat /var/lib/flambe/ready /var/lib/flambe/cluster-key.pub 2>/dev/null; true"

/* Without `new_host_key` the host keeps its own key, and shows none. */
void script_contact(const char *instance_id, bool orchestrator, bool new_host_key, struct buf *out);
void script_activate(const char *instance_id, struct buf *out);
/* `nonce` marks our own lines among the commands' output. */
void script_setup(const struct strv *commands, const char *nonce, struct buf *out);

struct map_host {
    const char *name, *private_ip, *instance_id;
    const char *host_key; /* or NULL */
};
struct finish {
    const char *instance_id;
    bool orchestrator;
    const char *cluster_key; /* the public line, or NULL */
    const struct map_host *hosts;
    size_t count;
    const char *cluster; /* the name */
    int ssh_port;
    const char *setup_print, *map_print;
};
void script_finish(const struct finish *f, struct buf *out);
/* Fingerprints that a ready host keeps, so that a later run knows what to do again. */
void setup_print(const struct strv *commands, char out[17]);
void map_print(const struct map_host *hosts, size_t count, char out[17]);
/* What every script of root's begins with: $instance, $d, fail, and $user, $group and $home of the
 * login user. */
void script_prologue(const char *instance_id, struct buf *out);
/* Appends s as one word of a POSIX shell. */
void shell_quote(const char *s, struct buf *out);

/* "flambe: host-key …" and its like, from a host's output. The values are copies, cleaned and
 * valid, or NULL. */
struct contact_answer {
    char *host_key, *cluster_key;
    bool ok;
    char *error; /* "flambe: error …", printable, or NULL */
};
void contact_answer_read(struct str output, struct contact_answer *out);
void contact_answer_done(struct contact_answer *a);
/* The last printable line of a host's output, shortened; NULL where there is none. The caller
 * frees. */
char *last_line(struct str output);

struct check_answer {
    bool ready; /* a marker for this very instance was there */
    char setup_print[17], map_print[17];
    char *cluster_key; /* or NULL */
};
void check_answer_read(struct str output, const char *instance_id, struct check_answer *out);
void check_answer_done(struct check_answer *a);

/* ---- alarms.c ----------------------------------------------------------------------------- */

struct alarm_shape {
    int period_s, evaluations;
    double cpu_percent;
};
/* For an idle time in hours; 0 is five minutes. False for -1 (no alarm) and for more than
 * CloudWatch can hold (ALARM_HOURS_MAX). */
#define ALARM_HOURS_MAX 168
bool alarm_shape(enum cluster_role role, int hours, struct alarm_shape *out);
char *alarm_prefix(const char *creator, const char *name);
char *alarm_name(const char *creator, const char *name, const char *instance_id);

/* The alarms that this laptop knows to be in place, so that nothing is asked twice. */
struct alarm_work;
struct alarm_work *alarms_open(struct cluster *c, const struct cluster_spec *spec);
/* Whether something is left to do for these hosts. */
bool alarms_pending(struct alarm_work *w, const struct cluster_hosts *hosts);
/* Does a few (ALARMS_AT_ONCE) of them. Throttling is waited out; another failure ends the work with
 * a warning, since the dead-man and `down` do not need alarms. */
int alarms_step(struct alarm_work *w, const struct cluster_hosts *hosts,
                struct err *err) MUST_CHECK;
void alarms_close(struct alarm_work *w);

/* ---- launch.c ----------------------------------------------------------------------------- */

struct launch_role {
    char *image_id, *root_device;
};
struct cluster_launch {
    struct launch_role roles[2]; /* by enum cluster_role */
};

#define LAUNCH_BATCH_MAX 100 /* instances a call */

/* Launches everything that the plan creates. What was launched is in hosts; what was refused is in
 * `refusal` (ERR_NONE where all came). Fails only where nothing may go on. */
int launch_run(struct cluster *c, const struct cluster_spec *spec, const struct plan *plan,
               const struct cluster_launch *launch, struct journal *journal, struct pins *pins,
               struct cluster_hosts *hosts, struct err *refusal, struct err *err) MUST_CHECK;
int launch_resume(struct cluster *c, const char *creator, const char *name, struct journal *journal,
                  struct pins *pins, size_t *resumed, struct err *err) MUST_CHECK;
/* The plan's factories to create as runs of consecutive numbers, at most LAUNCH_BATCH_MAX each. */
struct batch {
    int first, count;
};
size_t launch_batches(const struct plan *plan, struct batch *out, size_t max);
int volume_iops(const char *volume_type, int gb);

/* ---- prices.c ----------------------------------------------------------------------------- */

/* US dollars an hour from the table compiled in; < 0 where it does not have the type. */
double price_listed(const char *type);

/* ---- contact.c ---------------------------------------------------------------------------- */

struct contacts;
struct contacts *contacts_new(struct cluster *c, const struct cluster_spec *spec,
                              const struct ssh_identity *identity, struct pins *pins,
                              struct cluster_hosts *hosts);
void contacts_free(struct contacts *cs);
/* Looks at all hosts again: starts with those that have an address now, gives up those that EC2
 * says are going. Call it after each poll. */
void contacts_update(struct contacts *cs);
/* Whether every host is ready or failed. */
bool contacts_settled(void *contacts);
/* Whether EC2 has to be asked again for addresses and states. */
bool contacts_want_poll(const struct contacts *cs);
/* The gravest failure of all hosts; ERR_NONE where all are ready. */
enum err_code contacts_failure(const struct contacts *cs);
const char *contacts_error(const struct contacts *cs, size_t host);

#endif
