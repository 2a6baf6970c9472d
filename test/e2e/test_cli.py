"""What the command line says and how it ends, where no cluster is needed."""
import json
import os
import re
import resource
import shutil
import subprocess
import textwrap

import pytest

from conftest import FLAMBE, ROOT, SANDBOX, clean_env, run

VERBS = ["up", "run", "plan", "status", "results", "logs", "stop", "log", "ssh", "exec", "cp", "fetch", "down", "schema", "completion", "help"]

GOOD = """\
!AWSCluster
name: mine
factories_num: 2
factories_type: t3.small
orchestrator_type: t3.small
creator: me@example.com
key_name: my-pair
key: key.pem
subnet_id: subnet-0123456789abcdef0
security_group: sg-0123456789abcdef0
"""


@pytest.fixture
def home(tmp_path):
    return tmp_path


def flambe(home, *argv, **more):
    return run([FLAMBE, *map(str, argv)], clean_env(home), cwd=home, **more)


def write(home, text, name="aws-cluster.yaml"):
    path = home / name
    path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
    return path


# ---- help and version ----------------------------------------------------------------------


def test_version(home):
    done = flambe(home, "--version")
    assert done.returncode == 0 and done.stdout.startswith("flambe ") and done.stderr == ""
    assert flambe(home, "status", "--version").stdout == done.stdout


