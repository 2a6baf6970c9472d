/* What the EC2 actions share: answers, errors in EC2's words, finding by id, filters, pages, tags.
 *
 * The names and shapes of parameters and answers are those of the API's own model (botocore's
 * ec2/2016-11-15/service-2.json); error codes and messages are EC2's where they are known. */
#ifndef FLAMBE_SANDBOX_EC2_PRIV_H
#define FLAMBE_SANDBOX_EC2_PRIV_H

#include "sandbox/api.h"
#include "sandbox/world_priv.h"

/* ---- answers (ec2.c) ----------------------------------------------------------------------------
 */

void ec2_open(const struct api_request *q, struct api_reply *r); /* <ACTIONResponse> and its id */
void ec2_close(const struct api_request *q, struct api_reply *r);
void ec2_answer_true(const struct api_request *q, struct api_reply *r); /* <return>true</return> */
void ec2_tag_set(struct buf *b, const struct resource *res);
/* <NAME><item>…</item></NAME> of one text each. */
void ec2_text_set(struct buf *b, const char *set, const char *name, const struct strv *texts);

/* ---- requests ------------------------------------------------------------------------------ */

/* True where the request is only a trial: its answer, an error as EC2 has it, is written. Called
 * when everything is proven and before anything changes. */
bool ec2_dry_run(const struct api_request *q, struct api_reply *r);
/* The value, or NULL with MissingParameter. Neither absent nor empty. */
const char *ec2_need(const struct api_request *q, struct api_reply *r, const char *name);
/* A whole number within bounds, or `fallback` where absent. */
bool ec2_int(const struct api_request *q, struct api_reply *r, const char *name, int64_t min,
             int64_t max, int64_t fallback, int64_t *out);
/* "true" or "false", or `fallback` where absent. */
bool ec2_bool(const struct api_request *q, struct api_reply *r, const char *name, bool fallback,
              bool *out);
/* One of the choices (NULL-terminated); *out is the choice's own text, or NULL where absent. */
bool ec2_choice(const struct api_request *q, struct api_reply *r, const char *name,
                const char *const *choices, const char **out);

/* ---- finding ------------------------------------------------------------------------------------
 */

/* Whether a request may see it: instances and what is attached to them appear late. */
bool ec2_visible(const struct world *w, const struct resource *res);
/* The resource, or NULL with the kind's Malformed or NotFound. */
void *ec2_find(const struct world *w, struct api_reply *r, enum kind kind, const char *id);
/* The one that the parameter names; NULL with MissingParameter too. */
void *ec2_find_param(const struct world *w, const struct api_request *q, struct api_reply *r,
                     enum kind kind, const char *name);
