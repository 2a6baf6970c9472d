/* Inside the sandbox's account: the resources, how they are kept, and how an instance lives.
 *
 * Every resource begins with `struct resource`, stands in its kind's list in the order of its
 * making (`seq`), and is found by its id. One table of fields a kind (world_kinds.c) drives saving,
 * loading and freeing, so that a new field is one row. Resources name each other by id; a reference
 * that must hold is proven when a state is loaded (world_state.c). */
#ifndef FLAMBE_SANDBOX_WORLD_PRIV_H
#define FLAMBE_SANDBOX_WORLD_PRIV_H

#include "base/mem.h"
#include "base/strtab.h"
#include "sandbox/catalog.h"
#include "sandbox/world.h"

/* ---- records: what a field table describes ------------------------------------------------- */

/* A growing array of records; items are of the size that its record names. */
struct vec {
    void *items;
    size_t count, cap;
};
void *vec_push(struct vec *v, size_t size); /* a zeroed new item at the end */
void vec_remove(struct vec *v, size_t size, size_t at);

enum field_type {
    FIELD_TEXT,   /* char *, owned; NULL is not written */
    FIELD_BOOL,   /* bool; false is not written */
    FIELD_INT,    /* int within [min, max]; 0 is not written */
    FIELD_TIME,   /* usec_t; 0 is not written */
    FIELD_NAME,   /* int: an index into `names`, written as its name */
    FIELD_LIST,   /* struct strv; empty is not written */
    FIELD_RECORDS /* struct vec of `item` */
};

struct record;
struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    int min, max;
    const char *const *names;
    size_t name_count;
    const struct record *item;
};
struct record {
    size_t size;
    const struct field *fields;
    size_t field_count;
};
void record_done(const struct record *rec, void *p);
json_t *record_save(const struct record *rec, const void *p);
/* `where` names the record in an error; unknown members are errors. */
int record_load(const struct record *rec, void *p, const json_t *j, const char *where,
                struct err *err) MUST_CHECK;

/* ---- resources ----------------------------------------------------------------------------- */

enum kind {
    KIND_VPC,
    KIND_SUBNET,
    KIND_GATEWAY,
    KIND_ROUTE_TABLE,
    KIND_GROUP,
    KIND_KEY_PAIR,
    KIND_PLACEMENT_GROUP,
    KIND_IMAGE, /* from the catalog: not saved */
    KIND_INSTANCE,
    KIND_VOLUME,
    KIND_INTERFACE,
    KIND_SPOT_REQUEST,
    KIND_COUNT
};

struct kind_info {
    const char *prefix;                /* of the id: "vpc-" */
    const char *type;                  /* the resource type of a tag specification: "vpc" */
    const char *plural;                /* its list in the state file: "vpcs"; NULL: not saved */
    const char *not_found, *malformed; /* EC2's codes */
    const char *label;                 /* in "The LABEL 'vpc-…' does not exist" */
    const struct record *record;
};
extern const struct kind_info kinds[KIND_COUNT];

struct tag {
    char *key, *value;
};

struct resource {
    enum kind kind;
    char *id;
    int64_t seq;
    usec_t created;
    struct vec tags; /* of struct tag */
};

#define TAGS_MAX 50
#define TAG_KEY_MAX 127
#define TAG_VALUE_MAX 255

const char *tag_get(const struct resource *r, const char *key);
void tag_set(struct resource *r, const char *key, const char *value);
void tag_remove(struct resource *r, const char *key, const char *value); /* NULL: any value */

struct world_vpc {
    struct resource r;
    char *cidr;
    bool dns_hostnames, dns_support, is_default;
};

struct world_subnet {
    struct resource r;
    char *vpc_id, *cidr, *zone;
    bool map_public_ip, is_default;
    int cursor; /* where the search for a free address goes on: offset into the range */
    int used;   /* addresses taken; counted, not saved */
};

struct world_gateway {
    struct resource r;
    char *vpc_id; /* NULL: detached */
};

struct route {
    char *destination;
    char *gateway_id; /* "local" or "igw-…" */
};
struct route_association {
    char *id;
    char *subnet_id; /* NULL: the main association */
};
struct world_route_table {
    struct resource r;
    char *vpc_id;
    struct vec routes, associations;
};

struct group_rule {
    char *id; /* "sgr-…" */
    bool egress;
    char *protocol;                /* "tcp", "udp", "icmp", "-1", or a number */
    int from, to;                  /* -1: any */
    char *cidr, *cidr6, *group_id; /* exactly one */
    char *description;
};
struct world_group {
    struct resource r;
    char *name, *description, *vpc_id;
    struct vec rules;
};

struct world_key_pair {
    struct resource r;
    char *name, *type, *fingerprint, *public_key; /* the OpenSSH line */
};

struct world_placement_group {
    struct resource r;
    char *name, *strategy;
    int partitions;
};

struct world_image {
    struct resource r;
    const struct catalog_image *image;
};

