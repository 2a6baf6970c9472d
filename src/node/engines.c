/* See engines.h. */
#include "node/engines.h"
#include "experiment/fetch.h"
#include "node/entry.h"

int node_make_engine(void *ctx, const struct carry_engine *e, struct engine **out, struct err *err)
{
    const struct entry *entry = ctx;
    if (entry->engine == ENTRY_LOCAL)
        return carry_engine_local(NULL, e, out, err);
    return err_set(err, ERR_USAGE, "this flambe-node has no engine '%s'",
                   entry_engine_name(entry->engine));
}

/* A host fetches nothing: what is on the net was brought here before the entry was. */
static int refuse(void *ctx, const char *url, const char *destination, fetch_progress_fn *progress,
                  void *progress_ctx, struct fetched *out, struct err *err)
{
    (void)ctx, (void)url, (void)destination, (void)progress, (void)progress_ctx, (void)out;
    return err_set(err, ERR_NOT_FOUND, "the entry does not say where it is on this host");
}

int node_find_resources(void *ctx, struct loop *loop, const struct experiment *e,
                        const char *directory, struct strv *paths, struct err *err)
{
    (void)ctx, (void)loop;
    struct fetcher nobody = {refuse, NULL};
    return resources_fetch(e, directory, &nobody, NULL, paths, err);
}
