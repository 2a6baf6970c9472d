/* See program.h. */
#include "experiment/program.h"
#include "base/mem.h"
#include "experiment/refuse.h"
#include "os/fs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATHS_BEGIN "paths begin where flambe is started"

static struct str text_of(const struct yaml_node *n)
{
    return (struct str){n->text, n->text_len};
}

static bool is_text(const char *key, const struct yaml_node *n, struct diags *diags)
{
    if (n->bad)
        return false;
    if (n->kind == YAML_STRING && n->text_len && !memchr(n->text, '\0', n->text_len))
        return true;
    refuse(diags, n->at,
           n->kind == YAML_STRING
               ? mem_printf("'%s' is empty", key)
               : mem_printf("'%s' must be text, not %s", key, yaml_kind_name(n->kind)),
           mem_dup("write the program's path, such as 'train.py'"));
    return false;
}

/* What stands at the path; reports where it cannot be run. */
static void check_file(const struct yaml_node *n, bool executable, struct diags *diags)
{
    AUTO_FREE char *path = fs_expand_home(n->text);
    AUTO_FREE char *shown = diag_quote(text_of(n));
    struct stat st;
    if (stat(path, &st) == -1) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        refuse(diags, n->at,
               missing ? mem_printf("there is no %s", shown)
                       : mem_printf("%s cannot be looked at: %s", shown, strerror(errno)),
               mem_dup(missing ? PATHS_BEGIN : "allow it, or name another file"));
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        refuse(diags, n->at, mem_printf("%s is a directory, not a program", shown),
               mem_dup("name the file in it"));
        return;
    }
    if (executable && access(path, X_OK) == -1)
        refuse(diags, n->at, mem_printf("%s is not executable", shown),
               mem_printf("type: chmod +x %s", n->text));
    else if (!executable && access(path, R_OK) == -1)
        refuse(diags, n->at, mem_printf("%s cannot be read: %s", shown, strerror(errno)),
               mem_printf("type: chmod +r %s", n->text));
}

static bool is_module(struct str s)
{
    bool start = true; /* of a part */
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool letter = c == '_' || c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (c == '.' ? start : !letter && (start || c < '0' || c > '9'))
            return false;
        start = c == '.';
    }
    return !start;
}

void program_check_script(const struct yaml_node *n, struct diags *diags)
{
    if (!is_text("script", n, diags))
        return;
    struct str text = text_of(n);
    bool python = str_ends(text, ".py");
    if (python || memchr(text.p, '/', text.n)) {
        check_file(n, !python, diags);
        return;
    }
    if (is_module(text))
        return;
    AUTO_FREE char *shown = diag_quote(text);
    refuse(diags, n->at, mem_printf("%s is neither a file nor a module", shown),
           mem_dup("a script ends in '.py', a program has a '/', as in './train', and a module is "
                   "names with dots; for a line with arguments use '!Command'"));
}

bool program_is_in_path(const char *name)
{
    const char *path = getenv("PATH");
    struct str rest = str_of(path ? path : "/usr/local/bin:/usr/bin:/bin");
    while (rest.p) {
        struct str dir = str_cut(&rest, ':');
        AUTO_FREE char *file = mem_printf("%.*s/%s", (int)dir.n, dir.n ? dir.p : "", name);
        struct stat st;
        if (stat(dir.n ? file : name, &st) == 0 && S_ISREG(st.st_mode) &&
            access(dir.n ? file : name, X_OK) == 0)
            return true;
    }
    return false;
}

void program_check_command(const struct yaml_node *n, struct diags *diags)
{
    if (!is_text("command", n, diags) || memchr(n->text, '{', n->text_len))
        return;
    if (memchr(n->text, '/', n->text_len)) {
        check_file(n, true, diags);
        return;
    }
    if (program_is_in_path(n->text))
        return;
    AUTO_FREE char *shown = diag_quote(text_of(n));
    AUTO_FREE char *here = mem_printf("./%s", n->text);
    bool meant = fs_exists(n->text);
    bool line = memchr(n->text, ' ', n->text_len);
    refuse(diags, n->at, mem_printf("there is no program %s in $PATH", shown),
           meant  ? mem_printf("write '%s'", here)
           : line ? mem_dup("each argument is a word of its own: '[program, argument]'; a line for "
                            "the shell is written without brackets")
                  : mem_dup("install it, or write its path"));
}
