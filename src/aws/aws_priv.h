/* The client's inside, shared by the files of this room. */
#ifndef FLAMBE_AWS_AWS_PRIV_H
#define FLAMBE_AWS_AWS_PRIV_H

#include "aws/aws.h"
#include "aws/config_file.h"
#include "aws/credentials.h"
#include "aws/retry.h"
#include "net/http.h"

enum aws_protocol { AWS_QUERY, AWS_JSON };

struct aws_service {
    const char *name;        /* "cloudwatch": aws_endpoint()'s, and the key in a services section */
    const char *env;         /* "CLOUDWATCH": behind AWS_ENDPOINT_URL_ */
    const char *host;        /* "monitoring": in front of ".REGION.amazonaws.com" */
    const char *signing;     /* the name that is signed */
    const char *version;     /* of the query protocol */
    const char *target;      /* of the JSON protocol: what stands before ".Action" */
    const char *only_region; /* lives there alone, or NULL */
    enum aws_protocol protocol;
};
extern const struct aws_service aws_ec2, aws_sts, aws_ssm, aws_cloudwatch, aws_pricing, aws_sso,
    aws_sso_oidc;

/* A base URL, taken apart as signing needs it. */
struct aws_url {
    char *url;  /* normalized: lower-case host, no default port, at least "/" as its path */
    char *host; /* the Host header */
    char *path;
};
/* ERR_FILE where it is no http or https URL, with a query, or with a user. */
int aws_url_parse(const char *text, struct aws_url *out, struct err *err) MUST_CHECK;
void aws_url_done(struct aws_url *u);

#define AWS_SERVICE_COUNT 5 /* those that sign; SSO's live in a region of their own */

struct aws {
    struct loop *loop;
    struct http *http; /* made by aws_http() on first use */
    char *region, *profile, *ca_bundle;
    char *config_path, *credentials_path;
    bool profile_given; /* as an argument: the environment's keys are not used */
    const char *(*getenv)(const char *name);
    struct config_file *config;
    struct aws_url endpoints[AWS_SERVICE_COUNT];
    struct credentials credentials; /* access_key_id NULL: none yet */
    const struct credentials_provider *provider;
    bool
        credentials_stale; /* refused as expired: to be fetched again, whatever their expiry says */
    bool resolving;
    bool no_credentials;  /* the whole chain has been asked, and none of it is set up */
    usec_t refresh_after; /* wall; a refresh failed and the old ones still hold: not before */
    int max_attempts;     /* configured, or 0 */
    struct retry_quota quota;
    struct retry_rate rate;
    usec_t clock_offset; /* the server's clock less ours, where ours was refused */
    struct aws_call *calls;
    void (*trace)(void *ctx, const struct aws_trace *t);
    void *trace_ctx;
};

struct http *aws_http(struct aws *aws, struct err *err); /* NULL on failure */
const struct aws_url *aws_service_url(struct aws *aws, const struct aws_service *s);
/* The configured URL of a service, else that of the region. ERR_FILE. */
int aws_find_endpoint(const struct aws *aws, const struct aws_service *s, const char *region,
                      struct aws_url *out, struct err *err) MUST_CHECK;
/* Whether a URL is configured for it. */
bool aws_has_endpoint(const struct aws *aws, const struct aws_service *s);
/* RFC 9110's "Sun, 06 Nov 1994 08:49:37 GMT". */
bool aws_parse_http_date(struct str s, usec_t *out);
/* The environment's value, NULL where it is unset or empty. */
const char *aws_env(const struct aws *aws, const char *name);
/* A key of the chosen profile, NULL where it is absent or empty. */
const char *aws_profile_get(const struct aws *aws, const char *key);
/* Our clock, corrected by what the server said. */
usec_t aws_now(const struct aws *aws);
/* "amazonaws.com.cn" for "cn-north-1". */
const char *aws_dns_suffix(const char *region);
/* "aws-cn" for "cn-north-1": what stands behind "arn:". */
const char *aws_partition(const char *region);
/* Whether it is lower-case letters, digits and '-' only: what may stand in a host name. */
bool aws_region_is_sound(const char *region);

#endif
