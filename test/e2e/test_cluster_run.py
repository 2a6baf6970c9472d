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
from test_cluster_ghosts import ec2, hosts

NAME = "crun"
RESULTS = "/srv/flambe/results"
NODE = os.environ.get("FLAMBE_NODE", str(ROOT / "build-node/flambe-node"))


def laboratory(booted):
    """A sandbox whose experiments start in `work`, with the programs that were started ended after it."""
    if not os.access(NODE, os.X_OK):
        pytest.skip("FLAMBE_NODE names no flambe-node")
    booted.env["FLAMBE_NODE"] = NODE
    booted.env["USER"] = "somebody"
    booted.work = booted.home / "work"
    booted.work.mkdir()
    booted.started = []
    yield booted
    for child in booted.started:
        if child.poll() is None:
            child.kill()
        child.communicate()


@pytest.fixture(scope="module")
def cluster(booted):
    """1 + 2 booted hosts, which the first experiment makes; the tests below share them in order."""
    for box in laboratory(booted):
        box.file = box.cluster_file(name=NAME, factories_num=2, factories_type="t3.small",
                                    orchestrator_type="t3.small")
        yield box


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


def instance(box, name):
    return next(h["instance_id"] for h in hosts(box, NAME) if h["name"] == f"{NAME}_{name}")


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
    assert f"next: flambe results {NAME}:sweep\n" in done.stdout, done.stdout
    found = counted_once(cluster, "sweep", 12)
    assert [r["objective"] for r in found][:2] == [12, 11]
    assert sorted(r["params"]["n"] for r in rows(cluster, "sweep", "check")) == [11, 12]
    lines = ran(cluster, "sweep")
    assert len(lines) == 12 and all(len(words) == 2 for words in lines.values()), lines
    hosts = {words[0][1] for words in lines.values()}
    assert len(hosts) == 2 and first(cluster, "hostname").strip() not in hosts
    assert status(cluster, "sweep")["state"] == "finished"


def test_what_is_asked_afterwards(cluster):
    said = flambe(cluster, "attach", f"{NAME}:sweep").stdout
    assert "12 success" in said or "14 success" in said, said
    assert "here is 7" in flambe(cluster, "logs", f"{NAME}:sweep", "train", "n=7").stdout
    flambe(cluster, "fetch", NAME, "sweep")
    local = [p for p in cluster.work.rglob("output__sweep") if p.is_dir()]
    assert len(local) == 1
    at_home = json.loads(flambe(cluster, "results", local[0], "-o", "json", "--stage", "train").stdout)
    assert [r["objective"] for r in at_home] == [r["objective"] for r in rows(cluster, "sweep", "train")]


def test_the_second_is_refused_waits_or_replaces(cluster):
    long = experiment(cluster, "long", 30, 1)
    child = start(cluster, long, "-c", NAME)
    running(cluster, "long")
    brief = experiment(cluster, "brief", 1, 0.1)
    refused = flambe(cluster, brief, "-c", NAME, status=None)
    assert refused.returncode and "'long' of somebody@" in refused.stderr, told(refused)
    assert "--queue" in refused.stderr and "--force" in refused.stderr
    behind = start(cluster, brief, "-c", NAME, "--queue")
    def waits():
        listed = json.loads(first(cluster, "/opt/flambe/bin/flambe-node queue list -o json"))
        return [e["name"] for e in listed["entries"]] == ["long", "brief"]
    wait_for(waits, what="the second in the queue")
    instead = experiment(cluster, "instead", 2, 0.1)
    flambe(cluster, instead, "-c", NAME, "--force")
    counted_once(cluster, "instead", 2)
    end(behind)
    counted_once(cluster, "brief", 1)
    out, err = end(child, status=None)
    assert child.returncode and "replaced" in out + err, out + err


def test_ctrl_c_detaches_and_stop_ends(cluster):
    file = experiment(cluster, "leave", 40, 1)
    child = start(cluster, file, "-c", NAME)
    running(cluster, "leave")
    child.send_signal(signal.SIGINT)
    out, err = end(child, status=None)
    assert "detached: 'leave' goes on" in err, err
    assert f"flambe attach {NAME}:leave" in err
    running(cluster, "leave")
    assert status(cluster, "leave")["state"] == "running"
    watcher = start(cluster, "attach", f"{NAME}:leave")
    wait_for(lambda: "leave" in first(cluster, "pgrep -af 'flambe-node attach' || true"), what="who attached")
    stopped = flambe(cluster, "stop", f"{NAME}:leave", "--now")
    end(watcher, status=None)
    assert status(cluster, "leave")["state"] != "running", told(stopped)
    assert first(cluster, "squeue -h").strip() == ""
    file = experiment(cluster, "after", 2, 0.1)
    flambe(cluster, file, "-c", NAME)
    counted_once(cluster, "after", 2)


