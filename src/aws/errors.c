/* See errors.h. The codes:
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html and botocore's tables
 * of what is transient and what is throttling. */
#include "aws/errors.h"
#include "aws/xml.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include <string.h>

enum { MAY_BE_SKEW = 1, MAY_BE_EXPIRED = 2 };

static const struct {
    const char *code;
    enum err_code is;
    int flags;
} table[] = {
    /* asked too often */
    {"RequestLimitExceeded", ERR_THROTTLED, 0},
    {"EC2ThrottledException", ERR_THROTTLED, 0},
    {"Throttling", ERR_THROTTLED, 0},
    {"ThrottlingException", ERR_THROTTLED, 0},
    {"ThrottledException", ERR_THROTTLED, 0},
    {"RequestThrottled", ERR_THROTTLED, 0},
    {"RequestThrottledException", ERR_THROTTLED, 0},
    {"TooManyRequestsException", ERR_THROTTLED, 0},
    {"ProvisionedThroughputExceededException", ERR_THROTTLED, 0},
    {"BandwidthLimitExceeded", ERR_THROTTLED, 0},
    {"LimitExceededException", ERR_THROTTLED, 0},
    {"PriorRequestNotComplete", ERR_THROTTLED, 0},
    {"SlowDown", ERR_THROTTLED, 0},
    /* the service failed */
    {"InternalError", ERR_SERVER, 0},
    {"InternalFailure", ERR_SERVER, 0},
    {"InternalServerError", ERR_SERVER, 0},
    {"InternalServiceError", ERR_SERVER, 0},
    {"ServerInternal", ERR_SERVER, 0},
    {"ServiceUnavailable", ERR_SERVER, 0},
    {"ServiceUnavailableException", ERR_SERVER, 0},
    {"Unavailable", ERR_SERVER, 0},
    {"RequestTimeout", ERR_SERVER, 0},
    {"RequestTimeoutException", ERR_SERVER, 0},
    {"ConcurrentTagAccess", ERR_SERVER, 0},
    {"IDPCommunicationError", ERR_SERVER, 0},
    /* another zone or type may have it */
    {"InsufficientInstanceCapacity", ERR_CAPACITY, 0},
    {"InsufficientCapacity", ERR_CAPACITY, 0},
    {"InsufficientHostCapacity", ERR_CAPACITY, 0},
    {"InsufficientReservedInstanceCapacity", ERR_CAPACITY, 0},
    {"InsufficientFreeAddressesInSubnet", ERR_CAPACITY, 0},
    {"InsufficientCapacityOnHost", ERR_CAPACITY, 0},
    {"ReservationCapacityExceeded", ERR_CAPACITY, 0},
    {"UnfulfillableCapacity", ERR_CAPACITY, 0},
    {"Unsupported", ERR_CAPACITY, 0},
    {"SpotMaxPriceTooLow", ERR_CAPACITY, 0},
    {"ResourceCountExceeded", ERR_LIMIT, 0},
    /* the account's quota */
    {"VcpuLimitExceeded", ERR_QUOTA, 0},
    {"InstanceLimitExceeded", ERR_QUOTA, 0},
    {"MaxSpotInstanceCountExceeded", ERR_QUOTA, 0},
    {"VolumeLimitExceeded", ERR_QUOTA, 0},
    {"MaxIOPSLimitExceeded", ERR_QUOTA, 0},
    {"AddressLimitExceeded", ERR_QUOTA, 0},
    {"LimitExceeded", ERR_QUOTA, 0},
    /* accepted, but not allowed */
    {"UnauthorizedOperation", ERR_PERMISSION, 0},
    {"AccessDenied", ERR_PERMISSION, 0},
    {"AccessDeniedException", ERR_PERMISSION, 0},
    {"AllAccessDisabled", ERR_PERMISSION, 0},
    {"AuthorizationError", ERR_PERMISSION, 0},
    {"OperationNotPermitted", ERR_PERMISSION, 0},
    {"AuthFailure.ServiceLinkedRoleCreationNotPermitted", ERR_PERMISSION, 0},
    /* who asks is not known */
    {"AuthFailure", ERR_CREDENTIALS, MAY_BE_SKEW},
    {"SignatureDoesNotMatch", ERR_CREDENTIALS, MAY_BE_SKEW},
    {"InvalidSignatureException", ERR_CREDENTIALS, MAY_BE_SKEW},
    {"InvalidSignature", ERR_CREDENTIALS, MAY_BE_SKEW},
    {"InvalidClientTokenId", ERR_CREDENTIALS, 0},
    {"UnrecognizedClientException", ERR_CREDENTIALS, 0},
    {"InvalidAccessKeyId", ERR_CREDENTIALS, 0},
    {"IncompleteSignature", ERR_CREDENTIALS, 0},
    {"IncompleteSignatureException", ERR_CREDENTIALS, 0},
    {"MissingAuthenticationToken", ERR_CREDENTIALS, 0},
    {"MissingAuthenticationTokenException", ERR_CREDENTIALS, 0},
    {"OptInRequired", ERR_CREDENTIALS, 0},
    {"PendingVerification", ERR_CREDENTIALS, 0},
    {"Blocked", ERR_CREDENTIALS, 0},
    {"InvalidToken", ERR_CREDENTIALS, 0},
    {"ExpiredToken", ERR_CREDENTIALS, MAY_BE_EXPIRED},
    {"ExpiredTokenException", ERR_CREDENTIALS, MAY_BE_EXPIRED},
    {"UnauthorizedException", ERR_CREDENTIALS, MAY_BE_EXPIRED},
    {"RequestExpired", ERR_CREDENTIALS, MAY_BE_SKEW | MAY_BE_EXPIRED},
    {"RequestTimeTooSkewed", ERR_CLOCK_SKEW, MAY_BE_SKEW},
    {"RequestInTheFuture", ERR_CLOCK_SKEW, MAY_BE_SKEW},
    /* it exists already, or something stands in the way */
    {"RouteAlreadyExists", ERR_EXISTS, 0},
    {"IncorrectInstanceState", ERR_CONFLICT, 0},
    {"IncorrectState", ERR_CONFLICT, 0},
    {"DependencyViolation", ERR_CONFLICT, 0},
    {"IdempotentParameterMismatch", ERR_CONFLICT, 0},
    {"IdempotentInstanceTerminated", ERR_CONFLICT, 0},
    {"ParameterNotFound", ERR_NOT_FOUND, 0},
    {"InvalidInstanceType", ERR_NOT_FOUND, 0},
    {"ResourceNotFound", ERR_NOT_FOUND, 0},
    {"NoSuchKey", ERR_NOT_FOUND, 0},
    {"NoSuchBucket", ERR_NOT_FOUND, 0},
};

