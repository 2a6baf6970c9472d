"""An experiment's results by the command line: status, results, logs, stop, and log."""
import csv
import io
import json
import os
import pathlib
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from conftest import BUILD, FLAMBE, clean_env, run
from test_cli_terminal import Terminal

TOOL = str(BUILD / "test" / "conformance" / "store_tool")
# A sanitizer reserves more addresses than the limits below leave.
SANITIZED = b"__asan_init" in pathlib.Path(FLAMBE).read_bytes()
PENDING, RUNNING, SUCCESS, FAILURE, STOPPED = range(5)

# A run: holds the lock, ends as a driver does at the first or second SIGTERM.
HOLDER = """\
import fcntl, os, signal, subprocess, sys, time
directory, tool, drains = sys.argv[1:]
count = 0
def asked(*_):
    global count
    count += 1
signal.signal(signal.SIGTERM, asked)
lock = open(directory + "/lock", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
ticks = open("/proc/self/stat").read().rpartition(")")[2].split()[19]
place = os.readlink("/proc/self/ns/pid") + "-" + open("/proc/sys/kernel/random/boot_id").read()
lock.write(f"{os.getpid()} {ticks}@{place}")
lock.flush()
print("ready", flush=True)
limit = time.monotonic() + 60
drained = None
while time.monotonic() < limit:
    time.sleep(0.02)
    if count and drained is None:
        drained = time.monotonic() + float(drains)
    if count > 1 or (drained and time.monotonic() > drained):
        break
state = "stopped" if count else "finished"
subprocess.run([tool, directory], input='{"set": {"state": "%s"}}\\n' % state, text=True, check=True)
open(directory + "/signals", "w").write(str(count))
"""


class Experiment:
    def __init__(self, home, name="sweep"):
        self.home = home
        self.dir = home / "out" / f"output__{name}"
        self.dir.mkdir(parents=True)
        self.file = home / f"{name}.yaml"
        self.file.write_text(f"!Experiment\nname: {name}\nsave_path: ./out\npipeline:\n"
                             "  train: !Command {command: 'true'}\n")
        self.holders = []

    def put(self, *lines):
        run([TOOL, str(self.dir)], clean_env(self.home), check=True,
            stdin=None, input="\n".join(map(json.dumps, lines)) + "\n")

    def stage(self, id, name, state, planned, **more):
        self.put({"stage": {"id": id, "name": name, "state": state, "planned": planned, **more}})

    def trial(self, stage, number, name, state, **more):
        self.put({"trial": {"stage": stage, "number": number, "name": name, "state": state,
                            "attempts": 1, "started": 1000, "ended": 1010 + number, **more}})

    def print(self, stage, variant, text, mode="a"):
        place = self.dir / stage / variant
        place.mkdir(parents=True, exist_ok=True)
        with open(place / "console.out", mode) as out:
            out.write(text)

    def hold(self, drains=0.2):
        child = subprocess.Popen([sys.executable, "-c", HOLDER, str(self.dir), TOOL, str(drains)],
                                 stdout=subprocess.PIPE, text=True)
        self.holders.append(child)
        assert child.stdout.readline() == "ready\n"
        return child

    def flambe(self, *argv, **more):
        return run([FLAMBE, *map(str, argv)], clean_env(self.home), cwd=self.home, **more)


@pytest.fixture
def sweep(tmp_path):
    e = Experiment(tmp_path)
    e.put({"set": {"name": "sweep", "state": "running", "began": str(1000 * 10**6),
                   "path": str(e.file)}})
    e.stage(0, "prepare", 2, 1, note="taken from the earlier run")
    e.stage(1, "train", 1, 6, metric="loss")
    e.stage(2, "test", 0, 6, at_most=True, metric="accuracy", maximize=True)
    e.trial(0, 0, "0", SUCCESS)
    e.trial(1, 0, "lr=0.1_0", SUCCESS, params={"lr": 0.1, "name": "a,b"}, objective=0.5,
            metrics={"loss": [1, 0.5], "accuracy": [0.1, "nan"]})
    e.trial(1, 1, "lr=0.2_1", SUCCESS, params={"lr": 0.2, "name": "=1+1"}, objective=0.25,
            metrics={"loss": [0.25], "accuracy": [0.9]})
    e.trial(1, 2, "lr=0.3_2", FAILURE, params={"lr": 0.3}, objective=0.1, end="exited",
            exit_status=3, message="boom", metrics={"loss": [0.1]})
    e.trial(1, 3, "lr=0.35_3", RUNNING, params={"lr": 0.35}, ended=0)
    yield e
    for child in e.holders:
        child.kill()
        child.wait()
        child.stdout.close()


