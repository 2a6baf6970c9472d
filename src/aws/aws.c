/* See aws.h: opening a client. Configuration is read here, once; servers are asked by call.c and
 * credentials*.c. */
#include "aws/aws_priv.h"
#include "aws/imds.h"
#include "base/mem.h"
#include "os/fs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REGION_DEFAULT "us-east-1"

const struct aws_service aws_ec2 = {.name = "ec2",
                                    .env = "EC2",
                                    .host = "ec2",
                                    .signing = "ec2",
                                    .version = "2016-11-15",
                                    .protocol = AWS_QUERY};
const struct aws_service aws_sts = {.name = "sts",
                                    .env = "STS",
                                    .host = "sts",
                                    .signing = "sts",
                                    .version = "2011-06-15",
                                    .protocol = AWS_QUERY};
const struct aws_service aws_ssm = {.name = "ssm",
                                    .env = "SSM",
                                    .host = "ssm",
                                    .signing = "ssm",
                                    .target = "AmazonSSM",
                                    .protocol = AWS_JSON};
const struct aws_service aws_cloudwatch = {.name = "cloudwatch",
                                           .env = "CLOUDWATCH",
                                           .host = "monitoring",
                                           .signing = "monitoring",
                                           .version = "2010-08-01",
                                           .protocol = AWS_QUERY};
const struct aws_service aws_pricing = {.name = "pricing",
                                        .env = "PRICING",
                                        .host = "api.pricing",
                                        .signing = "pricing",
                                        .target = "AWSPriceListService",
                                        .only_region = "us-east-1",
                                        .protocol = AWS_JSON};
const struct aws_service aws_sso = {.name = "sso", .env = "SSO", .host = "portal.sso"};
const struct aws_service aws_sso_oidc = {.name = "sso_oidc", .env = "SSO_OIDC", .host = "oidc"};

static const struct aws_service *const services[AWS_SERVICE_COUNT] = {
    &aws_ec2, &aws_sts, &aws_ssm, &aws_cloudwatch, &aws_pricing};

const char *aws_env(const struct aws *aws, const char *name)
{
    const char *value = aws->getenv(name);
    return value && *value ? value : NULL;
}

const char *aws_profile_get(const struct aws *aws, const char *key)
{
    const char *value = config_file_get(aws->config, CONFIG_PROFILE, aws->profile, key);
    return value && *value ? value : NULL;
}

usec_t aws_now(const struct aws *aws)
{
    return clock_wall(loop_clock(aws->loop)) + aws->clock_offset;
}

struct http *aws_http(struct aws *aws, struct err *err)
{
    struct http_options o = {.ca_bundle = aws->ca_bundle};
    if (!aws->http && http_new(aws->loop, &o, &aws->http, err) == -1)
        return NULL;
    return aws->http;
}

/* ---- URLs and endpoints -----------------------------------------------------------------------
 */

void aws_url_done(struct aws_url *u)
{
    free(u->url);
    free(u->host);
    free(u->path);
    *u = (struct aws_url){0};
}

static bool has_odd_bytes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f || s.p[i] == '"')
            return true;
    return false;
}

int aws_url_parse(const char *text, struct aws_url *out, struct err *err)
{
    struct str s = str_trim(str_of(text));
    bool secure = str_starts(s, "https://");
    if (!secure && !str_starts(s, "http://"))
        return err_set(err, ERR_FILE, "'%s' is no http:// or https:// URL", text);
    size_t scheme = secure ? 8 : 7;
    struct str rest = {s.p + scheme, s.n - scheme};
    if (memchr(rest.p, '?', rest.n) || memchr(rest.p, '#', rest.n) || memchr(rest.p, '@', rest.n) ||
        has_odd_bytes(rest))
        return err_set(err, ERR_FILE, "an endpoint's URL is https://HOST[:PORT][/PATH], not '%s'",
                       text);
    const char *slash = memchr(rest.p, '/', rest.n);
    struct str host = {rest.p, slash ? (size_t)(slash - rest.p) : rest.n};
    struct str path = {host.p + host.n, rest.n - host.n};
    if (str_ends(host, secure ? ":443" : ":80"))
        host.n -= secure ? 4 : 3;
    if (host.n == 0)
        return err_set(err, ERR_FILE, "the URL '%s' has no host", text);
    out->host = str_dup(host);
    for (size_t i = 0; i < host.n; i++)
        if (out->host[i] >= 'A' && out->host[i] <= 'Z')
            out->host[i] |= 0x20;
    out->path = path.n ? str_dup(path) : mem_dup("/");
    out->url = mem_printf("%.*s%s%s", (int)scheme, s.p, out->host, out->path);
    return 0;
}

