/* An engine that runs nothing: the test decides how each program ends. Its events come from the
 * loop, in the order of their causes, as those of a real one do. */
#include "base/mem.h"
#include "base/str.h"
#include "engine/engine.h"
#include <assert.h>
#include <stdlib.h>

/* A submitted program, and what is to be reported of it. */
struct fake_item {
    struct engine_program program; /* its strings are the lists' */
    struct strv argv, env;
    char *directory, *console;
    bool started, stopped, ending;
    struct engine_result result;
};

struct engine_fake {
    struct engine base; /* first */
    struct loop *loop;
    struct engine_events events;
    size_t room;
    struct fake_item **items;
    size_t count, cap;
    struct timer *timer; /* NULL: nothing is to be reported */
    bool broken;
    bool broken_told;
    struct err why;
};

static struct engine_fake *fake_of(const struct engine *e)
{
    return (struct engine_fake *)(uintptr_t)e;
}

static void item_free(struct fake_item *it)
{
    strv_done(&it->argv);
    strv_done(&it->env);
    free(it->directory);
    free(it->console);
    free(it);
}

static struct fake_item *find(const struct engine_fake *f, uint64_t id)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i]->program.id == id)
            return f->items[i];
    }
    return NULL;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void tell_started(struct engine_fake *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct fake_item *it = f->items[i];
        if (it->started || (it->ending && it->result.end == ENGINE_NOT_STARTED))
            continue;
        it->started = true;
        if (f->events.started)
            f->events.started(f->events.ctx, it->program.id, "", "",
                              clock_wall(loop_clock(f->loop)));
    }
}

static void tell_ended(struct engine_fake *f)
{
    for (size_t i = 0; i < f->count;) {
        struct fake_item *it = f->items[i];
        if (!it->ending) {
            i++;
            continue;
        }
        struct engine_result r = it->result;
        for (size_t k = i + 1; k < f->count; k++)
            f->items[k - 1] = f->items[k];
        f->count--;
        item_free(it);
        f->events.ended(f->events.ctx, &r);
    }
}

static void tell(void *ctx)
{
    struct engine_fake *f = ctx;
    timer_stop(f->timer);
    f->timer = NULL; /* what a callback causes is told in a later turn */
    tell_started(f);
    tell_ended(f);
    if (f->broken && !f->broken_told) {
        f->broken_told = true;
        if (f->events.broken)
            f->events.broken(f->events.ctx, &f->why);
    }
}

static void tell_soon(struct engine_fake *f)
{
    if (!f->timer)
        f->timer = timer_start(f->loop, 0, tell, f);
}

/* ---- the interface --------------------------------------------------------------------------- */

static size_t fake_room(const struct engine *e, int cpus, int gpus)
{
    (void)cpus, (void)gpus;
    const struct engine_fake *f = fake_of(e);
    return f->broken ? 0 : f->room - f->count;
}

static const char *const *copy_list(const char *const *list, struct strv *out)
{
    for (; *list; list++)
        strv_add(out, *list);
    strv_take(out, NULL);
    return (const char *const *)out->items;
}

static int fake_submit(struct engine *e, const struct engine_program *p, struct err *err)
{
    struct engine_fake *f = fake_of(e);
    if (f->broken)
        return err_set(err, ERR_UNREACHABLE, "the engine is broken");
    if (fake_room(e, p->cpus, p->gpus) == 0)
        return err_set(err, ERR_LIMIT, "no room for a program");
    assert(!find(f, p->id));
    struct fake_item *it = mem_alloc(sizeof *it);
    it->program = *p;
    it->program.argv = copy_list(p->argv, &it->argv);
    it->program.env = copy_list(p->env, &it->env);
    it->program.directory = it->directory = mem_dup(p->directory);
    it->program.console = it->console = mem_dup(p->console);
    MEM_PUSH_ROOM(f->items, f->count, f->cap);
    f->items[f->count++] = it;
    tell_soon(f);
    return 0;
}

static void fake_stop(struct engine *e, uint64_t id, usec_t grace)
{
    (void)grace;
    struct fake_item *it = find(fake_of(e), id);
    if (it)
        it->stopped = true;
}

static void fake_free(struct engine *e)
{
    struct engine_fake *f = fake_of(e);
    timer_stop(f->timer);
    for (size_t i = 0; i < f->count; i++)
        item_free(f->items[i]);
    free(f->items);
    free(f);
}

static const struct engine_ops fake_ops = {
    .name = "fake", .room = fake_room, .submit = fake_submit, .stop = fake_stop, .free = fake_free};

/* ---- the test's side ------------------------------------------------------------------------- */

struct engine *engine_fake_new(struct loop *loop, size_t room, const struct engine_events *events)
{
    struct engine_fake *f = mem_alloc(sizeof *f);
    f->base.ops = &fake_ops;
    f->loop = loop;
    f->room = room;
    f->events = *events;
    return &f->base;
}

size_t engine_fake_count(const struct engine *e)
{
    const struct engine_fake *f = fake_of(e);
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++)
        count += !f->items[i]->ending;
    return count;
}

const struct engine_program *engine_fake_program(const struct engine *e, size_t i)
{
    const struct engine_fake *f = fake_of(e);
    for (size_t k = 0; k < f->count; k++) {
        if (!f->items[k]->ending && i-- == 0)
            return &f->items[k]->program;
    }
    return NULL;
}

bool engine_fake_stopped(const struct engine *e, uint64_t id)
{
    const struct fake_item *it = find(fake_of(e), id);
    return it && it->stopped;
}

void engine_fake_end(struct engine *e, const struct engine_result *r)
{
    struct engine_fake *f = fake_of(e);
    struct fake_item *it = find(f, r->id);
    assert(it && !it->ending);
    it->ending = true;
    it->result = *r;
    tell_soon(f);
}

void engine_fake_break(struct engine *e, const struct err *why)
{
    struct engine_fake *f = fake_of(e);
    f->broken = true;
    f->why = *why;
    for (size_t i = 0; i < f->count; i++) {
        struct fake_item *it = f->items[i];
        if (!it->ending)
            it->result =
                (struct engine_result){.id = it->program.id, .end = ENGINE_LOST, .exit_status = -1};
        it->ending = true;
    }
    tell_soon(f);
}