# ---- status ----------------------------------------------------------------------------------


def test_status_of_a_run_that_did_not_end(sweep):
    done = sweep.flambe("status", "out/output__sweep")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "experiment 'sweep': interrupted: the run did not come to its end"
    assert lines[1] == "  results in out/output__sweep"
    assert lines[2].split() == ["stage", "state", "pending", "success", "failure", "best", "trial",
                                "note"]
    assert lines[4].split() == ["train", "interrupted", "3", "2", "1", "loss", "0.25", "lr=0.2_1"]
    assert lines[5].split() == ["test", "pending", "<=6"]
    assert "total: at most 9 pending, 3 success, 1 failure\n" in done.stdout
    assert "next: flambe results out/output__sweep\n" in done.stdout
    assert f"flambe {sweep.file}, which goes on where it ended\n" in done.stdout


def test_the_operand_is_a_directory_its_parent_or_the_file(sweep):
    want = sweep.flambe("status", "out/output__sweep").stdout.splitlines()
    for word in ("out", "out/", "out/output__sweep/", str(sweep.dir)):
        have = sweep.flambe("status", word).stdout.splitlines()
        assert have[0] == want[0] and have[2:6] == want[2:6], word
    by_file = sweep.flambe("status", "sweep.yaml").stdout
    assert by_file.splitlines()[0] == want[0] and "flambe sweep.yaml, which goes on" in by_file
    inside = run([FLAMBE, "status", "."], clean_env(sweep.home), cwd=sweep.home / "out")
    assert inside.stdout.splitlines()[1] == "  results in output__sweep"
    # a file that was changed, and is not right any more, still finds its results
    sweep.file.write_text("!Experiment\nname: sweep\nsave_path: ./out\npipeline: [no, stages]\n")
    assert sweep.flambe("status", "sweep.yaml").returncode == 0


def test_status_while_it_runs(sweep):
    child = sweep.hold()
    done = sweep.flambe("status", "out")
    assert done.stdout.startswith("experiment 'sweep': running since 1970-01-01T00:16:40Z (")
    assert f", by process {child.pid}\n" in done.stdout
    assert done.stdout.splitlines()[4].split()[:6] == ["train", "running", "2", "1", "2", "1"]
    assert "next: flambe logs out/output__sweep -f\n      flambe stop out/output__sweep\n" in done.stdout


@pytest.mark.parametrize("state", ["finished", "failed", "stopped"])
def test_status_of_a_run_that_ended(sweep, state):
    sweep.put({"set": {"state": state}})
    done = sweep.flambe("status", "out")
    assert done.stdout.startswith(f"experiment 'sweep': {state}\n")
    assert ("goes on" in done.stdout) == (state != "finished")


def test_status_json(sweep):
    child = sweep.hold()
    answer = json.loads(sweep.flambe("status", "out", "-o", "json").stdout)
    assert (answer["experiment"], answer["state"], answer["pid"]) == ("sweep", "running", child.pid)
    assert answer["began"] == "1970-01-01T00:16:40Z" and answer["file"] == str(sweep.file)
    train = answer["stages"][1]
    assert train["trials"] == {"pending": 2, "running": 1, "success": 2, "failure": 1, "stopped": 0}
    assert train["best"] == {"trial": "lr=0.2_1", "objective": 0.25,
                             "params": {"lr": 0.2, "name": "=1+1"}}
    assert (train["metric"], train["mode"], train["planned"]) == ("loss", "min", 6)
    assert answer["stages"][2]["at_most"] and answer["stages"][2]["best"] is None


