/* The sandbox's hosts without its API: a program that test/e2e/test_hosts.py drives.
 *
 *   hosts_tool KIND DIR CACHE BRIDGE NETWORK PUBLIC-NETWORK [GHOST-PORT]
 *
 * reads commands from standard input, one a line, and answers each with one line: "ok …" or
 * "error …"; between them come "ended ID WHY" and "progress …". The metadata service runs for LXC
 * kinds. Commands:
 *
 *   create ID PRIVATE PUBLIC USER KEYFILE USERDATAFILE VCPUS MEMORY VOLUME [never_boots|foreign]
 *   adopt / adopt-stopped … (the same)   start stop kill reboot destroy console ID
 *   partition ID on|off   freeze ID on|off   close keep|remove   sweep */
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/hosts.h"
#include "sandbox/imds.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOSTS_MAX 2048
#define WORDS_MAX 16

struct slot {
    char *id, *private_ip, *public_ip, *user, *key, *hostname;
    struct buf user_data;
    struct host_config config;
    struct host *host;
};

static struct slot slots[HOSTS_MAX];
static size_t slot_count;
static struct host_options options;
static struct host_driver driver;
static struct imds *imds;
static bool quit;

static void ended(void *ctx, struct host *h, const char *why)
{
    (void)ctx;
    for (size_t i = 0; i < slot_count; i++) {
        if (slots[i].host == h)
            printf("ended %s %s\n", slots[i].id, why ? why : "-");
    }
    fflush(stdout);
}

static void progress(void *ctx, const char *line)
{
    (void)ctx;
    printf("progress %s\n", line);
    fflush(stdout);
}

static bool facts(void *ctx, const char *private_ip, struct imds_facts *out)
{
    (void)ctx;
    static const struct api_tag tags[] = {{"Name", "test"}};
    for (size_t i = slot_count; i-- > 0;) {
        struct slot *s = &slots[i];
        if (!s->id || strcmp(s->private_ip, private_ip) != 0)
            continue;
        *out = (struct imds_facts){.instance_id = s->id,
                                   .type = "t3.small",
                                   .image_id = "ami-0123",
                                   .zone = "us-east-1a",
                                   .region = "us-east-1",
                                   .hostname = s->hostname,
                                   .private_ip = s->private_ip,
                                   .public_ip = s->public_ip,
                                   .public_hostname = "ec2.example",
                                   .mac = "02:00:00:00:00:01",
                                   .security_groups = "default",
                                   .key_name = "key",
                                   .public_key = s->key,
                                   .account = "123456789012",
                                   .subnet_id = "subnet-1",
                                   .vpc_id = "vpc-1",
                                   .user_data = buf_view(&s->user_data),
                                   .tokens_required = true,
                                   .tags_visible = true,
                                   .tags = tags,
                                   .tag_count = 1};
        return true;
    }
    return false;
}

static struct slot *find(const char *id)
{
    for (size_t i = 0; i < slot_count; i++) {
        if (slots[i].id && strcmp(slots[i].id, id) == 0)
            return &slots[i];
    }
    return NULL;
}

static struct slot *add(char **w, int n)
{
    struct slot *s = find(w[1]);
    if (!s) {
        if (slot_count == HOSTS_MAX || n < 10)
            return NULL;
        s = &slots[slot_count++];
    }
    *s = (struct slot){.id = mem_dup(w[1]),
                       .private_ip = mem_dup(w[2]),
                       .public_ip = mem_dup(w[3]),
                       .user = mem_dup(w[4])};
    struct buf key = {0};
    if (fs_read(w[5], 65536, &key, NULL) == -1 || fs_read(w[6], 65536, &s->user_data, NULL) == -1)
        return NULL;
    s->key = buf_take(&key);
    s->hostname = mem_printf("ip-%s", w[2]);
    for (char *p = s->hostname; *p; p++) {
        if (*p == '.')
            *p = '-';
    }
    s->config = (struct host_config){.instance_id = s->id,
                                     .hostname = s->hostname,
                                     .private_ip = s->private_ip,
                                     .public_ip = s->public_ip,
                                     .user = s->user,
                                     .public_key = s->key,
                                     .user_data = buf_view(&s->user_data),
                                     .vcpus = atoi(w[7]),
                                     .memory_mib = atoi(w[8]),
                                     .volume_gb = atoi(w[9]),
                                     .never_boots = n > 10 && strcmp(w[10], "never_boots") == 0,
                                     .foreign_host_key = n > 10 && strcmp(w[10], "foreign") == 0};
    return s;
}

static int make(char **w, int n, struct err *err)
{
    const struct host_ops *ops = driver.ops;
    struct host_events events = {.ended = ended};
    struct slot *s = add(w, n);
    if (!s)
        return err_set(err, ERR_USAGE, "bad arguments");
    int rc;
    if (strcmp(w[0], "create") == 0)
        rc = ops->create(driver.self, &s->config, &events, &s->host, err);
    else if (strcmp(w[0], "adopt") == 0)
        rc = ops->adopt(driver.self, &s->config, &events, &s->host, err);
    else
        rc = ops->adopt_stopped(driver.self, &s->config, &events, &s->host, err);
    if (rc == 0 && !s->host)
        rc = err_set(err, ERR_NOT_FOUND, "nothing to adopt");
    return rc;
}

