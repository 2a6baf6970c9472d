/* Open addressing with linear probing and backward-shift deletion; SipHash-like keyed mixing would
 * be stronger, but a seeded FNV with a final mix is enough against keys chosen without the seed. */
#include "base/strtab.h"
#include "base/digest.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

struct entry {
    char *key; /* NULL: free */
    size_t n;
    uint64_t hash;
    void *value;
};

struct strtab {
    struct entry *entries;
    size_t count;
    size_t cap; /* a power of two */
    uint64_t seed;
};

static uint64_t hash_of(const struct strtab *t, struct str key)
{
    uint64_t h = t->seed;
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * 0x100000001b3ULL;
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    return h ^ (h >> 33);
}

/* One for the whole process: a key that is not known cannot be guessed, and random bytes for each
 * table would cost more than the table. */
static uint64_t seed_of_process(void)
{
    static uint64_t seed;
    if (!seed)
        digest_random(&seed, sizeof seed);
    return seed;
}

struct strtab *strtab_new(void)
{
    struct strtab *t = mem_alloc(sizeof *t);
    t->cap = 16;
    t->entries = mem_array(t->cap, sizeof *t->entries);
    t->seed = seed_of_process();
    return t;
}

void strtab_free(struct strtab *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->cap; i++)
        free(t->entries[i].key);
    free(t->entries);
    free(t);
}

void strtab_freep(struct strtab **t)
{
    strtab_free(*t);
    *t = NULL;
}

/* The slot that holds the key, or the free one where it belongs. */
static struct entry *find(const struct strtab *t, struct str key, uint64_t hash)
{
    size_t i = hash & (t->cap - 1);
    while (t->entries[i].key) {
        const struct entry *e = &t->entries[i];
        if (e->hash == hash && e->n == key.n && memcmp(e->key, key.p, key.n) == 0)
            break;
        i = (i + 1) & (t->cap - 1);
    }
    return &t->entries[i];
}

static void grow(struct strtab *t)
{
    struct entry *old = t->entries;
    size_t old_cap = t->cap;
    t->cap *= 2;
    t->entries = mem_array(t->cap, sizeof *t->entries);
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].key)
            *find(t, (struct str){old[i].key, old[i].n}, old[i].hash) = old[i];
    free(old);
}

void *strtab_put(struct strtab *t, struct str key, void *value)
{
    if (t->count * 4 >= t->cap * 3)
        grow(t);
    uint64_t hash = hash_of(t, key);
    struct entry *e = find(t, key, hash);
    void *before = e->key ? e->value : NULL;
    if (!e->key) {
        *e = (struct entry){.key = str_dup(key), .n = key.n, .hash = hash};
        t->count++;
    }
    e->value = value;
    return before;
}

void *strtab_get(const struct strtab *t, struct str key)
{
    const struct entry *e = find(t, key, hash_of(t, key));
    return e->key ? e->value : NULL;
}

void *strtab_remove(struct strtab *t, struct str key)
{
    struct entry *e = find(t, key, hash_of(t, key));
    if (!e->key)
        return NULL;
    void *value = e->value;
    free(e->key);
    size_t mask = t->cap - 1;
    size_t hole = (size_t)(e - t->entries);
    for (size_t i = (hole + 1) & mask; t->entries[i].key; i = (i + 1) & mask) {
        size_t home = t->entries[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->entries[hole] = t->entries[i];
            hole = i;
        }
    }
    t->entries[hole] = (struct entry){0};
    t->count--;
    return value;
}

size_t strtab_count(const struct strtab *t)
{
    return t->count;
}

bool strtab_next(const struct strtab *t, size_t *at, struct str *key, void **value)
{
    for (; *at < t->cap; ++*at) {
        const struct entry *e = &t->entries[*at];
        if (!e->key)
            continue;
        *key = (struct str){e->key, e->n};
        *value = e->value;
        ++*at;
        return true;
    }
    return false;
}