def test_help_goes_to_standard_output(home):
    done = flambe(home, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert all(f"  {verb} " in done.stdout for verb in VERBS)
    assert flambe(home, "-h").stdout == flambe(home, "help").stdout == done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(home, verb):
    done = flambe(home, verb, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: flambe {verb}")
    assert flambe(home, "help", verb).stdout == done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


# ---- usage errors --------------------------------------------------------------------------


@pytest.mark.parametrize("argv, words", [
    ([], "a cluster file or a command is missing"),
    (["stauts"], "did you mean 'status'?"),
    (["frobnicate"], "neither a command nor a file"),
    (["help", "exce"], "did you mean 'exec'?"),
    (["--verbos", "status"], "did you mean '--verbose'?"),
    (["status", "--al"], "unknown option '--al'"),
    (["status", "--allx"], "did you mean '--all'?"),
    (["status", "-o", "yaml"], "it is one of 'text', 'json'"),
    (["status", "a", "b"], "has no use for 'b'"),
    (["plan"], "needs FILE"),
    (["exec", "mine"], "needs CLUSTER"),
    (["exec", "mine", "--onn", "x", "--", "true"], "did you mean '--on'?"),
    (["cp", "a"], "needs SOURCE"),
    (["cp", "a", "b"], "are both on this machine"),
    (["cp", "a:x", "b:y"], "are both on a cluster"),
    (["cp", "a:x", "b:y", "."], "are on different hosts"),
    (["cp", "nothing-here", "mine:"], "no such file: 'nothing-here'"),
    (["ssh", "mine", "a", "b"], "takes a cluster and a host"),
    (["ssh", "--", "ls"], "needs a cluster"),
    (["completion", "csh"], "bash, zsh and fish"),
    (["down", "--yes=no", "mine"], "takes no value"),
    (["status", "--region"], "needs a value: REGION"),
])
def test_usage_errors(home, argv, words):
    done = flambe(home, *argv)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and done.stdout == ""
    assert done.stderr.startswith("flambe: ")


def test_a_usage_error_as_json(home):
    done = flambe(home, "plan", "-o", "json", "nothing.yaml")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["exit_status"] == 2 and "nothing.yaml" in error["message"]


def test_copying_a_directory_wants_r(home):
    (home / "dir").mkdir()
    done = flambe(home, "cp", "dir", "mine:")
    assert done.returncode == 2 and "-r" in done.stderr


# ---- files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [[], ["up"], ["plan"], ["status"], ["down", "-y"]])
def test_a_missing_file(home, verb):
    done = flambe(home, *verb, "./nothing.yaml")
    assert done.returncode == 2 and "nothing.yaml" in done.stderr


def test_all_errors_of_a_file_at_once(home):
    file = write(home, GOOD.replace("factories_num: 2", "factorys_num: 2").replace("t3.small", "5"))
    done = flambe(home, file)
    assert done.returncode == 2 and done.stdout == ""
    assert "factories_num" in done.stderr and "factories_type" in done.stderr
    assert ":3:1:" in done.stderr and "^" in done.stderr
    listed = json.loads(flambe(home, file, "-o", "json").stdout)
    assert len(listed["diagnostics"]) >= 3
    assert {d["line"] for d in listed["diagnostics"]} >= {3, 4, 5}


@pytest.mark.parametrize("text", [
    b"!AWSCluster\nname: \xff\xfe\n", b"!AWSCluster\n\tname: x\n", b"", b"just text\n", b"[1, 2\n",
    b"a: &a [x]\nb: [*a, *c]\n", b"- " * 100000, b"name: a\x00b\n"],
    ids=["no UTF-8", "tab", "empty", "text", "cut short", "unknown alias", "nested", "NUL"])
def test_bad_files_are_errors_of_the_file(home, text):
    done = flambe(home, write(home, text))
    assert done.returncode == 2, done.stderr[-300:]
    assert len(done.stderr) < 20000


@pytest.mark.parametrize("text", [
    "!Experiment\nname: x\npipeline: {}\n",
    "other: path\n---\n!Experiment\nname: x\npipeline: {}\n"])
def test_an_experiment_is_told_apart(home, text):
    write(home, text, "exp.yaml")
    for argv in (["exp.yaml"], ["run", "exp.yaml"]):
        done = flambe(home, *argv)
        assert done.returncode == 2 and "the pipeline is empty" in done.stderr
    done = flambe(home, "status", "exp.yaml")
    assert done.returncode == 1 and "'exp.yaml' has no results yet" in done.stderr
    assert "the pipeline is empty" in flambe(home, "plan", "exp.yaml").stderr


@pytest.mark.parametrize("spoil, words", [
    (lambda key: None, "key.pem"),
    (lambda key: (key.write_text("nonsense"), key.chmod(0o600)), "key.pem"),
    (lambda key: (key.write_text("nonsense"), key.chmod(0o644)), "chmod"),
])
def test_bad_keys(home, spoil, words):
    spoil(home / "key.pem")
    done = flambe(home, write(home, GOOD))
    assert done.returncode == 2, done.stderr
    assert words in done.stderr


def test_a_bad_key_stands_among_the_errors_of_the_file(home):
    key = home / "key.pem"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    key.chmod(0o644)
    file = write(home, GOOD.replace("factories_num: 2", "factorys_num: 2"))
    line = GOOD.splitlines().index("key: key.pem") + 1
    done = flambe(home, file)
    assert done.returncode == 2
    assert "factories_num" in done.stderr, "all errors at once"
    assert f":{line}:6: error: the key " in done.stderr and "fix: run `chmod 600" in done.stderr, done.stderr
    key.unlink()
    done = flambe(home, file)
    assert f":{line}:6: error: there is no key file" in done.stderr and "key_name" in done.stderr, done.stderr
    assert flambe(home, "down", write(home, GOOD), "-y").returncode == 4, "down asks for no key"


def test_no_credentials(home):
    done = flambe(home, "status")
    assert done.returncode == 4 and "credentials" in done.stderr
    assert json.loads(flambe(home, "status", "-o", "json").stdout)["error"]["code"] == "credentials"


def test_a_verb_wins_over_a_file_of_its_name(home):
    write(home, GOOD, "status")
    assert flambe(home, "status").returncode == 4
    assert flambe(home, "./status").returncode == 2  # the key's file is missing: it was read


# ---- schema, completion, output ------------------------------------------------------------


def test_schema(home):
    done = flambe(home, "schema")
    kinds = json.loads(done.stdout)["anyOf"]
    assert done.returncode == 0 and all(kind["additionalProperties"] is False for kind in kinds)
    aws, machines = (set(kind["properties"]) for kind in kinds)
    assert {"name", "factories_num", "key", "setup_cmds"} <= aws
    assert {"name", "orchestrator_ip", "factories_ips", "key", "setup_cmds"} <= machines


def complete(home, *words):
    """What bash offers for the last word."""
    script = flambe(home, "completion", "bash").stdout
    line = " ".join(f"'{w}'" for w in ("flambe", *words))
    code = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _flambe 2>/dev/null; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = run(["bash", "--norc", "-O", "extglob", "-c", code], clean_env(home), cwd=home)
    return [w for w in done.stdout.splitlines() if w]


def test_bash_completes(home):
    write(home, GOOD, "one.yaml")
    write(home, "", "other.txt")
    for name in ("mine", "theirs"):
        (home / "state/flambe/clusters/us-east-1/me" / name).mkdir(parents=True)
    assert complete(home, "statu") == ["status"]
    assert complete(home, "on") == ["one.yaml"]
    assert set(complete(home, "exec", "")) >= {"mine", "theirs", "one.yaml"}
    assert "other.txt" not in complete(home, "exec", "")
    assert complete(home, "exec", "--o") == ["--output=", "--on="]
    assert complete(home, "status", "-o", "j") == ["json"]
    assert complete(home, "status", "--output", "=", "j") == ["json"]
    assert complete(home, "completion", "f") == ["fish"]
    assert complete(home, "help", "pl") == ["plan"]
    assert "other.txt" in complete(home, "cp", "o")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_parse(home, shell):
    script = flambe(home, "completion", shell, check=True).stdout
    assert "status" in script
    if shutil.which(shell):
        option = "--no-execute" if shell == "fish" else "-n"
        done = subprocess.run([shell, option], input=script, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr


def test_color_only_where_it_is_wanted(home):
    env = clean_env(home)
    assert "\x1b[" not in run([FLAMBE, "frob"], env).stderr
    assert "\x1b[" in run([FLAMBE, "--color=always", "frob"], env).stderr
    del env["NO_COLOR"]
    assert "\x1b[" not in run([FLAMBE, "frob"], env).stderr


def test_a_full_disk_is_noticed(home):
    with open("/dev/full", "w") as full:
        done = subprocess.run([FLAMBE, "schema"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr


def test_a_closed_pipe_is_quiet(home):
    read, write_end = os.pipe()
    os.close(read)
    done = subprocess.run([FLAMBE, "schema"], stdout=write_end, stderr=subprocess.PIPE, text=True)
    os.close(write_end)
    assert done.returncode == 1 and done.stderr == ""


def test_closed_outputs_do_no_harm(home):
    done = subprocess.run(["sh", "-c", f"{FLAMBE} schema >&-; echo $?; {FLAMBE} frob 2>&-; echo $?"],
                          stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == ["1", "2"]


def test_hostile_words_are_shown_harmless(home):
    done = flambe(home, "\x1b[2Jfrob")
    assert done.returncode == 2 and "\x1b" not in done.stderr and "\\x1b[2Jfrob" in done.stderr


def test_version_is_quick_and_small(home):
    def best():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run([FLAMBE, "--version"], clean_env(home))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if "asan" in subprocess.run(["ldd", FLAMBE], capture_output=True, text=True).stdout:
        pytest.skip("sanitizers are slow and large")
    assert min(best() for _ in range(10)) < 0.005
    libraries = subprocess.run(["ldd", FLAMBE], capture_output=True, text=True).stdout
    assert "libcurl" not in libraries and "microhttpd" not in libraries


# ---- the sandbox's manual ------------------------------------------------------------------


def test_the_sandboxs_manual_names_what_its_help_names(home):
    page = (ROOT / "doc/flambe-sandbox.1.scd").read_text().replace("\\", "")
    overview = run([SANDBOX, "--help"], clean_env(home)).stdout
    commands = re.findall(r"^  ([a-z-]+(?: [a-z]+)?)(?: [A-Z\[][^ ]*)*  +\S", overview, re.M)
    assert {"start", "fault add", "kill"} <= set(commands), overview
    for command in commands:
        assert f"*{command}*" in page, command
        text = run([SANDBOX, *command.split(), "--help"], clean_env(home)).stdout
        for option in re.findall(r"^  (--?[a-z-]+)", text, re.M):
            assert f"*{option}*" in page, (command, option)
        for fault in re.findall(r"^  ([a-z-]+)(?:=|\[|  )", text.partition("FAULT is one of")[2], re.M):
            assert f"*{fault}*" in page, fault
