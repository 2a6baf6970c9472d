/* Any bytes as a cluster's file: the YAML reader, the schema, the rules, the diagnostics. */
#include "cluster/spec.h"
#include "fuzz.h"
#include <string.h>

/* Every node as a reader sees it, aliases expanded: how many, and that their places are in the
 * file. */
static size_t walk(const struct yaml_node *n, size_t size, int depth)
{
    FUZZ_CHECK(depth <= YAML_DEPTH_MAX);
    FUZZ_CHECK(n->start <= n->end && n->end <= size);
    FUZZ_CHECK(n->at.line >= 1 && n->at.column >= 1 && n->at.length >= 0);
    size_t seen = 1;
    for (size_t i = 0; n->kind == YAML_LIST && i < n->count; i++)
        seen += walk(n->items[i], size, depth + 1);
    for (size_t i = 0; n->kind == YAML_MAP && i < n->count; i++) {
        FUZZ_CHECK(n->pairs[i].key->text);
        seen += walk(n->pairs[i].key, size, depth + 1) + walk(n->pairs[i].value, size, depth + 1);
    }
    return seen;
}

static void check_tree(struct str text)
{
    struct diags diags;
    struct yaml_file file;
    struct err err = {0};
    diags_init(&diags, "f.yaml", text);
    if (yaml_parse(text, &diags, &file, &err) != 0) {
        FUZZ_CHECK(diags_total(&diags) > 0 && err.code == ERR_FILE);
        diags_done(&diags);
        return;
    }
    for (size_t i = 0; i < file.document_count; i++) {
        const struct yaml_node *root = file.documents[i];
        size_t seen = walk(root, text.n, 0);
        FUZZ_CHECK(seen <= root->weight && root->weight <= YAML_NODES_MAX);
        FUZZ_CHECK(diags_total(&diags) > 0 || seen == root->weight);
    }
    yaml_done(&file);
    diags_done(&diags);
}

static void check_output(const struct diags *diags)
{
    AUTO_BUF struct buf plain = {0}, json = {0};
    diags_print(diags, false, &plain);
    diags_json(diags, &json);
    FUZZ_CHECK(str_is_utf8(buf_view(&plain), NULL) && str_is_utf8(buf_view(&json), NULL));
    for (size_t i = 0; i < plain.len; i++) {
        unsigned char c = (unsigned char)plain.data[i];
        FUZZ_CHECK(c >= 0x20 || c == '\n' || c == '\t');
        FUZZ_CHECK(c != 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    check_tree(text);
    struct cluster_spec spec;
    struct diags diags;
    struct err err = {0};
    int r = cluster_spec_parse("dir/f.yaml", text, &spec, &diags, &err);
    FUZZ_CHECK((r == 0) == (diags_total(&diags) == 0));
    check_output(&diags);
    if (r == 0) {
        FUZZ_CHECK(spec.name && spec.key && spec.creator && spec.username);
        if (spec.kind == CLUSTER_SSH)
            FUZZ_CHECK(spec.machines.count == (size_t)spec.factories_num + 1);
        else
            FUZZ_CHECK(spec.subnet_id && spec.volume_type);
        FUZZ_CHECK(spec.factories_num >= 0 && spec.factories_num <= 1000);
        cluster_spec_done(&spec);
    }
    diags_done(&diags);
    return 0;
}
