/* See imds.h.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
 */
#include "aws/imds.h"
#include "base/json.h"
#include "base/mem.h"
#include "os/fs.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define IMDS_ENDPOINT "http://169.254.169.254"
#define IMDS_TIMEOUT USEC_PER_SEC
#define IMDS_ANSWER_MAX ((size_t)64 << 10)
#define IMDS_ROLES "/latest/meta-data/iam/security-credentials/"

bool imds_is_enabled(const struct aws *aws)
{
    const char *off = aws_env(aws, "AWS_EC2_METADATA_DISABLED");
    return !off || strcasecmp(off, "true") != 0;
}

static const char *configured_endpoint(const struct aws *aws)
{
    const char *url = aws_env(aws, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    return url ? url : aws_profile_get(aws, "ec2_metadata_service_endpoint");
}

static int ask(struct aws *aws, const char *method, const char *path, const char *header,
               struct buf *out, struct err *err)
{
    struct http *http = aws_http(aws, err);
    if (!http)
        return -1;
    const char *base = configured_endpoint(aws);
    base = base ? base : IMDS_ENDPOINT;
    struct str trimmed = str_of(base);
    while (trimmed.n && trimmed.p[trimmed.n - 1] == '/')
        trimmed.n--;
    AUTO_FREE char *url = mem_printf("%.*s%s", STR_FMT(trimmed), path);
    const char *headers[] = {header, NULL};
    struct http_request request = {.method = method,
                                   .url = url,
                                   .headers = headers,
                                   .timeout = IMDS_TIMEOUT,
                                   .no_proxy = true};
    struct http_response response;
    if (http_run(http, &request, &response, err) == -1)
        return -1;
    int rc = 0;
    if (response.status == 404)
        rc = err_set(err, ERR_NOT_FOUND, "the metadata service has no '%s'", path);
    else if (response.status != 200)
        rc = err_set(err, response.status >= 500 ? ERR_SERVER : ERR_REJECTED,
                     "the metadata service answers '%s' with status %d", path, response.status);
    else if (response.body.len > IMDS_ANSWER_MAX)
        rc = err_set(err, ERR_LIMIT, "the metadata service's answer is too long");
    else
        buf_add_str(out, str_trim(buf_view(&response.body)));
    http_response_done(&response);
    return rc;
}

/* The header that carries a fresh session token. */
static int get_token(struct aws *aws, struct buf *header, struct err *err)
{
    struct buf token = {0};
    int rc = ask(aws, "PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 300",
                 &token, err);
    if (rc == 0 && memchr(buf_text(&token), '\n', token.len))
        rc = err_set(err, ERR_PARSE, "the metadata service's token is malformed");
    if (rc == 0) {
        buf_adds(header, "X-aws-ec2-metadata-token: ");
        buf_add_str(header, buf_view(&token));
    }
    buf_wipe(&token);
    return rc;
}

/* DMI tells without a network, and at once, where asking would take a second to fail. */
static bool looks_like_ec2(void)
{
    AUTO_BUF struct buf vendor = {0};
    return fs_read("/sys/devices/virtual/dmi/id/sys_vendor", 4096, &vendor, NULL) == 0 &&
           str_is(str_trim(buf_view(&vendor)), "Amazon EC2");
}

bool imds_region(struct aws *aws, char **region)
{
    if (!imds_is_enabled(aws) || (!configured_endpoint(aws) && !looks_like_ec2()))
        return false;
    struct buf header = {0}, text = {0};
    bool found =
        get_token(aws, &header, NULL) == 0 &&
        ask(aws, "GET", "/latest/meta-data/placement/region", buf_text(&header), &text, NULL) == 0;
    found = found && aws_region_is_sound(buf_text(&text));
    if (found)
        *region = mem_dup(buf_text(&text));
    buf_wipe(&header);
    buf_done(&text);
    return found;
}

static int read_role(struct aws *aws, const char *header, struct credentials *out, struct err *err)
{
    AUTO_BUF struct buf role = {0};
    if (ask(aws, "GET", IMDS_ROLES, header, &role, err) == -1)
        return -1;
    struct str rest = buf_view(&role);
    AUTO_FREE char *name = str_dup(str_trim(str_cut(&rest, '\n')));
    if (!*name)
        return err_set(err, ERR_NOT_FOUND, "the instance has no role");
    AUTO_FREE char *path = mem_printf("%s%s", IMDS_ROLES, name);
    struct buf text = {0};
    int rc = ask(aws, "GET", path, header, &text, err);
    if (rc == 0)
        rc = credentials_from_json(buf_view(&text), "Token", out, err);
    buf_wipe(&text);
    if (rc == 0)
        out->source = mem_printf("the instance's role '%s' (metadata service)", name);
    return rc;
}

int imds_credentials(struct aws *aws, struct credentials *out, struct err *err)
{
    struct buf header = {0};
    struct err why = {0};
    int rc = get_token(aws, &header, &why);
    if (rc == 0)
        rc = read_role(aws, buf_text(&header), out, &why);
    buf_wipe(&header);
    if (rc == 0)
        return 0;
    if (why.code == ERR_UNREACHABLE || why.code == ERR_TIMEOUT)
        why.code = ERR_NOT_FOUND; /* no EC2 machine */
    return err_copy(err, &why);
}
