/* The instance metadata service, as a host sees it at 169.254.169.254.
 *
 * Who asks is known by the peer's address. IMDSv2's session tokens (PUT /latest/api/token), the
 * tree below /latest and the dated versions that cloud-init asks for; see
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html */
#ifndef FLAMBE_SANDBOX_IMDS_H
#define FLAMBE_SANDBOX_IMDS_H

#include "base/err.h"
#include "os/loop.h"
#include "sandbox/world.h"

struct imds;

#define IMDS_TOKEN_SECONDS_MAX 21600 /* EC2's own bound */

struct imds_options {
    struct loop *loop;
    const struct clock *clock;
    /* What the host at private_ip is told; false: no such host. The strings live until the next
     * turn of the loop. */
    bool (*facts)(void *ctx, const char *private_ip, struct imds_facts *out);
    void *ctx;
    int listen_fd; /* hosts_imds_socket()'s, which becomes the service's own; or -1 */
    int port;      /* of 127.0.0.1 where there is no listen_fd (tests); 0: any */
};

int imds_start(const struct imds_options *o, struct imds **out, struct err *err) MUST_CHECK;
void imds_stop(struct imds *i); /* NULL is legal */
int imds_port(const struct imds *i);

/* One request without the network: the answer's status, its body, and the content type. `token` is
 * the X-aws-ec2-metadata-token header, `ttl` X-aws-ec2-metadata-token-ttl-seconds; empty if absent.
 * `forwarded`: there was an X-Forwarded-For header, with which EC2 gives no token. */
struct imds_request {
    struct str method, path, token, ttl;
    bool forwarded;
    const char *peer;
};
int imds_answer(struct imds *i, const struct imds_request *q, struct buf *body,
                const char **content_type);

#endif