def test_a_directory_without_results_is_a_clusters_name(sweep):
    (sweep.home / "mine").mkdir()
    assert sweep.flambe("status", "mine").returncode == 4  # AWS is asked, without credentials
    assert sweep.flambe("status", "out", "--creator", "me").returncode == 4


def test_status_of_a_path_that_is_not_there(sweep):
    for word in ("./nowhere", "out/nowhere", "nowhere.yaml", str(sweep.home / "gone"), "../gone"):
        done = sweep.flambe("status", word)
        assert done.returncode == (2 if word.endswith(".yaml") else 1), done.stderr
        assert "credentials" not in done.stderr
        assert f"there is no results directory or file '{word}'" in done.stderr
        assert "try: flambe status DIR, with the directory output__NAME" in done.stderr
    (sweep.home / "mine").mkdir()
    assert "'./mine' has no results of flambe" in sweep.flambe("status", "./mine").stderr
    done = sweep.flambe("status", "nowhere")  # it may be a cluster's name, but nobody can be asked
    assert done.returncode == 4 and done.stderr.startswith(
        "flambe: there is no results directory 'nowhere', and no cluster can be asked for: "), done.stderr


def test_where_nothing_is(sweep):
    other = Experiment(sweep.home, "other")
    for verb in ("status", "results", "logs", "stop"):
        done = sweep.flambe(verb, "other.yaml")
        assert done.returncode == 1 and "'other.yaml' has no results yet" in done.stderr, verb
    for verb in ("results", "logs", "stop"):
        assert "there is no directory or file 'nowhere'" in sweep.flambe(verb, "nowhere").stderr
        assert "has no results of flambe" in sweep.flambe(verb, other.dir).stderr
        (sweep.home / "c.yaml").write_text("!AWSCluster\nname: x\n")
        done = sweep.flambe(verb, "c.yaml")
        assert done.returncode == 2 and "the key 'factories_num' is missing" in done.stderr
    other.put({"set": {"name": "other"}})
    done = sweep.flambe("results", "out")
    assert done.returncode == 1 and "several experiments" in done.stderr
    assert "try: flambe results out/output__sweep" in done.stderr
    answer = json.loads(sweep.flambe("results", "out", "-o", "json").stdout)
    assert answer["error"]["code"] == "conflict"


def test_a_damaged_state_is_said(sweep):
    with open(sweep.dir / "flambe.db", "r+b") as f:
        f.write(b"garbage, garbage")
    for verb in ("status", "results", "logs", "stop"):
        done = sweep.flambe(verb, "out")
        assert done.returncode == 1 and "is damaged" in done.stderr and "--force" in done.stderr, verb


def test_a_state_that_is_not_flambes_is_refused(sweep):
    db = sqlite3.connect(sweep.dir / "flambe.db")
    db.execute("CREATE TRIGGER t AFTER INSERT ON fact BEGIN DELETE FROM trial; END")
    db.close()
    for verb in ("status", "results", "logs"):
        done = sweep.flambe(verb, "out")
        assert done.returncode == 1 and "flambe.db' was not written by flambe" in done.stderr, verb
    done = sweep.flambe(sweep.file)
    assert done.returncode == 1 and "was not written by flambe" in done.stderr


# ---- results ---------------------------------------------------------------------------------


def rows(done):
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout, newline="")))


def numbers(done):
    return [f"{r['stage']}/{r['number']}" for r in rows(done)]