struct world_volume {
    struct resource r;
    char *type, *zone, *snapshot_id, *kms_key_id;
    int gb, iops, throughput; /* 0: the type has none */
    bool encrypted;
    char *instance_id, *device; /* NULL: not attached */
    bool delete_on_termination;
    usec_t attached;
};

struct world_interface {
    struct resource r;
    char *instance_id, *attachment_id, *description;
    bool delete_on_termination;
};

struct world_spot_request {
    struct resource r;
    char *instance_id, *max_price, *request_type, *state, *status_code, *status_message;
};

enum instance_state {
    STATE_PENDING,
    STATE_RUNNING,
    STATE_SHUTTING_DOWN,
    STATE_TERMINATED,
    STATE_STOPPING,
    STATE_STOPPED,
    STATE_COUNT
};
const char *instance_state_name(int s);
int instance_state_code(int s); /* 0, 16, 32, 48, 64, 80 */

struct world_instance {
    struct resource r;
    struct world *world;

    /* as asked for */
    char *reservation_id, *image_id, *type, *key_name, *client_token, *tenancy, *placement_group,
        *iam_profile, *user_data_key; /* into world->user_data, or NULL */
    int launch_index;
    bool terminate_on_shutdown, protected_from_termination, monitored, ebs_optimized,
        wants_public_ip;
    bool tokens_required, metadata_off, tags_in_metadata;
    int hop_limit;
    char *spot_request_id; /* NULL: on demand */

    /* where it is; all NULL and empty once terminated, as in EC2 */
    char *zone, *subnet_id, *vpc_id, *private_ip, *public_ip, *mac, *interface_id;
    struct strv groups;
    struct strv volumes; /* the root volume first */

    /* how it is */
    int state;           /* set by instance_set_state() alone */
    usec_t launched;     /* of this run: a start sets it anew */
    usec_t visible_at;   /* shown from then on */
    usec_t addresses_at; /* its addresses are shown from then on */
    usec_t due;          /* when the state's own delay is over; 0: it has none */
    usec_t grace_until;  /* a host that will not end is killed then */
    usec_t state_since;
    char *reason_code, *reason_message, *transition; /* EC2's stateReason and reason */
    char *spot_action;                               /* JSON of spot/instance-action, or NULL */
    usec_t reclaim_at;                               /* the interruption itself; 0: none is due */
    bool never_boots, foreign_host_key;

    /* its machine; not saved */
    struct host *host; /* NULL: no disk either */
    bool host_runs;
    bool killed; /* the operator pulled the plug: it does not come back */
    struct host_events events;
    char *host_failure; /* NULL, or why its machine could not be made; handled by world_advance() */
};

/* One RunInstances under a client token. */
struct world_launch {
    char *token, *zone; /* the zone or subnet that was asked for, or "" */
    char *digest;       /* of the parameters, SHA-256 in hex */
    char *reservation_id;
    usec_t created;
};

struct resource_list {
    struct resource **items;
    size_t count, cap;
};

struct world {
    struct world_options o;
    char *region, *account, *network, *public_network, *user_public_key;
    struct resource_list lists[KIND_COUNT];
    struct strtab *by_id;
    struct strtab *private_ips; /* text -> instance */
    struct strtab *public_ips;  /* text -> instance */
    struct strtab *user_data;   /* SHA-256 in hex -> struct user_data, shared by instances */
    struct vec launches;
    int64_t next_seq;
    int public_cursor;
    int vcpu_quota;
    bool closing;
    bool powered_off;      /* world_power_off() was called */
    json_t *alarms;        /* an object, name -> alarm: cloudwatch.c's */
    struct vec facts_tags; /* what the last world_imds_facts() lent */
    char *facts_text[4];
};

struct user_data {
    char *bytes;
    size_t n;
    int uses;
};

#define VCPU_QUOTA_DEFAULT 100000
#define INSTANCES_MAX 20000 /* alive and remembered */
#define RESOURCES_MAX 5000  /* of any other kind that a client makes by itself */
#define TERMINATED_SHOWN_FOR USEC_PER_HOUR
#define LAUNCH_REMEMBERED_FOR (24 * USEC_PER_HOUR)
#define TERMINATE_GRACE (5 * USEC_PER_SEC) /* for a clean shutdown, before the machine is taken */
#define STOP_GRACE (60 * USEC_PER_SEC)

usec_t world_now(const struct world *w);
/* The world should be saved soon, though no request changed it. */
void world_changed(struct world *w);

