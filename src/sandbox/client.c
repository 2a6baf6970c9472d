/* See client.h. */
#include "sandbox/client.h"
#include "base/json.h"
#include "base/mem.h"
#include "net/http.h"
#include "os/fs.h"
#include "os/lock.h"
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)16 << 10)
#define ANSWER_MAX ((size_t)64 << 20)
#define CALL_TIMEOUT (10 * USEC_PER_MIN) /* a reset makes an image where there is none */

void client_facts_done(struct client_facts *f)
{
    if (f->token)
        explicit_bzero(f->token, strlen(f->token));
    free(f->token);
    free(f->region);
    free(f->hosts);
    *f = (struct client_facts){0};
}

static int not_running(const char *dir, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no sandbox runs in '%s'; type: flambe-sandbox start", dir);
}

int client_facts(const char *dir, struct client_facts *out, struct err *err)
{
    AUTO_FREE char *path = fs_join(dir, "control.json");
    struct buf text = {0};
    struct err why = {0};
    if (fs_read(path, FILE_MAX, &text, &why) == -1)
        return why.code == ERR_NOT_FOUND ? not_running(dir, err) : err_copy(err, &why);
    json_auto_t *j = NULL;
    int rc = json_parse(buf_view(&text), FILE_MAX, &j, err);
    buf_wipe(&text);
    if (rc == -1)
        return err_wrap(err, "'%s'", path);
    const char *token = json_text(j, "token"), *region = json_text(j, "region"),
               *hosts = json_text(j, "hosts");
    int64_t port = json_integer_value(json_object_get(j, "port"));
    if (!token || !region || !hosts || port < 1 || port > 65535)
        return err_set(err, ERR_PARSE, "'%s' is damaged", path);
    *out = (struct client_facts){(int)port, mem_dup(token), mem_dup(region), mem_dup(hosts)};
    return 0;
}

static int read_answer(const struct http_response *r, json_t **out, struct err *err)
{
    json_auto_t *j = NULL;
    if (json_parse(buf_view(&r->body), ANSWER_MAX, &j, err) == -1)
        return err_wrap(err, "the sandbox's answer");
    const char *error = json_text(j, "error");
    if (error)
        return err_set(
            err, json_integer_value(json_object_get(j, "exit")) == 2 ? ERR_USAGE : ERR_REJECTED,
            "%s", error);
    *out = json_incref(j);
    return 0;
}

static int exchange(struct loop *loop, const char *dir, const struct client_facts *f,
                    const char *command, const json_t *args, json_t **out, struct err *err)
{
    AUTO_FREE char *url = mem_printf("http://127.0.0.1:%d/_sandbox/%s", f->port, command);
    AUTO_FREE char *authorization = mem_printf("Authorization: Bearer %s", f->token);
    AUTO_BUF struct buf body = {0};
    json_auto_t *none = json_object();
    json_write(args ? args : none, false, &body);
    const char *const headers[] = {authorization, "Content-Type: application/json", NULL};
    struct http_options o = {.user_agent = "flambe-sandbox/" FLAMBE_VERSION};
    struct http_request q = {.method = "POST",
                             .url = url,
                             .headers = headers,
                             .body = buf_view(&body),
                             .timeout = CALL_TIMEOUT,
                             .no_proxy = true};
    struct http *http = NULL;
    struct http_response response = {0};
    struct err why = {0};
    if (http_new(loop, &o, &http, err) == -1)
        return -1;
    int rc = http_run(http, &q, &response, &why);
    if (rc == -1 && why.code == ERR_UNREACHABLE && !client_is_held(dir))
        rc = not_running(dir, err);
    else if (rc == -1)
        rc = err_copy(err, &why);
    else
        rc = read_answer(&response, out, err);
    http_response_done(&response);
    http_free(http);
    explicit_bzero(authorization, strlen(authorization));
    return rc;
}

int client_call(struct loop *loop, const char *dir, const char *command, const json_t *args,
                json_t **out, struct err *err)
{
    struct client_facts facts = {0};
    if (client_facts(dir, &facts, err) == -1)
        return -1;
    int rc = exchange(loop, dir, &facts, command, args, out, err);
    client_facts_done(&facts);
    return rc;
}

bool client_is_held(const char *dir)
{
    AUTO_FREE char *path = fs_join(dir, "lock");
    struct lock *lock = NULL;
    struct err err = {0};
    if (!fs_exists(path))
        return false;
    if (lock_take(path, &lock, &err) == -1)
        return err.code == ERR_CONFLICT;
    lock_release(lock);
    return false;
}