def test_results_as_csv(sweep):
    done = run([FLAMBE, "results", "out", "-o", "csv"], clean_env(sweep.home), cwd=sweep.home)
    table = rows(done)
    assert [r["number"] for r in table] == ["0", "1", "0", "3", "2"], "the failed one is the last"
    assert table[2]["param.name"] == "a,b" and table[1]["param.name"] == "=1+1"
    assert '"=1+1"' in done.stdout
    assert table[2]["accuracy"] == "NaN" and table[2]["loss"] == "0.5"
    assert table[3]["objective"] == "" and table[3]["state"] == "interrupted"
    assert table[4]["message"] == "boom" and table[4]["name"] == "lr=0.3_2"
    assert table[4]["reason"] == "exited with status 3: boom" and table[0]["reason"] == ""
    raw = subprocess.run([FLAMBE, "results", "out", "-o", "csv"], env=clean_env(sweep.home),
                         cwd=sweep.home, capture_output=True).stdout
    assert raw.count(b"\r\n") == 6 and raw.count(b"\n") == 6


def test_results_as_json(sweep):
    answer = json.loads(sweep.flambe("results", "out", "-o", "json").stdout)
    assert len(answer) == 5 and answer[1]["params"] == {"lr": 0.2, "name": "=1+1"}
    assert answer[2]["metrics"] == {"accuracy": "nan", "loss": 0.5}
    assert answer[4]["exit_status"] == 3 and answer[3]["objective"] is None
    assert answer[4]["reason"] == "exited with status 3: boom" and answer[3]["reason"] is None
    sweep.stage(3, "empty", 0, 1)
    assert json.loads(sweep.flambe("results", "out", "--stage", "empty", "-o", "json").stdout) == []
    assert sweep.flambe("results", "out", "--stage", "empty").stdout == "no trials have begun\n"


def test_the_reason_of_a_failure_is_a_column(sweep):
    lines = sweep.flambe("results", "out").stdout.splitlines()
    assert lines[0].endswith("reason") and lines[5].endswith("  exited with status 3: boom")
    assert "reason" not in sweep.flambe("results", "out", "--stage", "prepare").stdout


def test_a_terminal_is_not_controlled_by_a_result(sweep):
    evil = "\x1b]0;owned\x07\x9b2J\r\n"
    sweep.trial(1, 4, "lr=0.4_4", FAILURE, params={"lr": evil, f"p{evil}": 1}, end="exited",
                message=evil, metrics={f"m{evil}": [1]})
    argv = [FLAMBE, "results", sweep.dir, "--stage", "train", "-o"]
    for form in ("csv", "text"):
        terminal = Terminal(argv + [form], clean_env(sweep.home), size=(24, 400))
        assert terminal.end() == 0
        rows = terminal.text.split("\r\n")
        assert "\\x1b]0;owned\\x07" in terminal.text
        for seq in ("\x1b]", "\x07", "\x9b"):
            assert seq not in terminal.text, form
        if form == "csv":
            assert len(rows) == 7 and not any("\r" in r.rstrip("\r") or "\n" in r for r in rows)
    piped = subprocess.run(argv + ["csv"], env=clean_env(sweep.home), capture_output=True)
    assert evil.encode() in piped.stdout, "no value is changed in a file"


@pytest.mark.parametrize("argv, want", [
    (["--stage", "train"], ["1", "0", "3", "2"]),
    (["--stage", "train", "--reverse"], ["0", "1", "3", "2"]),
    (["--stage", "train", "--sort", "loss"], ["2", "1", "0", "3"]),
    (["--stage", "train", "--sort", "accuracy"], ["1", "0", "2", "3"]),
    (["--stage", "train", "--sort", "number", "--reverse"], ["3", "2", "1", "0"]),
    (["--stage", "train", "--sort", "duration", "--reverse"], ["2", "1", "0", "3"]),
    (["--stage", "train", "--sort", "started", "--limit", "2"], ["0", "1"]),
    (["--limit", "2"], ["0", "1"]),
])
def test_results_are_sorted(sweep, argv, want):
    assert [r["number"] for r in rows(sweep.flambe("results", "out", *argv, "-o", "csv"))] == want


def test_the_stages_mode_decides_what_is_best(sweep):
    for number, value in enumerate([0.5, 0.9, 0.7]):
        sweep.trial(2, number, f"{number}", SUCCESS, objective=value, metrics={"accuracy": [value]})
    get = ["results", "out", "--stage", "test", "-o", "csv"]
    assert numbers(sweep.flambe(*get)) == ["test/1", "test/2", "test/0"]
    assert numbers(sweep.flambe(*get, "--sort", "accuracy")) == ["test/1", "test/2", "test/0"]