def test_secrets_and_resources_reach_the_trials(cluster):
    secrets = cluster.home / "secrets.ini"
    secrets.write_text("[HUB]\ntoken = never-tell-1234\n")
    secrets.chmod(0o600)
    outside = cluster.home / "outside"
    outside.mkdir()
    (outside / "data").write_text("from-outside\n")
    shell(cluster, "factories", "sudo -n mkdir -p /opt/data && echo from-the-host | sudo -n tee /opt/data/x")
    first(cluster, "sudo -n mkdir -p /opt/data && echo from-the-host | sudo -n tee /opt/data/x")
    (cluster.work / "private.yaml").write_text(f"""!Experiment
name: private
resources: {{mine: {outside}, there: !cluster /opt/data/x}}
pipeline:
  read: !Command
    command: >
      stat -c '%a %U' "$FLAMBE_SECRETS"; grep -c never-tell "$FLAMBE_SECRETS"; cat {{mine}}/data {{there}}; sleep 2
    params: {{mine: !@ mine, there: !@ there, n: !g [1, 2]}}
""")
    child = start(cluster, "private.yaml", "-c", NAME, "--secrets", secrets)
    running(cluster, "private")
    places = "stat -c '%a %U' /var/lib/flambe/secrets/private.ini"
    for where in ("orchestrator", "factory_1", "factory_2"):
        assert shell(cluster, where, places).split() == ["600", "ubuntu"]
    end(child)
    counted_once(cluster, "private", 2, "read")
    said = flambe(cluster, "logs", f"{NAME}:private", "read").stdout
    for word in ("600 ubuntu", "from-outside", "from-the-host"):
        assert said.count(word) == 2, said
    left = cluster.flambe("exec", NAME, "--", "ls -A /var/lib/flambe/secrets; sudo -n grep -rl never-tell-[1]234"
                                              " /srv/flambe /var/lib/flambe /etc/flambe /tmp /run/systemd 2>/dev/null")
    assert "private" not in left.stdout, left.stdout
    journal = cluster.flambe("exec", NAME, "--", "sudo -n journalctl --no-pager -o cat").stdout
    assert "never-tell-1234" not in journal
    assert first(cluster, "ls -A /srv/flambe/engine/private 2>/dev/null || true").strip() == ""


def test_the_driver_is_killed(cluster):
    file = experiment(cluster, "orphan", 10, 1.5)
    child = start(cluster, file, "-c", NAME)
    running(cluster, "orphan", 2)
    first(cluster, "kill -9 $(cut -d' ' -f1 /srv/flambe/results/output__orphan/lock)")
    end(child)
    counted_once(cluster, "orphan", 10)
    lines = ran(cluster, "orphan")
    assert all([w[0] for w in words] == ["began", "ended"] for words in lines.values()), lines


def test_slurmctld_is_killed(cluster):
    file = experiment(cluster, "headless", 10, 1.5)
    child = start(cluster, file, "-c", NAME)
    running(cluster, "headless", 2)
    first(cluster, "sudo -n systemctl kill -s KILL slurmctld")
    end(child)
    counted_once(cluster, "headless", 10)
    assert "drain" not in first(cluster, "sinfo -h")


def test_the_service_restarts_and_the_orchestrator_reboots(cluster):
    file = experiment(cluster, "again", 10, 1.5)
    child = start(cluster, file, "-c", NAME)
    running(cluster, "again", 2)
    first(cluster, "sudo -n systemctl restart flambe-node")
    running(cluster, "again", 2)
    ec2(cluster).reboot_instances(InstanceIds=[instance(cluster, "orchestrator")])
    _, err = end(child)
    assert "the connection to the orchestrator broke" in err, err
    counted_once(cluster, "again", 10)


def test_the_network_is_cut_while_attached(cluster):
    file = experiment(cluster, "cut", 8, 1.5)
    child = start(cluster, file, "-c", NAME)
    running(cluster, "cut", 2)
    orchestrator = instance(cluster, "orchestrator")
    cluster.control("partition", orchestrator)
    time.sleep(20)
    cluster.control("partition", orchestrator, "--off")
    end(child)
    counted_once(cluster, "cut", 8)


def test_a_factory_s_disk_is_full(cluster):
    shell(cluster, "factory_1", "sudo -n mount -t tmpfs -o size=1m none /var/lib/flambe/files && sudo -n chown ubuntu"
                                " /var/lib/flambe/files && { head -c 2m /dev/zero >/var/lib/flambe/files/fill; true; }")
    try:
        file = experiment(cluster, "full", 4, 0.5)
        done = flambe(cluster, file, "-c", NAME, status=1)
        assert "the disk of factory_1 is full" in done.stderr, told(done)
    finally:
        shell(cluster, "factory_1", "sudo -n umount /var/lib/flambe/files")
    flambe(cluster, file, "-c", NAME)
    counted_once(cluster, "full", 4)


def test_a_factory_of_another_key(cluster):
    shell(cluster, "factory_1", "sudo -n sh -c 'head -c 1024 /dev/urandom > /etc/munge/munge.key;"
                                " systemctl restart munge'")
    file = experiment(cluster, "keys", 6, 0.5)
    flambe(cluster, file, "-c", cluster.file, "-y")
    counted_once(cluster, "keys", 6)
    assert len({words[0][1] for words in ran(cluster, "keys").values()}) == 2


def test_a_clock_that_is_off_is_named(cluster):
    """Hosts share the machine's clock, so it is their 'date' that tells another time."""
    shell(cluster, "factory_2", "printf '#!/bin/sh\\necho $(($(/bin/date.real +%%s) - 900)).0\\n' > d"
                                " && sudo -n cp -p /bin/date /bin/date.real && sudo -n install -m 755 d /bin/date")
    try:
        done = flambe(cluster, cluster.file, "-y")
        assert re.search(r"the clock of crun_factory_2 is (89\d|90\d) s behind", done.stderr), told(done)
    finally:
        shell(cluster, "factory_2", "sudo -n mv /bin/date.real /bin/date")


def test_a_factory_dies(cluster):
    file = experiment(cluster, "victim", 10, 2)
    child = start(cluster, file, "-c", NAME)
    running(cluster, "victim", 4)
    victim = instance(cluster, "factory_2")
    began = time.monotonic()
    cluster.control("kill", victim)
    _, err = end(child)
    print(f"with a factory less it ended {time.monotonic() - began:.1f} s later")
    assert "its host factory_2 failed" in err, err
    counted_once(cluster, "victim", 10)
    last = {words[-1][0] for words in ran(cluster, "victim").values()}
    assert last == {"ended"}
