/* The shell's way into the sandbox: the variables that point AWS's clients at it, and away from the
 * user's own account. */
#include "base/mem.h"
#include "os/fs.h"
#include "sandbox/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each of them could lead a client to another account, another endpoint or another proxy. */
static const char *const unset[] = {"AWS_PROFILE",
                                    "AWS_DEFAULT_PROFILE",
                                    "AWS_ACCESS_KEY_ID",
                                    "AWS_SECRET_ACCESS_KEY",
                                    "AWS_SESSION_TOKEN",
                                    "AWS_SECURITY_TOKEN",
                                    "AWS_CREDENTIAL_EXPIRATION",
                                    "AWS_ROLE_ARN",
                                    "AWS_ROLE_SESSION_NAME",
                                    "AWS_WEB_IDENTITY_TOKEN_FILE",
                                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                    "AWS_CA_BUNDLE",
                                    "AWS_USE_FIPS_ENDPOINT",
                                    "AWS_USE_DUALSTACK_ENDPOINT",
                                    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
                                    "AWS_ENDPOINT_URL_EC2",
                                    "AWS_ENDPOINT_URL_STS",
                                    "AWS_ENDPOINT_URL_SSM",
                                    "AWS_ENDPOINT_URL_CLOUDWATCH",
                                    "AWS_ENDPOINT_URL_PRICING"};

static void print_export(const char *name, const char *value)
{
    printf("export %s='", name);
    for (; *value; value++) {
        if (*value == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*value);
    }
    fputs("'\n", stdout);
}

/* A proxy would be asked for 127.0.0.1 too. */
static void print_no_proxy(void)
{
    static const char *const proxies[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
    const char *without = getenv("no_proxy");
    if (!without)
        without = getenv("NO_PROXY");
    bool proxied = false;
    for (size_t i = 0; i < COUNT_OF(proxies); i++)
        proxied = proxied || getenv(proxies[i]);
    if (!proxied || (without && strstr(without, "127.0.0.1")))
        return;
    AUTO_FREE char *value =
        mem_printf("127.0.0.1%s%s", without && *without ? "," : "", without ? without : "");
    print_export("NO_PROXY", value);
    print_export("no_proxy", value);
}

void exports_print(const char *dir, int port, const char *region)
{
    AUTO_FREE char *endpoint = mem_printf("http://127.0.0.1:%d", port);
    AUTO_FREE char *config = fs_join(dir, "aws/config");
    AUTO_FREE char *credentials = fs_join(dir, "aws/credentials");
    fputs("unset", stdout);
    for (size_t i = 0; i < COUNT_OF(unset); i++)
        printf(" %s", unset[i]);
    putchar('\n');
    print_export("AWS_ENDPOINT_URL", endpoint);
    print_export("AWS_CONFIG_FILE", config);
    print_export("AWS_SHARED_CREDENTIALS_FILE", credentials);
    print_export("AWS_REGION", region);
    print_export("AWS_DEFAULT_REGION", region);
    print_export("AWS_EC2_METADATA_DISABLED", "true");
    print_export("FLAMBE_SANDBOX_DIR", dir);
    print_no_proxy();
    fflush(stdout);
}