def test_wrong_words_are_answered(sweep):
    done = sweep.flambe("results", "out", "--stage", "trian")
    assert done.returncode == 1 and "did you mean 'train'?" in done.stderr
    done = sweep.flambe("results", "out", "--sort", "los")
    assert done.returncode == 2 and "did you mean 'loss'?" in done.stderr
    assert "try: a metric: accuracy, loss, started, duration or number" in done.stderr
    assert "number from 1" in sweep.flambe("results", "out", "--limit", "0").stderr
    done = sweep.flambe("status", "out", "-o", "csv")
    assert done.returncode == 2 and "'flambe status' has no CSV" in done.stderr
    assert sweep.flambe("logs", "out", "-o", "json").returncode == 2


def test_many_rows_take_no_memory(tmp_path):
    e = Experiment(tmp_path, "big")
    e.put({"stage": {"id": 0, "name": "s", "state": 2, "planned": 20000, "metric": "m"}},
          *({"trial": {"stage": 0, "number": i, "name": f"x={i}_{i}", "state": SUCCESS, "attempts": 1,
                       "params": {"x": i, "text": "y" * 500}, "objective": i % 100,
                       "metrics": {"m": [i]}}} for i in range(20000)))
    limit = 200 << 20

    def small():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for form in ("csv", "json"):
        with open(tmp_path / "result", "w+") as out:
            subprocess.run([FLAMBE, "results", "big.yaml", "-o", form], env=clean_env(tmp_path),
                           cwd=tmp_path, stdout=out, check=True,
                           preexec_fn=None if SANITIZED else small)
            out.seek(0)
            have = json.load(out) if form == "json" else list(csv.DictReader(out))
        assert len(have) == 20000
    done = e.flambe("results", "big.yaml")
    assert len(done.stdout.splitlines()) == 10001 and "10000 more rows" in done.stderr


# ---- logs ------------------------------------------------------------------------------------


def test_logs_of_one_and_of_several(sweep):
    sweep.print("train", "lr=0.1_0", "one\n\x1b[31mtwo\x1b[0m\n10%\r20%")
    sweep.print("train", "lr=0.2_1", "three\n")
    raw = "one\n\x1b[31mtwo\x1b[0m\n10%\r20%"
    for variant in ("lr=0.1_0", "lr=0.1", "0"):
        done = subprocess.run([FLAMBE, "logs", "out", "train", variant], env=clean_env(sweep.home),
                              cwd=sweep.home, capture_output=True)
        assert done.stdout.decode() == raw, variant
    assert sweep.flambe("logs", "out", "train", "0", "-n", "2").stdout.startswith("\x1b[31mtwo")
    done = sweep.flambe("logs", "out")
    assert done.stdout.splitlines()[0] == "train/lr=0.1_0: one"
    assert done.stdout.endswith("train/lr=0.2_1: three\n")
    assert sweep.flambe("logs", "out", "prepare").stderr == "flambe: nothing has been printed\n"


def test_logs_of_an_unknown_one(sweep):
    done = sweep.flambe("logs", "out", "trian")
    assert done.returncode == 1 and "did you mean 'train'?" in done.stderr
    done = sweep.flambe("logs", "out", "train", "lr=0.3")
    assert done.returncode == 1 and "several trials of 'train' begin with 'lr=0.3'" in done.stderr
    assert "try: lr=0.3_2\ntry: lr=0.35_3" in done.stderr
    done = sweep.flambe("logs", "out", "train", "lr=0.2_2")
    assert "did you mean 'lr=0.2_1'?" in done.stderr
    assert "the beginning of its name" in sweep.flambe("logs", "out", "train", "nothing-like").stderr


