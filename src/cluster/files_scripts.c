/* See files_priv.h. */
#include "cluster/cluster_priv.h"
#include "cluster/files.h"
#include "cluster/files_priv.h"

#define ROOT "/var/lib/flambe"
#define RESULTS "/srv/flambe/results"
#define COPY FILES_STATE_COPY

/* The directories of a host that is reached for the first time are root's to make. */
#define MAKE_ROOTS                                                                   \
    "as_root() { if [ \"$(id -u)\" = 0 ]; then \"$@\"; else sudo -n \"$@\"; fi; }\n" \
    "own() { [ -w \"$1\" ] ||"                                                       \
    " as_root install -d -m \"$2\" -o \"$(id -un)\" -g \"$(id -gn)\" \"$1\"; }\n"    \
    "[ -d " ROOT " ] || as_root install -d -m 755 " ROOT "\n"

#define PROLOGUE                                      \
    "umask 022\n"                                     \
    "fail() { echo \"flambe: error $*\"; exit 1; }\n" \
    "export LC_ALL=C\n" MAKE_ROOTS "n=$1 d=" ROOT "/files/$1\n"

const char script_files_make[] = PROLOGUE
    "command -v rsync >/dev/null ||"
    " fail 'there is no rsync; type: flambe exec CLUSTER -- sudo apt-get install -y rsync'\n"
    "own " ROOT "/files 755 && mkdir -p $d/work $d/resources $d/extensions ||"
    " fail \"cannot make $d\"\n"
    "if [ -f $d/sent ]; then s=$(sha256sum < $d/sent) && echo \"flambe: sent ${s%% *}\"; fi\n"
    "echo 'flambe: ok'\n";

/* What was sent and is no more goes before rsync comes, since a file may stand where a directory is
 * to be. rm refuses directories, and rmdir those that hold what a trial wrote. */
const char script_files_names[] =
    PROLOGUE "cd $d/work && cat > ../sent.new || fail \"cannot write in $d\"\n"
             ": >> ../sent && : >> ../gone\n"
             "comm -z -23 ../sent ../sent.new > ../dropped || fail 'comm failed'\n"
             "if [ -s ../dropped ]; then\n"
             "  xargs -0 rm -f -- < ../dropped 2>/dev/null\n"
             "  sed -zn 's,/[^/]*$,,p' ../dropped | sort -zu |"
             " xargs -0r rmdir -p --ignore-fail-on-non-empty -- 2>/dev/null\n"
             "fi\n"
             "sort -zu ../gone ../dropped | comm -z -23 - ../sent.new > ../gone.new &&"
             " mv ../gone.new ../gone && mv ../sent.new ../sent && rm -f ../dropped ||"
             " fail \"cannot write in $d\"\n"
             "echo 'flambe: ok'\n";

const char script_files_beside[] =
    PROLOGUE "shift\n"
             "cd $d || fail \"there is no $d\"\n"
             "for have in resources/* extensions/*; do\n"
             "  [ -e \"$have\" ] || continue\n"
             "  for keep; do [ \"$have\" != \"$keep\" ] || continue 2; done\n"
             "  rm -rf -- \"$have\"\n"
             "done\n"
             "for keep; do mkdir -p -- \"$keep\" || fail \"cannot make $keep\"; done\n"
             "echo 'flambe: ok'\n";

/* One rsync a factory. Its rules, which rsync reads much faster than names, and of which the first
 * that fits holds: what was sent once and is not here any more is at risk there, all else in work
 * is not; what is here and was not sent, such as a trial's own files, stays here. */
const char script_files_spread[] = PROLOGUE
    "cd $d/work || fail \"there are no files of '$n'\"\n"
    "escape='/[[*?]/s,[][*?\\\\],\\\\&,g'\n"
    "{ find . -depth -mindepth 1 ! -type d -printf '%P\\0' | sort -z | comm -z -23 - ../sent"
    " > ../extra\n"
    "  comm -z -23 ../gone ../extra | sed -z \"$escape;s,^,R /files/$n/work/,\"\n"
    "  printf 'P /files/%s/work/**\\0' \"$n\"\n"
    "  sed -z \"$escape;s,^,- /files/$n/work/,\" ../extra\n"
    "} > ../rules || fail \"cannot write in $d\"\n"
    "cat > ../make <<'EOF'\n" MAKE_ROOTS "own " ROOT "/files 755 && own " ROOT "/secrets 700\nEOF\n"
    "cat > ../one <<'EOF'\n"
    "h=$1 make=$(cat ../make)\n"
    "shift\n"
    "out=$(rsync -slptrR --safe-links --from0 --filter='merge ../rules' --delete --force"
    " --timeout=300 --rsync-path=\"{ $make; } >&2; rsync\""
    " -e 'ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15"
    " -o ServerAliveCountMax=4' -- \"$@\" \"$h:" ROOT "/\" 2>&1 </dev/null)\n"
    "echo \"flambe: host $h $? $(printf %s \"$out\" | tr '\\n\\r' '  ' | head -c 600)\"\n"
    "EOF\n"
    "f=" ROOT "/./files/$n\n"
    "[ \"$2\" = 1 ] && s=" ROOT "/./secrets/$n.ini || s=\n"
    "xargs -r -P 16 -I '{}' sh ../one '{}' $f/work $f/resources $f/extensions $s\n"
    "rm -f ../one ../make ../rules ../extra\n"
    "echo 'flambe: ok'\n";

