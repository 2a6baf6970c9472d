/* Credentials that a program prints (credential_process). See credentials.h.
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html: the line is
 * split as a shell would, but no shell is between. */
#include "aws/aws_priv.h"
#include "base/json.h"
#include "base/mem.h"
#include "os/proc.h"

#define PROCESS_TIMEOUT USEC_PER_MIN

/* POSIX words: blanks part, '…' is literal, in "…" a backslash takes the next '"' or '\', elsewhere
 * any character. */
static int split(const char *line, struct strv *out, struct err *err)
{
    AUTO_BUF struct buf word = {0};
    bool in_word = false;
    char quote = '\0';
    for (const char *p = line; *p; p++) {
        if (quote == '\0' && (*p == ' ' || *p == '\t' || *p == '\n')) {
            if (in_word)
                strv_take(out, buf_take(&word));
            in_word = false;
            continue;
        }
        in_word = true;
        if (*p == quote) {
            quote = '\0';
        } else if (quote == '\0' && (*p == '\'' || *p == '"')) {
            quote = *p;
        } else if (*p == '\\' && quote != '\'' && p[1] &&
                   (quote == '\0' || p[1] == '"' || p[1] == '\\')) {
            buf_addc(&word, *++p);
        } else {
            buf_addc(&word, *p);
        }
    }
    if (quote)
        return err_set(err, ERR_FILE, "credential_process has a quote that is not closed");
    if (in_word)
        strv_take(out, buf_take(&word));
    return out->count ? 0 : err_set(err, ERR_FILE, "credential_process is empty");
}

static int take_output(const char *profile, const struct proc_result *r, struct credentials *out,
                       struct err *err)
{
    if (r->exit_status != 0) {
        struct str rest = str_trim(buf_view(&r->err_out));
        struct str line = str_cut(&rest, '\n');
        return err_set(
            err, ERR_CREDENTIALS, "credential_process of profile '%s' failed with status %d%s%.*s",
            profile, r->exit_status, line.n ? ": " : "", line.n > 300 ? 300 : (int)line.n, line.p);
    }
    json_auto_t *root = NULL;
    if (json_parse(buf_view(&r->out), CREDENTIALS_ANSWER_MAX, &root, NULL) == -1)
        return err_set(err, ERR_CREDENTIALS,
                       "credential_process of profile '%s' does not print JSON", profile);
    if (json_integer_value(json_object_get(root, "Version")) != 1)
        return err_set(err, ERR_CREDENTIALS,
                       "credential_process of profile '%s' does not print \"Version\": 1", profile);
    if (credentials_from_json(buf_view(&r->out), "SessionToken", out, err) == -1)
        return err_wrap(err, "credential_process of profile '%s'", profile);
    return 0;
}

int credentials_from_process(struct aws *aws, const char *profile, struct credentials *out,
                             struct err *err)
{
    AUTO_STRV struct strv argv = {0};
    if (split(credentials_key(aws, profile, "credential_process"), &argv, err) == -1)
        return err_wrap(err, "profile '%s'", profile);
    strv_take(&argv, NULL); /* execvp's end */
    struct proc_result r;
    struct err why = {0};
    if (proc_run(aws->loop, (const char *const *)argv.items, NULL, STR(""), PROCESS_TIMEOUT, &r,
                 &why) == -1) {
        if (why.code != ERR_CANCELLED)
            why.code = ERR_CREDENTIALS;
        err_copy(err, &why);
        return err_wrap(err, "credential_process of profile '%s'", profile);
    }
    int rc = take_output(profile, &r, out, err);
    proc_result_done(&r);
    if (rc == 0)
        out->source = mem_printf("credential_process of profile '%s'", profile);
    return rc;
}
