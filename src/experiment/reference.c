/* See reference.h. */
#include "experiment/reference.h"
#include "base/mem.h"
#include "experiment/refuse.h"
#include <stdlib.h>
#include <string.h>

struct use {
    struct experiment *e;
    size_t stage; /* in which the link stands */
    struct link_use *link;
    struct diags *diags;
};

static void wrong(const struct use *u, char *problem, char *fix)
{
    refuse(u->diags, u->link->node->at, problem, fix);
}

static void unknown_root(const struct use *u, const char *root)
{
    const struct experiment *e = u->e;
    size_t count = 0;
    const char **names = mem_array(u->stage + e->resource_count + 1, sizeof *names);
    for (size_t i = 0; i < u->stage; i++)
        names[count++] = e->stages[i].name;
    for (size_t i = 0; i < e->resource_count; i++)
        names[count++] = e->resources[i].name;
    const char *near = refuse_suggest(str_of(root), names, count);
    AUTO_FREE char *list = refuse_list(names, count), *shown = diag_quote(str_of(root));
    wrong(u, mem_printf("there is no stage or resource %s", shown),
          near    ? mem_printf("did you mean '%s'?", near)
          : count ? mem_printf("links can lead to: %s", list)
                  : mem_dup("there is no earlier stage and no resource yet"));
    free(names);
}

/* ---- parameters -------------------------------------------------------------------------------
 */

static const struct yaml_node *step(const struct yaml_node *n, const char *key)
{
    if (n->kind == YAML_MAP)
        return yaml_get(n, key);
    int64_t index;
    if (n->kind == YAML_LIST && str_to_i64(str_of(key), 0, (int64_t)n->count - 1, &index))
        return n->items[index];
    return NULL;
}

static void no_such_key(const struct use *u, const struct yaml_node *n, const char *key)
{
    AUTO_FREE char *shown = diag_quote(str_of(key));
    if (n->kind != YAML_MAP) {
        wrong(u, mem_printf("there is no entry %s in %s", shown, yaml_kind_name(n->kind)),
              n->kind == YAML_LIST && n->count
                  ? mem_printf("its entries are 0 to %zu", n->count - 1)
                  : mem_dup("remove the brackets"));
        return;
    }
    const char **names = mem_array(n->count + 1, sizeof *names);
    for (size_t i = 0; i < n->count; i++)
        names[i] = n->pairs[i].key->text;
    const char *near = refuse_suggest(str_of(key), names, n->count);
    AUTO_FREE char *list = refuse_list(names, n->count);
    wrong(u, mem_printf("there is no key %s there", shown),
          near ? mem_printf("did you mean '%s'?", near) : mem_printf("its keys: %s", list));
    free(names);
}

static bool is_plain_list(const struct yaml_node *n)
{
    for (size_t i = 0; i < n->count; i++)
        if (n->items[i]->tag || n->items[i]->items || n->items[i]->pairs)
            return false;
    return true;
}

/* In its own stage a link may lead to what is settled before: a value, or, from outside any option,
 * an option. So none leads in a circle. */
static void check_end(const struct use *u, const struct yaml_node *n)
{
    bool own = u->link->stage == u->stage;
    if (own && link_is_tag(n->tag)) {
        wrong(u, mem_dup("the link leads to another link of its own stage"),
              mem_dup("link to what that one leads to"));
        return;
    }
    if (own && space_is_option(n) && u->link->in_option) {
        wrong(u, mem_dup("the link leads from an option to an option of its own stage"),
              mem_dup("link to a parameter without options, or to an earlier stage"));
        return;
    }
    if (n->tag || (n->kind != YAML_MAP && n->kind != YAML_LIST) ||
        (n->kind == YAML_LIST && is_plain_list(n)))
        return;
    wrong(u, mem_printf("the link leads to %s, not to one value", yaml_kind_name(n->kind)),
          mem_dup("name one of its entries in brackets"));
}