def test_large_logs_are_streamed(sweep):
    sweep.print("train", "lr=0.1_0", "x" * 79 + "\n", "w")
    path = sweep.dir / "train" / "lr=0.1_0" / "console.out"
    with open(path, "w") as out:
        for _ in range(300):
            out.write(("x" * 1023 + "\n") * 1024)  # 1 MiB
    limit = 250 << 20

    def small():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    child = subprocess.run(
        [FLAMBE, "logs", "out", "train"], env=clean_env(sweep.home), cwd=sweep.home,
        stdout=subprocess.DEVNULL, preexec_fn=None if SANITIZED else small)
    assert child.returncode == 0
    began = time.monotonic()
    assert sweep.flambe("logs", "out", "train", "0", "-n", "3").stdout.count("\n") == 3
    assert time.monotonic() - began < 2


def follow(sweep, *argv):
    child = subprocess.Popen([FLAMBE, "logs", "out", "-f", *argv], env=clean_env(sweep.home),
                             cwd=sweep.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    threading.Timer(60, child.kill).start()
    return child


def test_logs_follow_until_the_run_ends(sweep):
    holder = sweep.hold(drains=0)
    sweep.print("train", "lr=0.35_3", "first\nhalf")
    child = follow(sweep)
    assert child.stdout.readline() == "train/lr=0.35_3: first\n"
    sweep.print("train", "lr=0.35_3", " of it\n")
    assert child.stdout.readline() == "train/lr=0.35_3: half of it\n"
    sweep.print("train", "lr=0.4_4", "a new one\n")
    sweep.trial(1, 4, "lr=0.4_4", RUNNING, ended=0)
    assert child.stdout.readline() == "train/lr=0.4_4: a new one\n"
    sweep.print("train", "lr=0.35_3", "begun again\n", "w")  # a second attempt empties the file
    assert child.stdout.readline() == "train/lr=0.35_3: begun again\n"
    sweep.print("train", "lr=0.4_4", "the end, without a new line")
    holder.send_signal(signal.SIGTERM)
    assert child.stdout.read() == "train/lr=0.4_4: the end, without a new line\n"
    assert child.wait(10) == 0 and child.stderr.read() == ""


def test_logs_follow_stages_that_begin_later(sweep):
    holder = sweep.hold(drains=0)
    sweep.print("train", "lr=0.35_3", "first\n")
    child = follow(sweep)
    assert child.stdout.readline() == "train/lr=0.35_3: first\n"
    sweep.stage(3, "later", 1, 1)
    sweep.print("later", "0", "of a stage that was not known\n")
    sweep.trial(3, 0, "0", RUNNING, ended=0)
    assert child.stdout.readline() == "later/0: of a stage that was not known\n"
    holder.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0 and child.stderr.read() == ""


def test_logs_follow_one_trial_until_it_failed(sweep):
    sweep.hold()
    sweep.print("train", "lr=0.35_3", "first\n")
    child = follow(sweep, "train", "3")
    assert child.stdout.readline() == "first\n"
    sweep.print("train", "lr=0.35_3", "Traceback\n")
    sweep.trial(1, 3, "lr=0.35_3", FAILURE, end="exited", exit_status=1)
    assert child.stdout.read() == "Traceback\n"
    assert child.wait(10) == 0 and sweep.holders[0].poll() is None


def test_logs_follow_one_that_failed_in_an_earlier_run(sweep):
    """It is tried again by the run that is at work, and so is waited for."""
    sweep.put({"set": {"began": str(2000 * 10**6)}})
    sweep.hold()
    sweep.print("train", "lr=0.3_2", "of the earlier run\n")
    child = follow(sweep, "train", "2")
    assert child.stdout.readline() == "of the earlier run\n"
    now = int(time.time())
    (sweep.dir / "train" / "lr=0.3_2" / "console.out").unlink()
    sweep.trial(1, 2, "lr=0.3_2", RUNNING, attempts=2, started=now - 1, ended=0)
    sweep.print("train", "lr=0.3_2", "of the earlier run, and of this one, which is longer\n")
    assert child.stdout.readline() == "of the earlier run, and of this one, which is longer\n"
    sweep.trial(1, 2, "lr=0.3_2", FAILURE, attempts=2, started=now - 1, ended=now)
    assert child.wait(10) == 0 and child.stdout.read() == ""


def test_logs_follow_until_ctrl_c(sweep):
    sweep.hold()
    sweep.print("train", "lr=0.35_3", "first\n")
    child = follow(sweep, "train", "3", "-n", "1")
    assert child.stdout.readline() == "first\n"
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 130 and child.stderr.read() == ""
    ended = follow(sweep, "train", "0")  # that trial has ended, and no more comes of it
    assert ended.wait(10) == 0
    assert sweep.holders[0].poll() is None


def test_logs_end_when_nobody_reads_them(sweep):
    """Nothing more is printed: it is not a failed write that tells."""
    sweep.hold()
    sweep.print("train", "lr=0.35_3", "first\n")
    child = follow(sweep)
    assert child.stdout.readline() == "train/lr=0.35_3: first\n"
    child.stdout.close()
    assert child.wait(30) == 1 and child.stderr.read() == ""
    assert sweep.holders[0].poll() is None


# ---- stop ------------------------------------------------------------------------------------


def test_stop_waits_until_it_is_gone(sweep):
    child = sweep.hold(drains=1.5)
    done = sweep.flambe("stop", "sweep.yaml")
    assert done.returncode == 0, done.stderr
    assert child.wait(1) == 0 and (sweep.dir / "signals").read_text() == "1"
    assert done.stdout == ("'sweep' is stopped: 9 pending, 3 success, 1 failure\n"
                           "next: flambe sweep.yaml, which goes on\n")
    again = sweep.flambe("stop", "sweep.yaml")
    assert again.returncode == 0 and again.stdout.startswith("'sweep' is not running: ")


def test_stop_where_the_state_is_apart(sweep):
    state = sweep.home / "state"
    sweep.dir.rename(state)
    sweep.dir.mkdir()
    (sweep.dir / ".state").symlink_to(state)
    sweep.dir, results = state, sweep.dir
    child = sweep.hold(drains=0.1)
    done = sweep.flambe("stop", results)
    assert done.returncode == 0 and child.wait(1) == 0, done.stderr


def test_stop_now(sweep):
    child = sweep.hold(drains=50)
    began = time.monotonic()
    done = sweep.flambe("stop", "out", "--now", "-o", "json")
    assert done.returncode == 0 and time.monotonic() - began < 5
    assert child.wait(1) == 0 and (sweep.dir / "signals").read_text() == "2"
    assert json.loads(done.stdout)["state"] == "stopped"


def test_stop_does_not_wait_for_ever(sweep):
    child = sweep.hold(drains=50)
    done = sweep.flambe("stop", "out", "--timeout", "0")
    assert done.returncode == 0 and f"process {child.pid} was asked to stop" in done.stdout
    done = run([FLAMBE, "stop", "out", "--timeout=1"], clean_env(sweep.home), cwd=sweep.home)
    assert done.returncode in (0, 6)  # the second signal ends this run
    assert child.wait(5) == 0
    child = sweep.hold(drains=50)
    done = sweep.flambe("stop", "out", "--timeout", "1")
    assert done.returncode == 6 and "1 trial still runs" in done.stderr
    assert "try: flambe stop out/output__sweep --now" in done.stderr
    assert sweep.flambe("stop", "out", "--timeout", "-1").returncode == 2


@pytest.mark.parametrize("stamp", ["", " 1@{place}"])
def test_stop_signals_no_stranger(sweep, stamp):
    """The number in the lock is another process's by now; a child of the run keeps the lock."""
    stranger = subprocess.Popen(["sleep", "60"])
    child = sweep.hold(drains=50)
    try:
        place = (sweep.dir / "lock").read_text().partition("@")[2].strip()
        with open(sweep.dir / "lock", "r+") as lock:
            lock.truncate()
            lock.write(f"{stranger.pid}{stamp.format(place=place)}\n")
        status = json.loads(sweep.flambe("status", "out", "-o", "json").stdout)
        assert status["state"] == "running" and status["pid"] is None
        done = sweep.flambe("stop", "out", "--now", "--timeout", "1")
        assert done.returncode != 0 and "goes on" not in done.stdout
        if stamp:
            assert "1 trial still runs" in done.stderr, done.stderr
        else:
            assert "is not known here: none is signalled" in done.stderr, done.stderr
        assert stranger.poll() is None and child.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


# ---- log -------------------------------------------------------------------------------------


def test_log_appends_a_line(sweep):
    path = sweep.home / "metrics.jsonl"
    env = dict(clean_env(sweep.home), FLAMBE_METRICS=str(path))
    for argv in (["loss", "0.5"], ["loss", "-0.25", "10"], ["x", "nan", "-1"], ["x", "-inf"]):
        done = run([FLAMBE, "log", *argv], env)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["value"] for line in lines[:2]] == [0.5, -0.25]
    assert str(lines[2]["value"]) == "nan" and lines[3]["value"] == float("-inf")
    assert [line.get("step") for line in lines] == [None, 10, -1, None]
    assert all(abs(line["time"] - time.time()) < 60 for line in lines)


