"""flambe-node: entries carried out on a host, its queue, and who looks on.

The service is started as a host's own is, for this user and with a queue of the test's own.
"""
import collections
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from conftest import BUILD
from runs import lab, wait_for  # noqa: F401 (a fixture)

NODE = str(pathlib.Path(BUILD) / "flambe-node")
pytestmark = pytest.mark.skipif(not os.path.exists(NODE), reason="flambe-node is built on Linux only")

STEADY = """!Experiment
name: %s
stop_on_failure: false
pipeline:
  s: !Command
    command: "echo {n} >> %s; flambe log loss {n}; sleep 0.4; echo $FLAMBE_VARIANT >> %s; test {n} != 3"
    params: {n: !g [%s]}
    objective: {metric: loss, mode: min}
"""


class Node:
    def __init__(self, lab):
        self.lab = lab
        self.home = lab.home
        self.queue = self.home / "queue"
        self.results = self.home / "results"
        self.work = self.home / "work"
        self.work.mkdir()
        self.ledger, self.begun = self.home / "ledger", self.home / "begun"
        self.groups = ",".join(map(str, os.getgroups()))
        self.log = open(self.home / "watch.log", "ab")

    def entry(self, name, trials=6, text=None, **more):
        file = self.home / f"{name}.yaml"
        numbers = ", ".join(map(str, range(1, trials + 1)))
        file.write_text(text or STEADY % (name, self.begun, self.ledger, numbers))
        value = {"version": 1, "name": name, "file": str(file), "work": str(self.work),
                 "resources": {}, "save_path": str(self.results), "state": None, "engine": "local",
                 "secrets": None, "force": False, "reuse": False, "install": False,
                 "by": "me@laptop", "submitted": int(time.time()), "python": None}
        value.update(more)
        return json.dumps(value)

    def call(self, *argv, text=None, status=0):
        done = subprocess.run([NODE, *map(str, argv)], input=text, env=self.lab.env, cwd=self.home,
                              capture_output=True, text=True, timeout=60)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done

    def q(self, action, *argv, text=None, status=0):
        done = self.call("queue", action, *argv, "--directory", self.queue, "-o", "json", text=text,
                         status=status)
        return json.loads(done.stdout)

    def watch(self):
        child = subprocess.Popen([NODE, "watch", "--directory", self.queue, "--as",
                                  f"{os.getuid()}:{os.getgid()}:{self.groups}"],
                                 env=self.lab.env, stdin=subprocess.DEVNULL, stdout=self.log,
                                 stderr=self.log)
        self.lab.started.append(child)
        return child

    def attach(self, *argv):
        child = subprocess.Popen([NODE, "attach", *map(str, argv), "--directory", self.queue],
                                 env={**self.lab.env, "FLAMBE_TERMINAL": "70x12"},
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        self.lab.started.append(child)
        return child

    def over(self, name):
        """The outcome, once there is one."""
        return next((o for o in self.q("list")["done"] if o["name"] == name), None)

    def driver(self, name):
        """The process that has the lock, once there is one."""
        place = self.results / f"output__{name}" / "lock"
        words = place.read_text().split() if place.exists() else []
        pid = int(words[0]) if words else 0
        return pid if pid and os.path.exists(f"/proc/{pid}") else 0

    def said(self):
        return (self.home / "watch.log").read_text()

    def lines(self):
        return self.ledger.read_text().split() if self.ledger.exists() else []


@pytest.fixture
def node(lab):  # noqa: F811
    n = Node(lab)
    yield n
    n.log.close()
    text = n.said()
    assert "Sanitizer" not in text and "runtime error" not in text, text


def told(lines):
    values = [json.loads(line) for line in lines.splitlines()]
    assert all(len(v) == 1 and next(iter(v)) in ("frame", "say", "end") for v in values)
    return values


def test_an_entry_is_carried_out_as_a_file_is(node):
    (node.home / "data").write_text("x")
    text = STEADY % ("one", node.begun, node.ledger, "1, 2") + "resources: {d: nowhere/data}\n"
    text = text.replace("sleep 0.4", "cat {d}").replace("params: {", "params: {d: !@ d, ")
    path = node.home / "one.json"
    path.write_text(node.entry("one", text=text, resources={"d": str(node.home / "data")}))
    done = node.call("run", path)
    assert "2 success" in done.stdout
    results = node.results / "output__one"
    assert (results / "s" / "n=1_0" / "console.out").read_text() == "x"
    record = json.loads((results / "run.json").read_text())
    assert record[-1]["by"] == "me@laptop"
    rows = json.loads(node.call("results", results, "-o", "json").stdout)
    assert sorted(r["objective"] for r in rows) == [1, 2]
    assert json.loads(node.call("status", results, "-o", "json").stdout)["state"] == "finished"


def test_a_bad_entry_says_what_is_wrong_with_it(node):
    path = node.home / "bad.json"
    path.write_text(node.entry("bad", work="relative"))
    assert "'work' is not an absolute path" in node.call("run", path, status=1).stderr
    path.write_text(node.entry("bad", resources={"d": "/nowhere/data"},
                               text=STEADY % ("bad", "/dev/null", "/dev/null", "1")
                               + "resources: {d: here}\n"))
    assert "'/nowhere/data', and is not there" in node.call("run", path, status=2).stderr


def test_what_dies_goes_on_and_each_trial_counts_once(node):
    watch = node.watch()
    node.q("add", "-", text=node.entry("sweep", trials=12))
    for kills in range(2):
        wait_for(lambda: len(node.lines()) > 3 * kills and node.driver("sweep"))
        os.kill(node.driver("sweep"), signal.SIGKILL)
        wait_for(lambda: node.said().count("died (signal 9)") > kills)
    outcome = wait_for(lambda: node.over("sweep"))
    assert outcome["state"] == "failed" and outcome["exit"] == 1 and outcome["deaths"] == 2
    assert outcome["reason"] == "1 trial failed"
    rows = json.loads(node.call("results", node.results / "output__sweep", "-o", "json").stdout)
    assert collections.Counter(r["state"] for r in rows) == {"success": 11, "failure": 1}
    # What had ended before a death is not run again: only the last lines of a trial are counted.
    assert all(n <= (3 if name.startswith("n=3_") else 1)
               for name, n in collections.Counter(node.lines()).items()), node.lines()
    watch.terminate()
    assert watch.wait(30) == 0


def test_the_service_may_be_restarted_in_the_midst(node):
    watch = node.watch()
    node.q("add", "-", text=node.entry("sweep"))
    wait_for(lambda: len(node.lines()) > 0)
    watch.terminate()
    assert watch.wait(30) == 0
    entries = node.q("list")["entries"]
    assert [e["name"] for e in entries] == ["sweep"] and entries[0]["state"] == "running"
    wait_for(lambda: not node.driver("sweep"))
    watch = node.watch()
    assert wait_for(lambda: node.over("sweep"))["deaths"] == 0
    watch.kill()  # the keeper itself: what runs is found again
    node.q("add", "-", text=node.entry("again"))
    watch = node.watch()
    wait_for(lambda: node.driver("again"))
    watch.kill()
    watch.wait()
    assert node.driver("again")
    node.watch()
    assert wait_for(lambda: node.over("again"))["state"] == "failed"
    assert node.said().count("1-0000000002-again has its turn") <= 2


def test_the_second_is_refused_waits_or_replaces(node):
    node.watch()
    node.q("add", "-", text=node.entry("long", trials=200))
    wait_for(lambda: len(node.lines()) > 0)
    refused = node.q("add", "-", text=node.entry("other"), status=1)
    assert refused["error"]["code"] == "busy"
    assert "'long' runs on this cluster since 20" in refused["error"]["message"]
    assert "started by me@laptop" in refused["error"]["message"]
    assert refused["entries"][0]["name"] == "long"
    again = node.q("add", "-", "--queue", text=node.entry("long"), status=1)
    assert again["error"]["code"] == "busy"
    assert node.q("add", "-", "--queue", text=node.entry("second", trials=1))["before"] == 1
    assert node.q("add", "-", "--queue", text=node.entry("third", trials=1))["before"] == 2
    assert node.q("remove", "third")["runs"] is False
    assert node.over("third")["state"] == "removed"
    forced = node.q("add", "-", "--force", text=node.entry("forced", trials=1))
    assert forced["replaces"] == "long"
    for name in ("forced", "second"):
        assert wait_for(lambda: node.over(name))["state"] == "finished"
    done = node.q("list")["done"]
    assert [o["name"] for o in done[::-1] if o["name"] != "third"] == ["long", "forced", "second"]
    assert node.over("long")["state"] == "replaced"
    assert (node.results / "output__long" / "flambe.db").exists()  # another's results stay
    assert node.q("remove", "long", status=1)["error"]["code"] == "not-found"


def test_force_removes_the_results_of_that_name_once(node):
    node.watch()
    node.q("add", "-", text=node.entry("sweep", trials=2))
    assert wait_for(lambda: node.over("sweep"))["state"] == "finished"
    node.q("add", "-", text=node.entry("sweep", trials=2))
    done = wait_for(lambda: len(node.q("list")["done"]) == 2 and node.q("list")["done"])
    assert done[0]["state"] == "failed" and "has run already" in done[0]["reason"]
    node.q("add", "-", text=node.entry("sweep", trials=4, force=True))
    wait_for(lambda: node.ledger.read_text().count("\n") > 2)
    wait_for(lambda: node.driver("sweep"))
    os.kill(node.driver("sweep"), signal.SIGKILL)
    done = wait_for(lambda: len(node.q("list")["done"]) == 3 and node.q("list")["done"])
    assert done[0]["deaths"] == 1 and done[0]["state"] == "failed"
    rows = json.loads(node.call("results", node.results / "output__sweep", "-o", "json").stdout)
    assert len(rows) == 4


def test_one_that_dies_again_and_again_is_given_up(node):
    node.watch()
    text = STEADY % ("deadly", node.begun, node.ledger, "1")
    node.q("add", "-", text=node.entry("deadly", text=text.replace("echo", "kill -9 $(cut -d' ' -f1 %s); "
                                                                   "sleep 5; echo" %
                                                                   (node.results / "output__deadly/lock"), 1)))
    node.q("add", "-", "--queue", text=node.entry("next", trials=1))
    outcome = wait_for(lambda: node.over("deadly"))
    assert outcome["state"] == "failed" and outcome["deaths"] == 5
    assert "died 5 times, at last of signal 9" in outcome["reason"]
    assert wait_for(lambda: node.over("next"))["state"] == "finished"


def test_a_damaged_entry_fails_and_the_next_has_its_turn(node):
    node.q("add", "-", text=node.entry("first", trials=1))
    (node.queue / "1-0000000001-first.json").write_text("{")
    node.q("add", "-", "--queue", text=node.entry("next", trials=1))
    node.watch()
    assert wait_for(lambda: node.over("next"))["state"] == "finished"
    assert "malformed JSON" in node.over("first")["reason"]


def test_who_attaches_sees_frames_failures_and_the_end(node):
    node.q("add", "-", text=node.entry("sweep", trials=8))
    early = node.attach("sweep")  # waits for the service too
    node.watch()
    wait_for(lambda: len(node.lines()) > 2)
    os.kill(node.driver("sweep"), signal.SIGKILL)  # who looks on does not mind
    late = node.attach(node.results / "output__sweep")
    for child in (early, late):
        out, err = child.communicate(timeout=120)
        assert child.returncode == 0 and not err, err
        values = told(out)
        assert values[-1] == {"end": {"state": "failed", "exit": 1, "reason": "1 trial failed"}}
        assert sum("end" in v for v in values) == 1
        says = [v["say"] for v in values if "say" in v]
        again = sum("s/n=3_2: it is tried again (exit status 1)" in s for s in says)
        assert again <= 1  # of a process that died before it was first looked at, it is not told
        assert sum("s/n=3_2: failure (exit status 1)" in s for s in says) == 1
        frames = [v["frame"] for v in values if "frame" in v]
        assert all(a != b for a, b in zip(frames, frames[1:]))
        assert all(len(line) <= 70 for frame in frames for line in frame)
        assert any("running" in " ".join(frame) for frame in frames)
        assert "7" in frames[-1][1] and "Ctrl-C" not in " ".join(frames[-1])
    over = node.attach("sweep").communicate(timeout=60)[0]
    assert told(over)[-1]["end"]["exit"] == 1
    gone = node.attach("nothing")
    assert "nothing" in gone.communicate(timeout=60)[1] and gone.returncode == 1


def test_attach_here_shows_the_table_and_ctrl_c_detaches(lab):  # noqa: F811
    lab.file("x", """
stop_on_failure: false
pipeline:
  s: !Command
    command: "sleep 1; test {n} != 2"
    params: {n: !g [1, 2, 3, 4, 5, 6]}
""")
    run = lab.start("x.yaml")
    wait_for(lambda: (lab.dir("x") / "flambe.db").exists())
    terminal = lab.terminal("attach", "x.yaml")
    terminal.expect("Ctrl-C: detach")
    terminal.type("\x03")
    terminal.expect("detached: it goes on")
    assert terminal.child.wait(30) == 0
    assert run.poll() is None
    seen = lab.flambe("attach", "x.yaml")
    assert seen.returncode == 1
    assert "ended with failures after" in seen.stdout and "5 success, 1 failure" in seen.stdout
    assert "s/n=2_1: failure (exit status 1)" in seen.stderr
    assert run.wait(60) == 1


def test_two_programs_of_one_build_say_the_same(node):
    said = node.call("--version").stdout
    assert said.startswith("flambe-node ") and "(build " in said
    link = node.home / "flambe"
    link.symlink_to(NODE)
    assert subprocess.run([link, "--version"], capture_output=True, text=True).stdout == said


def switches(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)


def test_an_idle_service_sleeps(node):
    """Its own lock is a file of the directory that it is told of changes in."""
    node.q("add", "-", text=node.entry("first", trials=1))
    watch = node.watch()
    wait_for(lambda: node.over("first"))
    time.sleep(1)
    before = switches(watch.pid)
    time.sleep(3)
    assert switches(watch.pid) - before < 10
    node.q("add", "-", text=node.entry("next", trials=1))
    assert wait_for(lambda: node.over("next"))["state"] == "finished"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_the_service_of_a_host_is_root_s_and_the_queue_the_user_s(node):
    os.chmod(node.home, 0o755)
    for parent in node.home.parents[:2]:
        os.chmod(parent, 0o755)
    (node.home / "node.json").write_text(json.dumps(
        {"cluster": "x", "role": "orchestrator", "user": "me", "uid": 1234, "gid": 1235,
         "groups": [1235, 1236], "home": str(node.work)}))
    for place in (node.work, node.results):
        place.mkdir(exist_ok=True)
        os.chown(place, 1234, 1235)
    argv = [NODE, "watch", "--config", node.home / "node.json", "--directory", node.queue]
    watch = subprocess.Popen(list(map(str, argv)), env=node.lab.env, stdin=subprocess.DEVNULL,
                             stdout=node.log, stderr=node.log)
    node.lab.started.append(watch)
    wait_for(lambda: (node.queue / "keeper").exists())
    assert node.queue.stat().st_uid == 1234 and node.queue.stat().st_mode & 0o777 == 0o700
    text = STEADY % ("mine", "begun", "ledger", "1")
    text = text.replace("sleep 0.4", 'id; echo $HOME $USER $FLAMBE_KEEPER_PARENT.')
    entry = node.home / "entry.json"
    entry.write_text(node.entry("mine", text=text))
    as_user = ["setpriv", "--reuid=1234", "--regid=1235", "--clear-groups"]
    added = subprocess.run([*as_user, NODE, "queue", "add", "-", "--directory", str(node.queue)],
                           input=entry.read_text(), capture_output=True, text=True, env=node.lab.env)
    assert added.returncode == 0, added.stderr
    outcome = wait_for(lambda: node.over("mine"))
    assert outcome["state"] == "finished", node.said()
    said = (node.results / "output__mine/s/n=1_0/console.out").read_text()
    assert "uid=1234" in said and "gid=1235" in said and "1236" in said and "0(root)" not in said
    assert f"{node.work} me ." in said
    # The keeper goes with root's part, however that ends.
    holder = int((node.queue / "keeper").read_text().split()[0])
    watch.kill()
    watch.wait()

    def state():
        path = pathlib.Path(f"/proc/{holder}/stat")
        return path.read_text().split(") ")[1][0] if path.exists() else "Z"
    wait_for(lambda: state() == "Z")
