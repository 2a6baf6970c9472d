/* Credentials of a container (ECS, EKS Pod Identity): an HTTP endpoint named by the environment.
 * See credentials.h.
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html: plain http is
 * allowed only to this machine and to the addresses that ECS and EKS have. */
#include "aws/aws_priv.h"
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include <string.h>

#define CONTAINER_HOST "http://169.254.170.2"
#define CONTAINER_TIMEOUT (2 * USEC_PER_SEC)
#define CONTAINER_TRIES 3
#define CONTAINER_TOKEN_MAX ((size_t)64 << 10)

bool credentials_container_applies(const struct aws *aws)
{
    return aws_env(aws, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
           aws_env(aws, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

static bool may_be_plain(const char *url)
{
    static const char *const hosts[] = {"localhost", "[::1]", "169.254.170.2", "169.254.170.23",
                                        "[fd00:ec2::23]"};
    const char *host = url + strlen("http://");
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    struct str s = {host, n < strlen(host) ? n : strlen(host)};
    if (str_starts(s, "127.") && strspn(host, "0123456789.") == s.n)
        return true;
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        if (str_is(s, hosts[i]))
            return true;
    return false;
}

static int find_url(const struct aws *aws, char **out, struct err *err)
{
    const char *relative = aws_env(aws, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = aws_env(aws, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (relative && relative[0] != '/')
        return err_set(err, ERR_CREDENTIALS,
                       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI starts with '/', not '%s'",
                       relative);
    if (relative) {
        *out = mem_printf("%s%s", CONTAINER_HOST, relative);
        return 0;
    }
    if (!full)
        return err_set(err, ERR_CREDENTIALS,
                       "no container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
                       "AWS_CONTAINER_CREDENTIALS_FULL_URI are not set");
    bool secure = str_starts(str_of(full), "https://");
    if (!secure && !(str_starts(str_of(full), "http://") && may_be_plain(full)))
        return err_set(
            err, ERR_CREDENTIALS,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is https://…, or http:// to this machine "
            "or the container's own address, not '%s'",
            full);
    *out = mem_dup(full);
    return 0;
}

/* "Authorization: …", or nothing where no token is set. */
static int find_token(const struct aws *aws, struct buf *header, struct err *err)
{
    const char *path = aws_env(aws, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *text = aws_env(aws, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct buf token = {0};
    struct err why = {0};
    if (path && fs_read(path, CONTAINER_TOKEN_MAX, &token, &why) == -1) {
        why.code = ERR_CREDENTIALS;
        err_wrap(&why, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        return err_copy(err, &why);
    }
    if (!path && text)
        buf_adds(&token, text);
    struct str trimmed = path ? str_trim(buf_view(&token)) : buf_view(&token);
    int rc = 0;
    if (trimmed.n && (memchr(trimmed.p, '\n', trimmed.n) || memchr(trimmed.p, '\r', trimmed.n) ||
                      memchr(trimmed.p, '\0', trimmed.n)))
        rc =
            err_set(err, ERR_CREDENTIALS, "the container's authorization token holds a line break");
    if (rc == 0 && trimmed.n) {
        buf_adds(header, "Authorization: ");
        buf_add_str(header, trimmed);
    }
    buf_wipe(&token);
    return rc;
}

static int ask(struct aws *aws, const char *url, const char *header, struct credentials *out,
               struct err *err)
{
    struct http *http = aws_http(aws, err);
    const char *headers[] = {"Accept: application/json", header, NULL};
    struct http_request request = {.method = "GET",
                                   .url = url,
                                   .headers = headers,
                                   .timeout = CONTAINER_TIMEOUT,
                                   .no_proxy = true};
    struct http_response r;
    if (!http || http_run(http, &request, &r, err) == -1)
        return -1;
    int rc;
    if (r.status == 200)
        rc = credentials_from_json(buf_view(&r.body), "Token", out, err);
    else
        rc = err_set(err, r.status >= 500 || r.status == 429 ? ERR_SERVER : ERR_CREDENTIALS,
                     "the container's credentials endpoint answers with status %d", r.status);
    http_response_done(&r);
    return rc;
}

int credentials_from_container(struct aws *aws, struct credentials *out, struct err *err)
{
    AUTO_FREE char *url = NULL;
    struct buf header = {0};
    if (find_url(aws, &url, err) == -1 || find_token(aws, &header, err) == -1)
        return -1;
    struct err why = {0};
    int rc = -1;
    for (int i = 0; i < CONTAINER_TRIES; i++) {
        rc = ask(aws, url, header.len ? buf_text(&header) : NULL, out, &why);
        if (rc == 0 || !err_retryable(why.code) || i + 1 == CONTAINER_TRIES)
            break;
        if (loop_pause(aws->loop, USEC_PER_SEC / 2, &why) == -1)
            break;
    }
    buf_wipe(&header);
    if (rc == -1)
        return err_copy(err, &why);
    out->source = mem_printf("the container's endpoint '%s'", url);
    return 0;
}
