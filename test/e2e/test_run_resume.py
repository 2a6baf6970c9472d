"""Beside earlier results: what runs again, what is taken, and why; and what is never touched."""
import json
import os
import re
import signal
import subprocess

import pytest

from conftest import FLAMBE
from runs import PATIENCE, lab, names, told, wait_for  # noqa: F401 (a fixture)

PREPARE = "import sys\nprint('prepared', sys.argv[1])\nopen('ledger', 'a').write('prepare\\n')\n"
TRAIN = """
import json, os, sys
open("ledger", "a").write("train " + sys.argv[1] + "\\n")
open(os.environ["FLAMBE_METRICS"], "w").write(json.dumps({"loss": float(sys.argv[1])}) + "\\n")
"""
TEXT = """
pipeline:
  prepare: !Script {script: prepare.py, args: [data]}
  train: !Script
    script: train.py
    args: [!g [3, 1, 2]]
    kwargs: {from: !@ prepare}
    objective: {metric: loss, mode: min}
  test: !Command
    command: "echo test {of} >> ledger"
    params: {of: !@ "train[args][0]"}
reduce: {train: 2}
"""


class Earlier:
    """An experiment that has run, and what runs afterwards."""

    def __init__(self, lab):
        self.lab = lab
        lab.write("prepare.py", PREPARE)
        lab.write("train.py", TRAIN)
        self.text = TEXT
        lab.file("exp", TEXT)

    def change(self, *pairs):
        for old, new in pairs:
            assert old in self.text, old
            self.text = self.text.replace(old, new)
        self.lab.file("exp", self.text)

    def ran(self):
        """What has run since the last time."""
        path = self.lab.home / "ledger"
        if not path.exists():
            return []
        lines = sorted(path.read_text().splitlines())
        path.unlink()
        return lines


@pytest.fixture
def earlier(lab):
    e = Earlier(lab)
    lab.good("exp.yaml")
    assert e.ran() == ["prepare", "test 1", "test 2", "train 1", "train 2", "train 3"]
    return e


def test_results_exist(earlier):
    lab = earlier.lab
    before = sorted((p, p.stat().st_mtime_ns) for p in lab.dir("exp").rglob("*") if "db" not in p.name and p.name != "lock")
    for words in (["exp.yaml"], ["run", "exp.yaml"]):
        done = lab.flambe(*words)
        assert done.returncode == 1 and done.stdout == "", told(done)
        assert done.stderr == (
            f"flambe: the experiment has run already: '{lab.dir('exp')}' has its results\n"
            "try: flambe results ./out/output__exp   to see them\n"
            "try: flambe exp.yaml --reuse   to run what has changed, and keep the rest\n"
            "try: flambe exp.yaml --force   to remove them and begin anew\n")
    earlier.change(("[3, 1, 2]", "[3, 1, 2, 4]"))
    done = lab.flambe("exp.yaml")
    assert done.returncode == 1
    assert "an experiment of this name but another file has run" in done.stderr
    assert "--reuse" in done.stderr and earlier.ran() == []
    after = sorted((p, p.stat().st_mtime_ns) for p in lab.dir("exp").rglob("*") if "db" not in p.name and p.name != "lock")
    assert before == after


def test_force(earlier):
    lab = earlier.lab
    (lab.dir("exp") / "train" / "mine.txt").touch()
    lab.good("exp.yaml", "--force")
    assert len(earlier.ran()) == 6 and not (lab.dir("exp") / "train" / "mine.txt").exists()
    assert lab.rows("exp")[0]["attempts"] == 1
    # results that do not exist: it begins
    assert lab.flambe("exp.yaml", "-f", "-d").returncode == 0
    earlier.lab.file("new", TEXT)
    lab.good("new.yaml", "--force")


def reuse(earlier, *want, notes):
    lab = earlier.lab
    done = lab.good("exp.yaml", "--reuse")
    assert earlier.ran() == sorted(want), told(done)
    have = [s["note"] for s in lab.status("exp")["stages"]]
    assert have == notes, have
    for stage, note in zip(("prepare", "train", "test"), notes):
        assert f"stage '{stage}': {note}\n" in done.stderr, told(done)
    assert f"experiment 'exp' begins again, with results in {lab.dir('exp')}\n" in done.stderr
    assert not (lab.dir("exp") / ".earlier").exists()
    rows = lab.rows("exp")
    for row in rows:
        assert (lab.dir("exp") / row["stage"] / row["name"] / "result.json").exists(), row
    for stage in ("prepare", "train", "test"):
        assert names(lab, "exp", stage) == sorted(r["name"] for r in rows if r["stage"] == stage)
    return done


ALL = "1 taken from the earlier run", "3 taken from the earlier run", "2 taken from the earlier run"
LATER = "3 run: an earlier stage's trials or the options differ"