def test_log_outside_of_a_trial(sweep):
    done = sweep.flambe("log", "loss", "1")
    assert done.returncode == 2 and "FLAMBE_METRICS" in done.stderr
    env = dict(clean_env(sweep.home), FLAMBE_METRICS=str(sweep.home / "no" / "file"))
    done = run([FLAMBE, "log", "loss", "1"], env)
    assert done.returncode == 1 and "cannot open" in done.stderr
    env["FLAMBE_METRICS"] = "/dev/full"
    done = run([FLAMBE, "log", "loss", "1"], env)
    assert done.returncode == 1 and "No space left" in done.stderr
    assert run([FLAMBE, "log", "loss", "much"], env).returncode == 2


def test_lines_of_programs_side_by_side_do_not_mix(sweep):
    path = sweep.home / "metrics.jsonl"
    env = dict(clean_env(sweep.home), FLAMBE_METRICS=str(path))
    script = f'for i in $(seq 50); do "{FLAMBE}" log "$0" $i $i; done'
    children = [subprocess.Popen(["sh", "-c", script, f"tag{n}"], env=env) for n in range(4)]
    assert all(child.wait(60) == 0 for child in children)
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 200


# ---- on a terminal ---------------------------------------------------------------------------


def on_terminal(sweep, *argv, size=(24, 100)):
    env = clean_env(sweep.home)
    del env["NO_COLOR"]
    t = Terminal([FLAMBE, *argv], env, size=size)
    assert t.end() == 0, t.text
    return t.text.replace("\r\n", "\n")