static int act(const char *verb, struct slot *s, const char *arg, struct err *err)
{
    const struct host_ops *ops = driver.ops;
    if (strcmp(verb, "start") == 0)
        return ops->start(driver.self, s->host, &s->config, err);
    if (strcmp(verb, "partition") == 0)
        return ops->partition(driver.self, s->host, strcmp(arg, "on") == 0, err);
    if (strcmp(verb, "freeze") == 0)
        return ops->freeze(driver.self, s->host, strcmp(arg, "on") == 0, err);
    if (strcmp(verb, "stop") == 0)
        ops->stop(driver.self, s->host);
    else if (strcmp(verb, "kill") == 0)
        ops->kill(driver.self, s->host);
    else if (strcmp(verb, "reboot") == 0)
        ops->reboot(driver.self, s->host);
    else if (strcmp(verb, "destroy") == 0) {
        ops->destroy(driver.self, s->host);
        s->host = NULL;
        s->id = NULL;
    } else if (strcmp(verb, "console") == 0) {
        AUTO_BUF struct buf text = {0};
        ops->console(driver.self, s->host, &text);
        for (size_t i = 0; i < text.len; i++) {
            if (text.data[i] == '\n' || text.data[i] == '\r')
                text.data[i] = '|';
        }
        printf("console %s\n", buf_text(&text));
    } else {
        return err_set(err, ERR_USAGE, "unknown command");
    }
    return 0;
}

static void shut(bool keep)
{
    imds_stop(TAKE(imds));
    driver.ops->close(driver.self, keep);
    quit = true;
}

static int command(char *line, struct err *err)
{
    char *w[WORDS_MAX] = {0}, *state = NULL;
    int n = 0;
    for (char *p = strtok_r(line, " ", &state); p && n < WORDS_MAX; p = strtok_r(NULL, " ", &state))
        w[n++] = p;
    if (n == 0)
        return err_set(err, ERR_USAGE, "empty command");
    if (strcmp(w[0], "create") == 0 || strncmp(w[0], "adopt", 5) == 0)
        return n < 10 ? err_set(err, ERR_USAGE, "too few words") : make(w, n, err);
    if (n < 2)
        return err_set(err, ERR_USAGE, "too few words");
    if (strcmp(w[0], "close") == 0) {
        shut(strcmp(w[1], "keep") == 0);
        return 0;
    }
    struct slot *s = find(w[1]);
    if (!s || !s->host)
        return err_set(err, ERR_NOT_FOUND, "no such host");
    return act(w[0], s, w[2] ? w[2] : "", err);
}

/* Standard input without blocking, between turns of the loop. */
static struct buf input;

static void readable(uv_poll_t *p, int status, int events)
{
    (void)status, (void)events;
    char block[4096];
    ssize_t n = read(STDIN_FILENO, block, sizeof block);
    if (n <= 0) {
        uv_poll_stop(p);
        buf_adds(&input, "close remove\n");
        return;
    }
    buf_add(&input, block, (size_t)n);
}

static bool has_line(void *ctx)
{
    (void)ctx;
    return memchr(buf_text(&input), '\n', input.len) != NULL;
}

static void serve(void)
{
    uv_poll_t poll;
    uv_poll_init(loop_uv(options.loop), &poll, STDIN_FILENO);
    uv_poll_start(&poll, UV_READABLE, readable);
    while (!quit && loop_wait(options.loop, has_line, NULL, USEC_FOREVER, NULL) == 0) {
        struct str rest = buf_view(&input);
        char *line = str_dup(str_cut(&rest, '\n'));
        buf_consume(&input, strlen(line) + 1);
        struct err err = {0};
        if (command(line, &err) == 0)
            printf("ok\n");
        else
            printf("error %s\n", err.msg);
        fflush(stdout);
        free(line);
    }
    uv_poll_stop(&poll);
    uv_close((uv_handle_t *)&poll, NULL);
    (void)!loop_pause(options.loop, 1000, NULL);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    signal(SIGPIPE, SIG_IGN);
    if (argc < 7)
        return 2;
    enum host_kind kind = HOST_LIGHT;
    bool sweeping = strcmp(argv[1], "sweep") == 0;
    if (!sweeping && !host_kind_from_name(argv[1], &kind))
        return 2;
    options = (struct host_options){.loop = loop_new(),
                                    .dir = argv[2],
                                    .cache_dir = argv[3],
                                    .bridge = argv[4],
                                    .network = argv[5],
                                    .public_network = argv[6],
                                    .ghost_port = argc > 7 ? atoi(argv[7]) : 0,
                                    .progress = progress};
    int rc = sweeping             ? hosts_sweep(&options, &err)
             : kind == HOST_GHOST ? hosts_open_ghost(&options, &driver, &err)
                                  : hosts_open_lxc(&options, kind, &driver, &err);
    if (rc == 0 && !sweeping && kind != HOST_GHOST) {
        struct imds_options o = {
            .loop = options.loop, .clock = clock_system(), .facts = facts, .listen_fd = -1};
        rc = hosts_imds_socket(&driver, &o.listen_fd, &err);
        if (rc == 0)
            rc = imds_start(&o, &imds, &err);
    }
    if (rc == -1) {
        printf("error %s\n", err.msg);
        return err_exit_status(err.code);
    }
    printf("ok\n");
    fflush(stdout);
    if (!sweeping)
        serve();
    loop_free(options.loop);
    buf_done(&input);
    return 0;
}