const char script_secrets_put[] = PROLOGUE
    "umask 077\n"
    "own " ROOT "/secrets 700 && cat > " ROOT "/secrets/.$n.new &&"
    " chmod 600 " ROOT "/secrets/.$n.new &&"
    " mv -f " ROOT "/secrets/.$n.new " ROOT "/secrets/$n.ini || fail 'cannot keep the secrets'\n"
    "echo 'flambe: ok'\n";

const char script_secrets_drop[] =
    PROLOGUE "rm -f " ROOT "/secrets/$n.ini " ROOT "/secrets/.$n.new\n"
             "xargs -r -P 16 -I '{}' ssh -n -o BatchMode=yes -o ConnectTimeout=20 '{}'"
             " rm -f " ROOT "/secrets/$n.ini " ROOT "/secrets/.$n.new\n"
             "echo 'flambe: ok'\n";

/* A name with anything else in it is not flambe's. What readers write beside the state does not
 * count, and a trial's links are not followed. */
#define EACH_RESULTS                                      \
    "for d in " RESULTS "/output__*; do\n"                \
    "  n=${d##*/output__} s=$d\n"                         \
    "  case $n in ''|*[!A-Za-z0-9_-]*) continue;; esac\n" \
    "  [ ! -d \"$d/.state\" ] || s=$d/.state\n"           \
    "  [ -f \"$s/flambe.db\" ] || continue\n"

const char script_unfetched[] =
    "export LC_ALL=C\n" EACH_RESULTS "  f=" ROOT "/fetched/$n\n"
    "  what=fetched\n"
    "  if [ ! -e \"$f\" ] || [ -n \"$(find \"$d/\" \"$s/\" -type f -newer \"$f\" ! -name '*-shm'"
    " ! -name lock ! -name .fetching ! -name " COPY "'*'"
    " -print -quit 2>/dev/null)\" ]; then what=unfetched; fi\n"
    "  echo \"flambe: results $n $what\"\n"
    "done\n"
    "q=0; for e in " ROOT "/queue/*.json; do [ ! -f \"$e\" ] || q=$((q + 1)); done\n"
    "echo \"flambe: at-work $q\"\n";

/* The mark's time is the file system's own, so what is written after it is newer, and the files of
 * a run that has just ended are not. Where times are whole seconds, those as old as it may be
 * newer.
 *
 * Python's sqlite3 makes the copy in one read transaction, so that what a run writes meanwhile is
 * either wholly in it or not at all. cloud-init, which every image has, wants Python. */
const char script_fetch_begin[] = PROLOGUE
    "d=" RESULTS "/output__$n s=" RESULTS "/output__$n\n"
    "[ ! -d \"$d/.state\" ] || s=$d/.state\n"
    "[ -f \"$s/flambe.db\" ] || fail \"there are no results of '$n'\"\n"
    ": > $d/.fetching && t=$(stat -c %.9Y $d/.fetching) || fail \"cannot write in $d\"\n"
    "case $t in *.000000000) touch -d \"@$((${t%.*} - 2))\" $d/.fetching;; esac ||"
    " fail \"cannot write in $d\"\n"
    "rm -f $d/" COPY "*\n"
    "python3 - \"$s/flambe.db\" \"$d/" COPY "\" <<'EOF' ||"
    " fail 'the state cannot be copied'\n"
    "import sqlite3, sys, urllib.parse\n"
    "here = sqlite3.connect('file:' + urllib.parse.quote(sys.argv[1]) + '?mode=ro', uri=True)\n"
    "copy = sqlite3.connect(sys.argv[2])\n"
    "here.backup(copy, pages=-1)\n"
    "copy.execute('PRAGMA journal_mode=DELETE')\n"
    "copy.close()\n"
    "EOF\n"
    "echo 'flambe: ok'\n";

const char script_fetch_end[] = PROLOGUE
    "d=" RESULTS "/output__$n f=" ROOT "/fetched\n"
    "if [ \"$2\" = 1 ]; then\n"
    "  own $f 755 && date -u +%Y-%m-%dT%H:%M:%SZ > $f/.$n && touch -r $d/.fetching $f/.$n &&"
    " mv -f $f/.$n $f/$n || fail \"cannot write in $f\"\n"
    "fi\n"
    "rm -f $d/.fetching $d/" COPY "*\n"
    "echo 'flambe: ok'\n";

void files_command(const char *script, const char *what, const char *name, struct buf *out)
{
    buf_adds(out, "sh -c ");
    shell_quote(script, out);
    buf_addf(out, " flambe-%s", what);
    if (name) {
        buf_addc(out, ' ');
        shell_quote(name, out);
    }
}
