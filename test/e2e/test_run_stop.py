"""Runs that are stopped by their user: what is waited for, what is ended, and that it goes on."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import FLAMBE, run
from runs import PATIENCE, essence, lab, points, told, wait_for  # noqa: F401 (a fixture)

STOP_GRACE = 5  # seconds that a trial has to end by itself

# Ends when the file `go` is there; says that it has begun; leaves metrics with steps.
WORK = """
import json, os, pathlib, signal, subprocess, sys, time
place = pathlib.Path(os.environ["FLAMBE_DIR"])
n = int(sys.argv[1])
if len(sys.argv) > 2:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"])
with open(os.environ["FLAMBE_METRICS"], "w") as f:
    for step in range(5):
        print(json.dumps({"step": step, "loss": n / (step + 1)}), file=f, flush=True)
pathlib.Path("begun").mkdir(exist_ok=True)
(pathlib.Path("begun") / str(n)).touch()
limit = time.monotonic() + 300
while not pathlib.Path("go").exists():
    if time.monotonic() > limit: sys.exit(9)
    time.sleep(0.01)
print("done", n)
"""

TEXT = """
devices: {{cpu: 1}}
pipeline:
  a: !Script
    script: work.py
    args: [!g [1, 2, 3, 4]{more}]
    objective: {{metric: loss, mode: min}}
  b: !Script {{script: work.py, args: [!@ "a[args][0]"]}}