static const struct {
    const char *prefix, *partition, *suffix;
} partitions[] = {
    {"cn-", "aws-cn", "amazonaws.com.cn"},      {"us-gov-", "aws-us-gov", "amazonaws.com"},
    {"us-isob-", "aws-iso-b", "sc2s.sgov.gov"}, {"us-isof-", "aws-iso-f", "csp.hci.ic.gov"},
    {"us-iso-", "aws-iso", "c2s.ic.gov"},       {"eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"},
    {"eusc-", "aws-eusc", "amazonaws.eu"},      {"", "aws", "amazonaws.com"}};

static size_t find_partition(const char *region)
{
    size_t i = 0;
    while (!str_starts(str_of(region), partitions[i].prefix))
        i++; /* the last one fits all */
    return i;
}

const char *aws_dns_suffix(const char *region)
{
    return partitions[find_partition(region)].suffix;
}

const char *aws_partition(const char *region)
{
    return partitions[find_partition(region)].partition;
}

bool aws_region_is_sound(const char *region)
{
    size_t n = strlen(region);
    return n > 0 && n <= 32 && strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == n &&
           region[0] != '-' && region[n - 1] != '-';
}

/* The configured URL of a service, or NULL; *where names the place for a message. */
static const char *configured_endpoint(const struct aws *aws, const struct aws_service *s,
                                       char where[96])
{
    const char *ignore = aws_env(aws, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if (!ignore)
        ignore = aws_profile_get(aws, "ignore_configured_endpoint_urls");
    if (ignore && strcasecmp(ignore, "true") == 0)
        return NULL;
    snprintf(where, 96, "AWS_ENDPOINT_URL_%s", s->env);
    const char *url = aws_env(aws, where);
    if (url)
        return url;
    snprintf(where, 96, "AWS_ENDPOINT_URL");
    url = aws_env(aws, where);
    if (url)
        return url;
    snprintf(where, 96, "endpoint_url of profile '%.40s'", aws->profile);
    const char *section = aws_profile_get(aws, "services");
    if (section) {
        url = config_file_get_sub(aws->config, CONFIG_SERVICES, section, s->name, "endpoint_url");
        if (url && *url)
            return url;
    }
    return aws_profile_get(aws, "endpoint_url");
}

bool aws_has_endpoint(const struct aws *aws, const struct aws_service *s)
{
    char where[96];
    return configured_endpoint(aws, s, where) != NULL;
}

int aws_find_endpoint(const struct aws *aws, const struct aws_service *s, const char *region,
                      struct aws_url *out, struct err *err)
{
    char where[96];
    const char *configured = configured_endpoint(aws, s, where);
    if (configured) {
        if (aws_url_parse(configured, out, err) == -1)
            return err_wrap(err, "%s", where);
        return 0;
    }
    if (s->only_region)
        region = s->only_region;
    AUTO_FREE char *url = mem_printf("https://%s.%s.%s/", s->host, region, aws_dns_suffix(region));
    return aws_url_parse(url, out, err);
}

const struct aws_url *aws_service_url(struct aws *aws, const struct aws_service *s)
{
    for (size_t i = 0; i < AWS_SERVICE_COUNT; i++)
        if (services[i] == s)
            return &aws->endpoints[i];
    abort();
}

const char *aws_endpoint(struct aws *aws, const char *service)
{
    for (size_t i = 0; i < AWS_SERVICE_COUNT; i++)
        if (strcmp(services[i]->name, service) == 0)
            return aws->endpoints[i].url;
    return NULL;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

/* The path that the variable names, or its place below the home directory. */
static char *file_path(const struct aws *aws, const char *variable, const char *below_home)
{
    const char *value = aws_env(aws, variable);
    if (value)
        return fs_expand_home(value);
    const char *home = aws_env(aws, "HOME");
    return fs_join(home ? home : fs_home(), below_home);
}

static int read_config(struct aws *aws, const char *path, bool is_credentials, struct err *err)
{
    struct buf text = {.max = CONFIG_FILE_MAX + 1};
    struct err why = {0};
    if (fs_read(path, CONFIG_FILE_MAX, &text, &why) == -1)
        return why.code == ERR_NOT_FOUND ? 0 : err_copy(err, &why);
    int rc = config_file_add(aws->config, path, buf_view(&text), is_credentials, err);
    buf_wipe(&text);
    return rc;
}

static int choose_profile(struct aws *aws, const struct aws_options *o, struct err *err)
{
    const char *name = o->profile;
    const char *from = "--profile";
    aws->profile_given = name != NULL;
    if (!name) {
        name = aws_env(aws, "AWS_PROFILE");
        from = "AWS_PROFILE";
    }
    if (!name) {
        name = aws_env(aws, "AWS_DEFAULT_PROFILE");
        from = "AWS_DEFAULT_PROFILE";
    }
    aws->profile = mem_dup(name ? name : "default");
    if (!name || config_file_has(aws->config, CONFIG_PROFILE, name))
        return 0;
    AUTO_STRV struct strv known = {0};
    config_file_profiles(aws->config, &known);
    AUTO_FREE char *list = strv_join(&known, ", ");
    const char *near = str_nearest(name, (const char *const *)known.items, known.count);
    if (near)
        return err_set(err, ERR_CREDENTIALS,
                       "no profile '%s' (of %s) in '%s' or '%s'; did you mean '%s'?", name, from,
                       aws->config_path, aws->credentials_path, near);
    return err_set(err, ERR_CREDENTIALS,
                   "no profile '%s' (of %s) in '%s' or '%s'; profiles there: %s; to make it: "
                   "aws configure --profile %s",
                   name, from, aws->config_path, aws->credentials_path, known.count ? list : "none",
                   name);
}

static int choose_region(struct aws *aws, const struct aws_options *o, struct err *err)
{
    const char *region = o->region && *o->region ? o->region : NULL;
    if (!region)
        region = aws_env(aws, "AWS_REGION");
    if (!region)
        region = aws_env(aws, "AWS_DEFAULT_REGION");
    if (!region)
        region = aws_profile_get(aws, "region");
    if (region)
        aws->region = mem_dup(region);
    else if (!imds_region(aws, &aws->region))
        aws->region = mem_dup(REGION_DEFAULT);
    if (!aws_region_is_sound(aws->region))
        return err_set(err, ERR_FILE, "'%s' is no region's name, such as 'us-east-1'", aws->region);
    return 0;
}

static int choose_attempts(struct aws *aws, struct err *err)
{
    const char *text = aws_env(aws, "AWS_MAX_ATTEMPTS");
    if (!text)
        text = aws_profile_get(aws, "max_attempts");
    if (!text)
        return 0;
    int64_t n;
    if (!str_to_i64(str_of(text), 1, RETRY_ATTEMPTS_MAX, &n))
        return err_set(err, ERR_FILE,
                       "max_attempts (AWS_MAX_ATTEMPTS) is a number from 1 to %d, not '%s'",
                       RETRY_ATTEMPTS_MAX, text);
    aws->max_attempts = (int)n;
    return 0;
}

static int choose_ca_bundle(struct aws *aws, struct err *err)
{
    const char *path = aws_env(aws, "AWS_CA_BUNDLE");
    if (!path)
        path = aws_profile_get(aws, "ca_bundle");
    if (!path)
        return 0;
    aws->ca_bundle = fs_expand_home(path);
    if (!fs_exists(aws->ca_bundle))
        return err_set(err, ERR_FILE, "no such file: '%s' (AWS_CA_BUNDLE or ca_bundle)",
                       aws->ca_bundle);
    return 0;
}

static int configure(struct aws *aws, const struct aws_options *o, struct err *err)
{
    aws->config_path = file_path(aws, "AWS_CONFIG_FILE", ".aws/config");
    aws->credentials_path = file_path(aws, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
    if (read_config(aws, aws->config_path, false, err) == -1 ||
        read_config(aws, aws->credentials_path, true, err) == -1 ||
        choose_profile(aws, o, err) == -1 || choose_ca_bundle(aws, err) == -1 ||
        choose_attempts(aws, err) == -1 || choose_region(aws, o, err) == -1)
        return -1;
    for (size_t i = 0; i < AWS_SERVICE_COUNT; i++)
        if (aws_find_endpoint(aws, services[i], aws->region, &aws->endpoints[i], err) == -1)
            return -1;
    return 0;
}

static const char *process_getenv(const char *name)
{
    return getenv(name);
}

int aws_open(const struct aws_options *o, struct aws **out, struct err *err)
{
    struct aws *aws = mem_alloc(sizeof *aws);
    aws->loop = o->loop;
    aws->getenv = o->getenv ? o->getenv : process_getenv;
    aws->trace = o->trace;
    aws->trace_ctx = o->trace_ctx;
    aws->quota.left = RETRY_QUOTA_MAX;
    aws->config = config_file_new();
    if (configure(aws, o, err) == -1) {
        aws_close(aws);
        return -1;
    }
    *out = aws;
    return 0;
}

int aws_open_region(const struct aws *like, const char *region, struct aws **out, struct err *err)
{
    const struct aws_options o = {.loop = like->loop,
                                  .region = region,
                                  .profile = like->profile_given ? like->profile : NULL,
                                  .getenv = like->getenv};
    return aws_open(&o, out, err);
}

void aws_close(struct aws *aws)
{
    if (!aws)
        return;
    http_free(aws->http);
    credentials_done(&aws->credentials);
    config_file_free(aws->config);
    for (size_t i = 0; i < AWS_SERVICE_COUNT; i++)
        aws_url_done(&aws->endpoints[i]);
    free(aws->region);
    free(aws->profile);
    free(aws->ca_bundle);
    free(aws->config_path);
    free(aws->credentials_path);
    free(aws);
}

const char *aws_region(const struct aws *aws)
{
    return aws->region;
}

int aws_credentials_source(struct aws *aws, char *out, size_t size, struct err *err)
{
    if (!credentials_usable(aws) && credentials_resolve(aws, err) == -1)
        return -1;
    snprintf(out, size, "%s", aws->credentials.source);
    return 0;
}