def test_results_fit_the_terminal_and_have_color(sweep):
    sweep.hold()
    wide = on_terminal(sweep, "results", str(sweep.file.parent / "out"))
    assert "\x1b[32msuccess\x1b[0m" in wide and "\x1b[31mfailure\x1b[0m" in wide
    narrow = on_terminal(sweep, "results", str(sweep.dir), "--color", "never", size=(24, 50))
    assert all(len(line) <= 50 for line in narrow.splitlines())
    assert "objective" in narrow and "duration" not in narrow
    status = on_terminal(sweep, "status", str(sweep.dir), size=(24, 60))
    assert "\x1b[36m1\x1b[0m" in status


def test_logs_cannot_color_the_terminal(sweep):
    sweep.print("train", "lr=0.1_0", "\x1b[31mred\x1b[0m\x1b]0;title\x07\n10%\r20%\nlast\x07")
    text = on_terminal(sweep, "logs", str(sweep.dir), "train", "0")
    assert text == "red\n20%\nlast\\x07\n"
    text = on_terminal(sweep, "logs", str(sweep.dir))
    assert text.splitlines()[0] == "\x1b[32mtrain/lr=0.1_0:\x1b[0m red"


def test_stop_shows_how_many_trials_run(sweep):
    sweep.hold(drains=2.5)
    text = on_terminal(sweep, "stop", str(sweep.dir))
    assert "1 trial still runs (" in text and "--now ends them" in text
    assert "'sweep' is stopped" in text