def test_reuse_of_everything(earlier):
    before = earlier.lab.rows("exp")
    done = reuse(earlier, notes=list(ALL))
    assert earlier.lab.rows("exp") == before
    assert "best of train: loss 1 of" in done.stdout, told(done)
    reuse(earlier, notes=list(ALL))


def test_reuse_with_a_new_value(earlier):
    """Only what is new runs; names and places of the others follow."""
    earlier.change(("[3, 1, 2]", "[3, 0, 1, 2]"))
    done = reuse(earlier, "train 0", "test 0", notes=[
        ALL[0], "3 taken from the earlier run, 1 run: the stage's text has changed",
        "1 taken from the earlier run, 1 run: an earlier stage's trials or the options differ"])
    assert "best of train: loss 0 of args_0=0_1" in done.stdout
    assert names(earlier.lab, "exp", "train") == ["args_0=0_1", "args_0=1_2", "args_0=2_3", "args_0=3_0"]
    assert [r["metrics"]["loss"] for r in earlier.lab.rows("exp", "train")] == [0, 1, 2, 3]


def test_reuse_with_another_program(earlier):
    earlier.lab.write("train.py", TRAIN + "# changed\n")
    reuse(earlier, "train 1", "train 2", "train 3", notes=[
        ALL[0], "3 run: 'train.py' has changed", ALL[2]])


def test_reuse_with_an_earlier_stages_change(earlier):
    earlier.change(("args: [data]", "args: [other]"))
    # 'test' takes nothing but a number from 'train', which is the same
    reuse(earlier, "prepare", "train 1", "train 2", "train 3", notes=[
        "1 run: the stage's text has changed", LATER, ALL[2]])


def test_reuse_without_a_value(earlier):
    earlier.change(("[3, 1, 2]", "[3, 2]"))
    reuse(earlier, "test 3", notes=[
        ALL[0], "2 taken from the earlier run",
        "1 taken from the earlier run, 1 run: an earlier stage's trials or the options differ"])
    assert names(earlier.lab, "exp", "train") == ["args_0=2_1", "args_0=3_0"], "what fell out is gone"


def test_reuse_that_is_killed_goes_on(earlier):
    """Killed between what it takes and what it runs, the reuse is still one."""
    lab = earlier.lab
    lab.write("train.py", TRAIN + "import time\nif sys.argv[1] != '3': time.sleep(60)\n")
    earlier.change(("[3, 1, 2]", "[3, 1, 2, 5]"))
    child = lab.start("exp.yaml", "--reuse")
    wait_for(lambda: (lab.home / "ledger").exists() and "train 1" in (lab.home / "ledger").read_text())
    child.kill()
    child.wait()
    lab.gone()
    assert lab.status("exp")["state"] == "interrupted"
    lab.write("train.py", TRAIN)
    earlier.ran()
    done = lab.good("exp.yaml", "--reuse")
    assert "goes on" in done.stderr, told(done)
    assert set(earlier.ran()) <= {"train 1", "train 2", "train 5", "train 3", "test 1", "test 2"}
    assert lab.states("exp") == {"success": 7}
    assert not (lab.dir("exp") / ".earlier").exists()


def test_resume_a_stage(earlier):
    """It and all before it are taken, whatever has changed; what is behind it runs."""
    lab = earlier.lab
    lab.write("train.py", TRAIN + "# changed\n")
    earlier.change(("echo test", "echo again"), ("reduce:", "resume: train\nreduce:"))
    done = lab.good("exp.yaml")
    assert earlier.ran() == ["again 1", "again 2"], told(done)
    assert lab.states("exp") == {"success": 6}
    assert [s["note"] for s in lab.status("exp")["stages"]][:2] == [ALL[0], ALL[1]]


def test_resume_a_list(earlier):
    lab = earlier.lab
    earlier.change(("reduce:", "resume: [train]\nreduce:"))
    lab.good("exp.yaml")
    assert earlier.ran() == ["prepare", "test 1", "test 2"]


def test_resume_without_an_earlier_run(lab):
    e = Earlier(lab)
    e.change(("reduce:", "resume: train\nreduce:"))
    done = lab.flambe("exp.yaml")
    assert done.returncode != 0 and e.ran() == [], told(done)
    assert "'resume' takes 'prepare' from the earlier run" in done.stderr, told(done)
    # when the key is gone, it runs
    e.change(("resume: train\n", ""))
    lab.good("exp.yaml", *([] if not lab.dir("exp").exists() else ["-f"]))