int ec2_not_found(struct api_reply *r, enum kind kind, const char *id);
/* False with an error where the account has as many of the kind as it may. */
bool ec2_room(const struct world *w, struct api_reply *r, enum kind kind);
int ec2_dependency(struct api_reply *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Resources that a request selects: owned array of borrowed resources. */
struct selection {
    struct resource **items;
    size_t count, cap;
    char *next_token; /* NULL: no more */
};
#define AUTO_SELECTION CLEANUP(selection_done)
void selection_done(struct selection *s);
void selection_add(struct selection *s, struct resource *res);
/* "NAME.1", … each of them visible; all missing ones are named in one error. */
bool ec2_find_list(const struct world *w, const struct api_request *q, struct api_reply *r,
                   enum kind kind, const char *name, struct selection *out);

/* ---- filters (ec2_filter.c) ---------------------------------------------------------------- */

struct filter {
    const char *name;
    struct strv values; /* patterns */
};
/* Whether one of the patterns matches; NULL matches none. */
bool filter_text(const struct filter *f, const char *text);
bool filter_bool(const struct filter *f, bool value);
bool filter_int(const struct filter *f, int64_t value);
bool filter_any(const struct filter *f, const struct strv *texts);

/* One filter of an action: either a function, or the offset of a char * in the resource. */
struct filter_key {
    const char *name;
    bool (*match)(const struct filter *f, const struct world *w, const struct resource *res);
    size_t text;
};

/* What a Describe action shows. */
struct describe {
    enum kind kind;
    const char *ids;   /* the parameter that names resources: "VolumeId" */
    const char *names; /* the one that names them by name, or NULL: "GroupName" */
    const char *set;   /* the answer's list: "volumeSet" */
    const struct filter_key *filters;
    size_t filter_count;
    int page_min, page_max; /* bounds of MaxResults; 0: the action has no pages */
    /* Appends an item's inside. */
    void (*write)(const struct world *w, const struct resource *res, struct buf *b);
    const char *(*name_of)(const struct resource *res); /* for `names` */
};
/* Ids, names, filters and page of the request. */
bool ec2_select(const struct world *w, const struct api_request *q, struct api_reply *r,
                const struct describe *d, struct selection *out);
/* The whole action. */
void ec2_describe(struct world *w, const struct api_request *q, struct api_reply *r,
                  const struct describe *d);
/* Whether plain texts (region names, …) pass the request's filters: for what is no resource. */
struct filters {
    struct vec items; /* of struct filter */
};
#define AUTO_FILTERS CLEANUP(filters_done)
void filters_done(struct filters *f);
/* Every filter's name must be one of `known` (NULL-terminated), or a tag filter where `tags`. */
bool filters_read(const struct api_request *q, struct api_reply *r, const char *const *known,
                  bool tags, struct filters *out);
/* False where a filter of that name does not match the text. */
bool filters_pass(const struct filters *f, const char *name, const char *text);

/* ---- tags (ec2_tags.c) --------------------------------------------------------------------- */

/* Tags as they come in a request, for one resource type. */
struct tag_list {
    struct vec items; /* of struct tag */
};
#define AUTO_TAGS CLEANUP(tag_list_done)
void tag_list_done(struct tag_list *t);
/* "PREFIX.1.Key", …: checks EC2's limits on them. */
bool ec2_tags_read(const struct api_request *q, struct api_reply *r, const char *prefix,
                   struct tag_list *out);
/* TagSpecification.N of that resource type. Every specification's type must be in `allowed`
 * (NULL-terminated). */
bool ec2_tag_specification(const struct api_request *q, struct api_reply *r,
                           const char *const *allowed, const char *type, struct tag_list *out);
/* The same where an action makes one kind of resource, which is the only one allowed. */
bool ec2_tag_specification_of(const struct api_request *q, struct api_reply *r, enum kind kind,
                              struct tag_list *out);
void ec2_tags_put(const struct tag_list *t, struct resource *res);

/* ---- instances ----------------------------------------------------------------------------- */

void ec2_write_instance(const struct world *w, const struct world_instance *i, struct buf *b);
/* A reservation's own members, before its instances. */
void ec2_write_reservation(const struct world *w, const char *reservation_id, struct buf *b);
void ec2_write_group_set(const struct world *w, const struct strv *groups, struct buf *b);
void ec2_write_state(struct buf *b, const char *name, int state);

/* ---- block devices (ec2_devices.c) --------------------------------------------------------- */

struct device {
    char *name;
    char *type, *snapshot_id, *kms_key_id;
    int gb, iops, throughput;
    bool encrypted, delete_on_termination;
};
#define DEVICES_MAX 28
void devices_done(struct vec *devices);
/* The volumes that an instance of the image gets: its own root as the request changes it (first),
 * and the request's others. */
bool ec2_devices_read(const struct world *w, const struct api_request *q, struct api_reply *r,
                      const struct catalog_image *image, struct vec *out);
/* Proves type, size, IOPS and throughput together, and fills in what the type gives by itself. */
bool ec2_device_check(struct api_reply *r, struct device *d);
void ec2_device_copy(const struct device *d, struct world_volume *v);
char *ec2_default_kms_key(const struct world *w);

#define EC2_HANDLER(name) \
    void ec2_##name(struct world *w, const struct api_request *q, struct api_reply *r)

#endif