reduce: {{a: 2}}
"""


class Work:
    def __init__(self, lab, more=""):
        self.lab = lab
        self.cpus = min(4, len(os.sched_getaffinity(0)))
        lab.write("work.py", WORK)
        lab.file("work", TEXT.format(more=more))

    def begun(self):
        place = self.lab.home / "begun"
        return len(list(place.iterdir())) if place.exists() else 0

    def wait(self):
        wait_for(lambda: self.begun() >= self.cpus, what="the first trials")

    def go(self):
        (self.lab.home / "go").touch()

    def check_it_goes_on(self, ended):
        """The same command comes to what an undisturbed run comes to; what had ended is kept."""
        lab = self.lab
        before = {r["number"]: r for r in lab.rows("work", "a") if r["state"] == "success"}
        assert len(before) == ended, lab.rows("work")
        self.go()
        done = lab.good("work.yaml")
        assert "experiment 'work' goes on, with results in" in done.stderr, told(done)
        have = lab.rows("work")
        for row in have:
            if row["stage"] == "a" and row["number"] in before:
                assert row == before[row["number"]]
        lab.write("straight.yaml", (lab.home / "work.yaml").read_text().replace("./out", "./other"))
        lab.good("straight.yaml")
        want = json.loads(lab.good("results", "other", "-o", "json").stdout)
        assert essence(have) == essence(want) and len(have) == 6
        have = points(lab, "work")
        lab.out = lab.home / "other"
        assert have == points(lab, "work")
        lab.gone()


@pytest.fixture
def work(lab):
    return Work(lab)


def test_ctrl_c_once_lets_the_trials_end(work):
    t = work.lab.terminal("work.yaml")
    work.wait()
    t.type("\x03")
    t.expect("Ctrl-C once more ends them")
    t.expect("finishing the running trials; Ctrl-C: end them")
    assert work.begun() == work.cpus
    work.go()
    assert t.end() == 130, t.text
    screen = "\n".join(t.screen())
    assert "stopped after" in screen and "flambe work.yaml, which goes on where it ended" in screen
    assert "flambe: stopped before its end" in screen, screen
    assert work.begun() == work.cpus, "no more were begun"
    work.lab.gone()
    (work.lab.home / "go").unlink()
    assert work.lab.status("work")["state"] == "stopped"
    assert work.lab.states("work") == {"success": work.cpus, "pending": 6 - work.cpus}
    work.check_it_goes_on(work.cpus)


def test_ctrl_c_twice_ends_them(work):
    t = work.lab.terminal("work.yaml")
    work.wait()
    t.type("\x03")
    t.expect("Ctrl-C once more ends them")
    t.type("\x03")
    t.expect("ending the running trials")
    assert t.end(20) == 130, t.text
    screen = "\n".join(t.screen())
    assert "tried again" not in screen and "failure" not in screen, screen
    work.lab.gone()
    rows = work.lab.rows("work")
    assert {r["state"] for r in rows} == {"pending"} and {r["objective"] for r in rows} == {None}
    assert not list(work.lab.dir("work").glob("a/*/error_*"))
    work.check_it_goes_on(0)


def test_the_last_stage_is_not_taken_for_finished(lab):
    """All trials run, none waits: a stop leaves them to be run, and the run is not finished."""
    lab.write("work.py", WORK)
    lab.file("last", "pipeline:\n  a: !Script {script: work.py, args: [1]}\n")
    child = lab.start("last.yaml")
    wait_for(lambda: (lab.home / "begun" / "1").exists())
    child.send_signal(signal.SIGINT)
    wait_for(lambda: "no more trials" in child.stderr.readline())
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130 and "stopped after" in out, out + err
    assert lab.status("last")["state"] == "stopped" and lab.states("last") == {"pending": 1}
    (lab.home / "go").touch()
    assert "finished after" in lab.good("last.yaml").stdout
    assert lab.rows("last")[0]["attempts"] == 2
    # and once, where they end by themselves: nothing is left to do
    (lab.home / "go").unlink()
    (lab.home / "begun" / "1").unlink()
    child = lab.start("-f", "last.yaml")
    wait_for(lambda: (lab.home / "begun" / "1").exists())
    child.send_signal(signal.SIGINT)
    wait_for(lambda: "no more trials" in child.stderr.readline())
    (lab.home / "go").touch()
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0 and "finished after" in out, out + err


def test_those_that_do_not_listen_are_killed(lab):
    work = Work(lab, more=", deaf")
    child = lab.start("work.yaml")
    work.wait()
    for word in ("no more trials", "ending the running"):
        child.send_signal(signal.SIGINT)
        wait_for(lambda: word in child.stderr.readline())
    child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    lab.gone()


def test_a_third_ctrl_c_waits_for_nothing(lab):
    work = Work(lab, more=", deaf")
    child = lab.start("work.yaml")
    work.wait()
    for word in ("no more trials", "ending the running"):
        child.send_signal(signal.SIGINT)
        wait_for(lambda: word in child.stderr.readline())
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130 and time.monotonic() - began < STOP_GRACE, out + err
    lab.gone()
    work.lab.write("work.py", WORK.replace("len(sys.argv) > 2", "False"))
    work.check_it_goes_on(0)


def test_sigterm_drains(work):
    child = work.lab.start("work.yaml")
    work.wait()
    child.send_signal(signal.SIGTERM)
    wait_for(lambda: "no more trials are begun" in child.stderr.readline())
    work.go()
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130 and "stopped after" in out, out + err
    assert work.begun() == work.cpus
    (work.lab.home / "go").unlink()
    work.check_it_goes_on(work.cpus)


def test_the_terminal_goes_away(work):
    t = work.lab.terminal("work.yaml")
    work.wait()
    os.close(t.master)
    work.go()
    t.child.wait(timeout=PATIENCE)
    work.lab.gone()
    (work.lab.home / "go").unlink()
    ended = work.lab.states("work").get("success", 0)
    assert ended in (0, work.cpus, 6), ended
    if ended < 6:
        work.check_it_goes_on(ended)


def test_flambe_stop(work):
    child = work.lab.start("work.yaml")
    work.wait()
    other = work.lab.start("stop", work.lab.dir("work"))
    wait_for(lambda: "no more trials are begun" in child.stderr.readline())
    assert other.poll() is None, "it waits"
    busy = work.lab.status("work")
    assert busy["state"] == "running" and busy["pid"] == child.pid
    work.go()
    out, _ = other.communicate(timeout=PATIENCE)
    assert other.returncode == 0
    assert out == (f"'work' is stopped: {6 - work.cpus} pending, {work.cpus} success\n"
                   f"next: flambe {work.lab.home}/work.yaml, which goes on\n")
    child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    (work.lab.home / "go").unlink()
    again = work.lab.good("stop", work.lab.dir("work"))
    assert again.stdout.startswith("'work' is not running:")
    work.check_it_goes_on(work.cpus)


def test_flambe_stop_now(lab):
    work = Work(lab, more=", deaf")
    child = lab.start("work.yaml")
    work.wait()
    done = lab.good("stop", "work.yaml", "--now")
    assert done.stdout.startswith("'work' is stopped: 6 pending\n"), told(done)
    child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    lab.gone()
    work.lab.write("work.py", WORK.replace("len(sys.argv) > 2", "False"))
    work.check_it_goes_on(0)


def test_json_when_it_is_stopped(work):
    child = work.lab.start("work.yaml", "-o", "json")
    work.wait()
    for word in ("no more trials", "ending the running"):
        child.send_signal(signal.SIGINT)
        wait_for(lambda: word in child.stderr.readline())
    out, _ = child.communicate(timeout=PATIENCE)
    answer = json.loads(out)
    assert child.returncode == 130 and answer["state"] == "stopped" and answer["pid"] is None
    assert answer["error"] == {"code": "cancelled", "message": "stopped before its end",
                               "exit_status": 130}


def test_what_a_trial_leaves_behind_is_ended(lab):
    """A program that ends and leaves a daemon behind: it is gone with the trial."""
    lab.write("daemon.sh", "setsid sh -c 'while :; do sleep 0.1; done' >/dev/null 2>&1 &\nexit 0\n")
    lab.file("left", "pipeline:\n  a: !Command {command: [sh, daemon.sh], params: {n: !g [1, 2]}}\n")
    lab.good("left.yaml")
    lab.gone()


def test_the_supervisor_dies(work):
    child = work.lab.start("work.yaml")
    work.wait()
    (supervisor,) = [pid for pid, _ in work.lab.alive()
                     if open(f"/proc/{pid}/stat").read().split()[3] == str(child.pid)]
    os.kill(supervisor, signal.SIGKILL)
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode not in (0, 130) and "supervisor of the programs died" in err, out + err
    work.lab.gone()
    work.check_it_goes_on(0)
