"""Experiments on a cluster of booted hosts, and what goes wrong there. Needs root and LXC, and a static
flambe-node: FLAMBE_NODE names it, as tools/check does.

A trial says where it ran in a file of the shared tree, one line for each time that it was started: what
the state counts is compared with that."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import FLAMBE, ROOT, run
from runs import told, wait_for
from test_cluster_ghosts import alive, tags

NAME = "crun"
RESULTS = "/srv/flambe/results"
NODE = os.environ.get("FLAMBE_NODE", str(ROOT / "build-node/flambe-node"))


@pytest.fixture(scope="module")
def cluster(booted):
    """1 + 2 booted hosts, which the first experiment makes; the tests below share them in order."""
    if not os.access(NODE, os.X_OK):
        pytest.skip("FLAMBE_NODE names no flambe-node")
    booted.env["FLAMBE_NODE"] = NODE
    booted.env["USER"] = "somebody"
    booted.work = booted.home / "work"
    booted.work.mkdir()
    booted.file = booted.cluster_file(name=NAME, factories_num=2, factories_type="t3.small",
                                      orchestrator_type="t3.small")
    booted.started = []
    yield booted
    for child in booted.started:
        if child.poll() is None:
            child.kill()
        child.communicate()


def flambe(box, *argv, status=0, **more):
    done = run([FLAMBE, *map(str, argv)], box.env, cwd=box.work, **more)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    assert status is None or done.returncode == status, told(done)
    return done


def start(box, *argv):
    child = subprocess.Popen([FLAMBE, *map(str, argv)], env=box.env, cwd=box.work, text=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    box.started.append(child)
    return child


def end(child, seconds=120, status=0):
    out, err = child.communicate(timeout=seconds)
    assert "Sanitizer" not in err and "runtime error" not in err, err
    assert status is None or child.returncode == status, f"status {child.returncode}\n{out}\n{err}"
    return out, err


def shell(box, where, command, check=True):
    """What the hosts print, without their names."""
    done = box.flambe("exec", NAME, "--on", where, "--", command)
    if check:
        assert done.returncode == 0, told(done)
    return re.sub(r"(?m)^[a-z_0-9]+: ", "", done.stdout)


def first(box, command, **more):
    return shell(box, "orchestrator", command, **more)


def experiment(box, name, trials, seconds, after="", body=""):
    """`trials` trials of so many seconds each; each notes its beginning and its end."""
    values = ", ".join(map(str, range(1, trials + 1)))
    (box.work / f"{name}.yaml").write_text(f"""!Experiment
name: {name}
pipeline:
  train: !Command
    command: >
      echo "began $(hostname)" >> {{dir}}/ran; echo here is {{n}}; sleep {seconds};
      echo "{{{{\\"step\\": 1, \\"score\\": {{n}}}}}}" >> $FLAMBE_METRICS; echo "ended $(hostname)" >> {{dir}}/ran
    params: {{n: !g [{values}]}}
    objective: {{metric: score, mode: max}}
{after}
{body}""")
    return f"{name}.yaml"


def rows(box, name, stage=None):
    more = ["--stage", stage] if stage else []
    return json.loads(flambe(box, "results", f"{NAME}:{name}", "-o", "json", *more).stdout)


def status(box, name):
    return json.loads(flambe(box, "status", f"{NAME}:{name}", "-o", "json").stdout)


def ran(box, name):
    """For each trial of `train` the lines that it wrote."""
    text = first(box, f"cd {RESULTS}/output__{name}/train && grep . */ran")
    lines = {}
    for line in text.splitlines():
        place, _, words = line.partition("/ran:")
        lines.setdefault(place, []).append(words.split())
    return lines


def counted_once(box, name, trials, stage="train"):
    """Each trial succeeded, and is in the results once."""
    found = rows(box, name, stage)
    assert [r["state"] for r in found] == ["success"] * trials, found
    assert len({r["name"] for r in found}) == trials
    return found


def machines(box):
    return {tags(m)["Name"].removeprefix(f"{NAME}_"): m for m in alive(box)}


def running(box, name, at_least=1):
    """Waits until so many trials run."""
    def some():
        done = flambe(box, "status", f"{NAME}:{name}", "-o", "json", status=None)
        if done.returncode:
            return False
        return sum(s["trials"]["running"] for s in json.loads(done.stdout)["stages"]) >= at_least
    wait_for(some, what="a running trial")


def test_a_sweep_a_choice_and_a_second_stage(cluster):
    file = experiment(cluster, "sweep", 12, 0.3, """
  check: !Command
    command: echo "chosen {n}"
    params: {n: !@ "train[params][n]", model: !@ train.dir}""", "reduce: {train: 2}")
    done = flambe(cluster, file, "-c", cluster.file, "-y")
    print(done.stdout, done.stderr)
    found = counted_once(cluster, "sweep", 12)
    assert [r["objective"] for r in found][:2] == [12, 11]
    assert sorted(r["params"]["n"] for r in rows(cluster, "sweep", "check")) == [11, 12]
    lines = ran(cluster, "sweep")
    assert len(lines) == 12 and all(len(words) == 2 for words in lines.values()), lines
    hosts = {words[0][1] for words in lines.values()}
    assert len(hosts) == 2 and first(cluster, "hostname").strip() not in hosts
    assert status(cluster, "sweep")["state"] == "finished"