/* world_resource.c. A new resource has a random id, unless one is given. */
void *resource_add(struct world *w, enum kind kind, const char *id);
void resource_remove(struct world *w, struct resource *r);                 /* and frees */
void *resource_get(const struct world *w, enum kind kind, const char *id); /* NULL if absent */
struct resource *resource_any(const struct world *w, const char *id);
void resource_free(struct resource *r);
/* FOR_EACH(struct world_vpc, v, w, KIND_VPC) { … }: no removal within. */
#define FOR_EACH(type, var, w, kind)                                                     \
    for (size_t var##_at = 0; var##_at < (w)->lists[kind].count;                         \
         var##_at = (w)->lists[kind].count)                                              \
        for (type * var; var##_at < (w)->lists[kind].count &&                            \
                         (var = (type *)(void *)(w)->lists[kind].items[var##_at], true); \
             var##_at++)
char *new_id(const char *prefix); /* "vpc-" and 17 hex digits */

struct world_key_pair *key_pair_named(const struct world *w, const char *name);
struct world_group *group_named(const struct world *w, const char *name, const char *vpc_id);
struct world_placement_group *placement_group_named(const struct world *w, const char *name);
const struct catalog_image *image_of(const struct world *w, const char *image_id);
struct world_vpc *default_vpc(const struct world *w);
struct world_subnet *default_subnet(const struct world *w, const char *zone); /* NULL: the first */
struct world_group *default_group(const struct world *w, const char *vpc_id);
struct world_route_table *main_route_table(const struct world *w, const char *vpc_id);
struct world_route_table *route_table_of(const struct world *w, const struct world_subnet *s);
/* "us-east-1a"; false where the region has no such zone. */
#define ZONES_COUNT 2
char *zone_name(const struct world *w, int at);
bool zone_exists(const struct world *w, const char *zone);

/* A VPC with all that EC2 makes with it: main route table and default group. */
struct world_vpc *vpc_make(struct world *w, const char *cidr, const char *id, const char *table_id,
                           const char *group_id);
struct world_subnet *subnet_make(struct world *w, const struct world_vpc *v, const char *cidr,
                                 const char *zone, const char *id);
struct group_rule *group_add_rule(struct world_group *g, bool egress, const char *protocol,
                                  int from, int to);

/* world_address.c */
struct cidr {
    uint32_t address; /* host order */
    int bits;
};
bool cidr_parse(const char *text, struct cidr *out); /* host bits are cleared */
bool ip_parse(const char *text, uint32_t *out);
char *cidr_text(struct cidr c);
char *ip_text(uint32_t address);
bool cidr_holds(struct cidr outer, struct cidr inner);
bool cidr_overlaps(struct cidr a, struct cidr b);
#define SUBNET_RESERVED 5 /* addresses of each subnet that EC2 keeps */
int subnet_free(const struct world_subnet *s);
/* False where none is free; else i->private_ip is set. */
bool private_ip_take(struct world *w, struct world_subnet *s, struct world_instance *i);
/* False where it is not in the subnet, reserved, or taken. */
bool private_ip_take_this(struct world *w, struct world_subnet *s, struct world_instance *i,
                          const char *ip);
void public_ip_take(struct world *w, struct world_instance *i);
void public_ip_drop(struct world *w, struct world_instance *i);
void private_ip_drop(struct world *w, struct world_instance *i);
char *private_hostname(const char *private_ip);                        /* "ip-10-213-0-10" */
char *private_dns_name(const struct world *w, const char *private_ip); /* with its domain */
char *public_dns_name(const struct world *w, const char *public_ip);
/* Whether it has been given addresses that may be shown already. */
bool addresses_shown(const struct world_instance *i, usec_t now);

/* world_instance.c */
bool instance_visible(const struct world_instance *i, usec_t now);
bool instance_alive(const struct world_instance *i); /* neither terminated nor on its way there */
void instance_set_state(struct world_instance *i, enum instance_state state);
void instance_set_reason(struct world_instance *i, const char *code, const char *message);
void instance_begin(struct world_instance *i); /* makes its machine; it is pending */
void instance_terminate(struct world_instance *i);
void instance_stop(struct world_instance *i, bool force);
void instance_start(struct world_instance *i);
void instance_reboot(struct world_instance *i);
struct str instance_user_data(const struct world_instance *i);
void instance_set_user_data(struct world_instance *i, struct str bytes);
void instance_host_config(const struct world_instance *i, struct host_config *out);
/* After a load. A machine that was lost though this computer did not reboot has shut itself down.
 */
int instances_adopt(struct world *w, bool machine_rebooted, struct err *err) MUST_CHECK;
/* vCPUs of all that is pending or running. */
int64_t vcpus_in_use(const struct world *w);

/* world_state.c */
struct world *world_empty(const struct world_options *o);
int world_link(struct world *w, struct err *err) MUST_CHECK; /* world_link.c */
void images_add(struct world *w);                            /* seed.c */
void world_seed(struct world *w);

/* keys.c: an OpenSSH public key line, without its options. False if it is none that EC2 takes. */
struct key_facts {
    char *type;        /* "rsa" or "ed25519" */
    char *line;        /* "ssh-rsa AAAA…", without comment */
    char *fingerprint; /* as of an imported key */
};
bool key_parse(struct str text, struct key_facts *out);
void key_facts_done(struct key_facts *k);
/* A fresh key: its line, its fingerprint as of a key that EC2 made, and its pem. */
bool key_generate(const char *type, struct key_facts *out, char **pem);

#endif