static bool is_alnum(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static int find(const char *code)
{
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (strcmp(table[i].code, code) == 0)
            return (int)i;
    return -1;
}

enum err_code aws_error_code(const char *code, int status)
{
    int i = find(code);
    if (i >= 0)
        return table[i].is;
    struct str s = str_of(code);
    if (str_ends(s, ".NotFound") || str_ends(s, "NotFoundException"))
        return ERR_NOT_FOUND;
    if (str_ends(s, ".Duplicate") || str_ends(s, "AlreadyExists"))
        return ERR_EXISTS;
    if (str_ends(s, "LimitExceeded"))
        return ERR_QUOTA;
    if (str_ends(s, ".InUse"))
        return ERR_CONFLICT;
    if (status >= 500)
        return ERR_SERVER;
    if (status == 429)
        return ERR_THROTTLED;
    return ERR_REJECTED;
}

bool aws_error_may_be_skew(const struct err *err)
{
    int i = find(err->origin);
    return i >= 0 && table[i].flags & MAY_BE_SKEW;
}

bool aws_error_may_be_expired(const struct err *err)
{
    int i = find(err->origin);
    return i >= 0 && table[i].flags & MAY_BE_EXPIRED;
}

#define DENIAL "Encoded authorization failure message: "

char *aws_error_denial(struct str body)
{
    const char *at = memmem(body.p, body.n, DENIAL, strlen(DENIAL));
    if (!at)
        return NULL;
    at += strlen(DENIAL);
    size_t n = 0;
    while (at + n < body.p + body.n && (at[n] == '-' || at[n] == '_' || is_alnum(at[n])))
        n++;
    return n ? mem_dup_n(at, n) : NULL;
}

/* The service's words in our style: no capital in front, unless of a name, and no full stop. */
static char *our_style(const char *words)
{
    struct str s = str_trim(str_of(words));
    while (s.n && s.p[s.n - 1] == '.')
        s.n--;
    char *p = str_dup(s);
    bool is_word =
        s.n > 1 && p[0] >= 'A' && p[0] <= 'Z' && ((p[1] >= 'a' && p[1] <= 'z') || p[1] == ' ');
    if (is_word)
        p[0] |= 0x20;
    for (size_t i = 0; i < s.n; i++) /* one line, and nothing a terminal obeys */
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            p[i] = ' ';
    return p;
}

static void set(struct err *err, int status, const char *code, const char *words)
{
    AUTO_FREE char *readable = mem_dup(words ? words : "");
    char *denial = strstr(readable, DENIAL);
    if (denial)
        *denial = '\0';
    AUTO_FREE char *message = our_style(readable);
    err_set_origin(err, aws_error_code(code, status), code, "%s",
                   message[0] ? message : "no reason given");
}

static bool set_from_xml(struct err *err, int status, struct str body)
{
    CLEANUP(xml_freep) struct xml *x = NULL;
    if (xml_parse(body, &x, NULL) == -1)
        return false;
    const struct xml_node *root = xml_root(x);
    const struct xml_node *e = xml_child(xml_child(root, "Errors"), "Error"); /* EC2 */
    if (!e)
        e = xml_child(root, "Error"); /* STS, CloudWatch */
    if (!e && strcmp(root->name, "Error") == 0)
        e = root;
    const char *code = xml_text(e, "Code");
    if (!code || !*code)
        return false;
    set(err, status, code, xml_text(e, "Message"));
    return true;
}

/* "com.amazon.coral.service#ExpiredTokenException:http://…" is "ExpiredTokenException". */
static char *json_code(struct str type)
{
    struct str rest = type;
    struct str head = str_cut(&rest, ':');
    const char *hash = memchr(head.p, '#', head.n);
    if (hash) {
        head.n -= (size_t)(hash + 1 - head.p);
        head.p = hash + 1;
    }
    return str_dup(str_trim(head));
}

static bool set_from_json(struct err *err, int status, struct str body, struct str type_header)
{
    json_t *root = NULL;
    if (json_parse(body, BUF_MAX_DEFAULT, &root, NULL) == -1)
        return false;
    const char *type = json_text(root, "__type");
    if (!type)
        type = json_text(root, "code");
    if (!type && !type_header.n)
        type = json_text(root, "error"); /* OIDC's */
    AUTO_FREE char *code = json_code(type_header.n ? type_header : str_of(type));
    const char *words = json_text(root, "message");
    if (!words)
        words = json_text(root, "Message");
    if (!words)
        words = json_text(root, "error_description");
    if (code[0])
        set(err, status, code, words);
    bool known = code[0] != '\0';
    json_decref(root);
    return known;
}

int aws_error_set(struct err *err, int status, struct str body, struct str type_header)
{
    if (!err)
        return -1;
    struct str start = str_trim(body);
    if (start.n && start.p[0] == '<' && set_from_xml(err, status, body))
        return -1;
    if (start.n && start.p[0] == '{' && set_from_json(err, status, body, type_header))
        return -1;
    enum err_code code = status == 403 ? ERR_PERMISSION : aws_error_code("", status);
    return err_set(err, code, "the server answers with HTTP status %d and no reason", status);
}