def test_resume_what_the_earlier_run_did_not_have(earlier):
    earlier.change(("[3, 1, 2]", "[3, 1, 2, 4]"), ("reduce:", "resume: train\nreduce:"))
    done = earlier.lab.flambe("exp.yaml")
    assert done.returncode != 0, told(done)
    assert "which has no result of its trial 'args_0=4_3'" in done.stderr, told(done)
    assert earlier.ran() == []
    # the earlier results are not lost by that
    earlier.change(("[3, 1, 2, 4]", "[3, 1, 2]"))
    done = earlier.lab.good("exp.yaml")
    assert earlier.ran() == ["test 1", "test 2"], told(done)
    assert earlier.lab.states("exp") == {"success": 6}


# ---- what is not flambe's, or not whole ------------------------------------------------------


def test_a_foreign_directory_is_not_touched(lab):
    e = Earlier(lab)
    mine = lab.write("out/output__exp/mine.txt", "precious")
    for words in ([], ["-f"], ["--reuse"]):
        done = lab.flambe("exp.yaml", *words)
        assert done.returncode == 1, told(done)
        assert (f"'{lab.dir('exp')}' holds files, but no state of an experiment: nothing in it is "
                "touched") in done.stderr
        assert "--force" not in done.stderr and "flambe results" not in done.stderr, told(done)
    assert mine.read_text() == "precious" and e.ran() == []
    assert sorted(p.name for p in lab.dir("exp").iterdir()) in (["lock", "mine.txt"], ["mine.txt"])


@pytest.mark.parametrize("damage", ["head", "middle", "empty", "other"])
def test_a_damaged_state_is_not_touched(earlier, damage):
    lab = earlier.lab
    path = lab.dir("exp") / "flambe.db"
    for more in ("-shm", "-wal"):
        if os.path.exists(f"{path}{more}"):
            os.unlink(f"{path}{more}")
    data = bytearray(path.read_bytes())
    if damage == "head":
        data[:16] = b"no database here"
    elif damage == "middle":
        for at in range(4096, len(data), 64):
            data[at:at + 16] = os.urandom(16)
    elif damage == "empty":
        data = b""
    else:
        data = b"SQLite format 3\0" + bytes(4080)
    path.write_bytes(data)
    for words in ([], ["--reuse"]):
        done = lab.flambe("exp.yaml", *words)
        assert done.returncode == 1 and "flambe.db" in done.stderr, told(done)
        assert "damaged" in done.stderr and "--force" in done.stderr, told(done)
        assert path.read_bytes() == data and earlier.ran() == []
    assert (lab.dir("exp") / "train").exists()
    lab.good("exp.yaml", "-f")
    assert len(earlier.ran()) == 6


def test_a_state_of_a_newer_flambe(earlier):
    lab = earlier.lab
    subprocess.run(["/usr/bin/python3", "-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
                    "c.execute('PRAGMA user_version=99'); c.commit()", lab.dir("exp") / "flambe.db"],
                   check=True)
    done = lab.flambe("exp.yaml", "--reuse")
    assert done.returncode == 1 and "was made by a newer flambe" in done.stderr, told(done)
    assert "flambe stop" not in done.stderr, told(done)


def test_two_at_once(lab):
    lab.write("wait.sh", "touch begun; n=0; while [ $n -lt 30000 ] && [ ! -e go ]; do sleep 0.01; "
              "n=$((n + 1)); done\n")
    lab.file("two", "pipeline:\n  a: !Command {command: [sh, wait.sh]}\n")
    child = lab.start("two.yaml")
    wait_for(lambda: (lab.home / "begun").exists())
    for words in ([], ["-f"], ["--reuse"]):
        done = lab.flambe("two.yaml", *words)
        assert done.returncode == 1 and child.poll() is None, told(done)
        assert f"process {child.pid}" in done.stderr, told(done)
        assert "try: flambe status ./out/output__two   to see what runs\n" in done.stderr
        assert "try: flambe stop ./out/output__two     to stop it\n" in done.stderr
    (lab.home / "go").touch()
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, out + err
    # many that begin at the same moment: one of them runs
    (lab.home / "go").unlink()
    (lab.home / "begun").unlink()
    many = [lab.start("two.yaml", "-f") for _ in range(6)]
    wait_for(lambda: (lab.home / "begun").exists() and
             sum(c.poll() is None for c in many) == 1, what="one of many")
    (lab.home / "go").touch()
    assert sorted(c.wait(timeout=PATIENCE) for c in many) == [0, 1, 1, 1, 1, 1]
    lab.gone()


def test_what_cannot_be_written(lab):
    lab.file("no", "pipeline:\n  a: !Command {command: 'true'}\n")
    lab.write("out", "a file")
    done = lab.flambe("no.yaml")
    assert done.returncode == 1 and "out" in done.stderr and len(done.stderr.splitlines()) == 1, told(done)
    lab.write("no.yaml", "!Experiment\nname: no\nsave_path: /proc/nothing\n"
              "pipeline:\n  a: !Command {command: 'true'}\n")
    done = lab.flambe("no.yaml")
    assert done.returncode == 1 and "/proc/nothing" in done.stderr, told(done)