static void check_parameter(const struct use *u, const struct stage *s)
{
    const struct strv *keys = &u->link->path.keys;
    const struct yaml_node *n = s->node;
    for (size_t i = 1; i < keys->count; i++) {
        const char *key = keys->items[i];
        if (n->bad)
            return;
        if (i > 1 && n->tag) {
            wrong(u,
                  mem_printf("the link leads through %s",
                             link_is_tag(n->tag) ? "another link" : "an option"),
                  mem_printf("end it before [%s]", key));
            return;
        }
        const struct yaml_node *next = step(n, key);
        const struct yaml_node *parameters = s->kind == STAGE_SCRIPT ? s->kwargs : s->params;
        if (!next && i == 1 && parameters && !parameters->tag) {
            n = parameters;
            next = step(n, key);
        }
        if (!next) {
            no_such_key(u, n, key);
            return;
        }
        n = next;
    }
    u->link->target = LINK_PARAMETER;
    if (!n->bad)
        check_end(u, n);
}

/* ---- outputs ----------------------------------------------------------------------------------
 */

static void check_output(const struct use *u, const struct stage *s)
{
    const struct link_path *p = &u->link->path;
    const char *name = p->attributes.items[0];
    u->link->target = LINK_OUTPUT;
    if (p->attributes.count > 1) {
        wrong(u, mem_printf("a file has no '.%s'", p->attributes.items[1]),
              mem_printf("end the link behind '.%s'", name));
        return;
    }
    if (strcmp(name, "dir") == 0)
        return;
    const char **names = mem_array(s->outputs.count + 1, sizeof *names);
    names[0] = "dir";
    for (size_t i = 0; i < s->outputs.count; i++) {
        names[i + 1] = s->outputs.items[i].key;
        if (strcmp(names[i + 1], name) == 0) {
            free(names);
            return;
        }
    }
    const char *near = refuse_suggest(str_of(name), names, s->outputs.count + 1);
    AUTO_FREE char *shown = diag_quote(str_of(name));
    wrong(u, mem_printf("the stage '%s' has no output %s", s->name, shown),
          near ? mem_printf("did you mean '%s.%s'?", s->name, near)
               : mem_printf("'%s.dir' is its trial's directory; a file in it is named under "
                            "'outputs:' of the stage, as '%s: FILE'",
                            s->name, name));
    free(names);
}

/* ---- one link, all links ----------------------------------------------------------------------
 */

static bool check_resource(const struct use *u, const char *root)
{
    const struct link_path *p = &u->link->path;
    for (size_t i = 0; i < u->e->resource_count; i++) {
        if (strcmp(u->e->resources[i].name, root) != 0)
            continue;
        u->link->target = LINK_RESOURCE;
        if (p->keys.count > 1 || p->attributes.count)
            wrong(u, mem_printf("'%s' is a resource: it has neither keys nor outputs", root),
                  mem_printf("write '!@ %s'", root));
        return true;
    }
    return false;
}

static void check_stage(const struct use *u, size_t target)
{
    const struct link_path *p = &u->link->path;
    const struct stage *s = &u->e->stages[target];
    u->link->stage = target;
    if (target > u->stage) {
        wrong(u, mem_printf("the stage '%s' comes later", s->name),
              mem_printf("move '%s' above '%s'", s->name, u->e->stages[u->stage].name));
        return;
    }
    if (target == u->stage && p->keys.count == 1) {
        wrong(u, mem_dup("a stage cannot wait for itself"),
              mem_printf("link to a parameter of it, as '!@ %s[kwargs][key]', or to an earlier "
                         "stage",
                         s->name));
        return;
    }
    if (p->keys.count > 1 && p->attributes.count) {
        wrong(u, mem_printf("a parameter has no '.%s'", p->attributes.items[0]),
              mem_dup("a link has keys in brackets (a parameter) or a name behind a dot (an "
                      "output), not both"));
        return;
    }
    u->link->target = LINK_STAGE;
    if (!s->understood)
        return;
    if (p->keys.count > 1)
        check_parameter(u, s);
    else if (p->attributes.count)
        check_output(u, s);
}

void reference_check(struct experiment *e, struct diags *diags)
{
    size_t links = 0;
    for (size_t i = 0; i < e->stage_count; i++)
        for (size_t k = 0; k < e->stages[i].space.link_count; k++) {
            struct use u = {e, i, &e->stages[i].space.links[k], diags};
            const char *root = u.link->path.keys.items[0];
            if (++links > LINKS_MAX) {
                wrong(&u, mem_printf("more than %d links", LINKS_MAX),
                      mem_dup("split the experiment"));
                return;
            }
            size_t target = experiment_stage(e, str_of(root));
            if (target < e->stage_count)
                check_stage(&u, target);
            else if (!check_resource(&u, root))
                unknown_root(&u, root);
        }
}
