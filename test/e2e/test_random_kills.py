"""Kills at random moments, in random weather: nothing double, nothing missing, nothing left.

FLAMBE_RANDOM_SEED makes a run again (it is printed), FLAMBE_RANDOM_ROUNDS makes it longer.
"""
import os
import random
import signal
import subprocess
import time

from conftest import FLAMBE
from test_cluster_ghosts import alive, ec2, hosts

SEED = int(os.environ.get("FLAMBE_RANDOM_SEED", "20240607"))
ROUNDS = int(os.environ.get("FLAMBE_RANDOM_ROUNDS", "25"))
KILL_WITHIN = 0.6
SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM]
CALLS = ["RunInstances", "DescribeInstances", "PutMetricAlarm", "DescribeImages"]
# What a laptop cannot tell from bad luck: none of it changes what the next run may find.
WEATHER = ["throttle", "error", "error=503", "drop-before", "drop-after", "hold-before=0.5", "hold-after=0.5",
           "late-address=0.3", "capacity", "partial=1", "expired"]


def weather(rng):
    for _ in range(rng.randrange(4)):
        fault = rng.choice(WEATHER)
        only = ["RunInstances"] if fault in ("capacity", "expired") else CALLS
        action = [] if fault.startswith(("late", "partial")) else ["--action", rng.choice(only)]
        yield [fault, *action, "--skip", str(rng.randrange(3)), "--count", str(rng.randrange(1, 3))]


def start_and_end(box, file, rng, log):
    """One run that is hit once or twice; how it ends is no matter."""
    child = subprocess.Popen([FLAMBE, str(file), "-y"], env=box.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for _ in range(rng.choice([1, 1, 2])):
        wait, sig = rng.uniform(0, KILL_WITHIN), rng.choice(SIGNALS)
        log.append(f"{sig.name} after {wait * 1000:.0f} ms")
        time.sleep(wait)
        if child.poll() is None:
            child.send_signal(sig)
    try:
        _, said = child.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
    assert "Sanitizer" not in said and "runtime error" not in said, said


def told(log, done):
    return "\n".join([*log, f"status {done.returncode}", done.stdout, done.stderr])


def check_up(box, name, factories, log):
    machines = alive(box)
    assert len(machines) == 1 + factories, (log, [m["InstanceId"] for m in machines])
    found = hosts(box, name)
    assert sorted(h["index"] for h in found if h["role"] == "Factory") == list(range(1, factories + 1)), log
    assert sum(h["role"] == "Orchestrator" for h in found) == 1, log
    assert {h["instance_id"] for h in found} == {m["InstanceId"] for m in machines}, log
    done = box.flambe("exec", name, "--", "true")
    assert done.returncode == 0, told(log, done)


def check_gone(box, log):
    assert alive(box) == [], log
    assert ec2(box).describe_volumes()["Volumes"] == [], log
    assert ec2(box, "cloudwatch").describe_alarms()["MetricAlarms"] == [], log


def one_round(box, rng, number):
    factories = rng.randrange(0, 6)
    name = f"round{number}"
    file = box.cluster_file(name=name, factories_num=factories, orchestrator_timeout=rng.choice([-1, 5]),
                            factories_timeout=rng.choice([0, 1]))
    visible = rng.choice(["0", "0.3", "1"])
    log = [f"seed {SEED} round {number}", f"{factories} factories, visible after {visible} s"]
    box.control("set", "visible-after", visible)
    for _ in range(rng.choice([1, 1, 2])):
        for fault in weather(rng):
            log.append(" ".join(fault))
            box.fault(*fault)
        start_and_end(box, file, rng, log)
        box.control("fault", "clear")
    straight_down = rng.random() < 0.2
    if not straight_down:
        up = box.flambe(file, "-y")
        assert up.returncode == 0, told(log, up)
        check_up(box, name, factories, log)
    down = box.flambe("down", file, "-y")
    assert down.returncode == 0, told(log, down)
    if straight_down:
        time.sleep(float(visible) + 0.6)  # what a held or dropped launch made shows itself by now
    check_gone(box, log)


def test_whatever_is_killed_the_next_run_completes(ghosts):
    print(f"FLAMBE_RANDOM_SEED={SEED} FLAMBE_RANDOM_ROUNDS={ROUNDS}")
    rng = random.Random(SEED)
    for number in range(ROUNDS):
        one_round(ghosts, random.Random(rng.getrandbits(64)), number)
