/* What the tests of this room share. */
#ifndef TEST_CLUSTER_UNIT_H
#define TEST_CLUSTER_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those first */
#include <cmocka.h>

#include "base/mem.h"
#include "cluster/cluster_priv.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_A "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPVPZxD0zLoKSgZIZMZ8CqhRFDKO4iUc8JIlJAjQLUzh"
#define LINE_B "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGl7m6zdVGwAcUqJ0Gk9JFNPrYpTJuSSfQtsV7NDC0nJ"

static inline char *make_dir(void)
{
    char *dir = mem_dup("/tmp/flambe-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline void drop_dir(char *dir)
{
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
    free(dir);
}

static inline void add_host(struct cluster_hosts *h, enum cluster_role role, int index,
                            const char *id, const char *type, enum ec2_state state)
{
    struct cluster_host *x = hosts_push(h);
    x->role = role;
    x->index = index;
    x->name = host_name("mine", role, index);
    x->instance_id = mem_dup(id);
    x->type = mem_dup(type);
    x->state = state;
    x->launched = 1700000000 * USEC_PER_SEC;
    x->subnet_id = mem_dup("subnet-1");
    x->key_name = mem_dup("key");
    x->image_id = mem_dup("ami-1");
}

static inline struct cluster_spec make_spec(int factories)
{
    return (struct cluster_spec){
        .path = (char *)"mine.yaml",
        .name = (char *)"mine",
        .creator = (char *)"jane",
        .factories_num = factories,
        .factories_type = (char *)"g4dn.xlarge",
        .orchestrator_type = (char *)"t3.small",
        .orchestrator_timeout = -1,
        .factories_timeout = 1,
        .key_name = (char *)"key",
        .key = (char *)"/nowhere/key.pem",
        .subnet_id = (char *)"subnet-1",
        .security_group = (char *)"sg-1",
        .volume_size = 100,
        .volume_type = (char *)"gp3",
        .username = (char *)"ubuntu",
        .ssh_port = 22,
    };
}

#endif
