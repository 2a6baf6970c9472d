"""What `up` and `down` make of half-done launches, on ghosts: everything between a call and its effect."""
import json
import signal
import subprocess
import time

import pytest

from conftest import FLAMBE
from test_cluster_ghosts import alive, calls, ec2, hosts, tags


def names(box):
    return sorted(h["name"] for h in hosts(box, "mine"))


def test_without_an_orchestrator_the_factories_go_again(ghosts):
    """They came a moment before, and EC2 does not yet know the ids that it gave."""
    ghosts.control("set", "visible-after", "1.5")
    ghosts.fault("capacity", "--action", "RunInstances", "--type", "t3.large", "--count", "9")
    file = ghosts.cluster_file(name="mine", factories_num=2, orchestrator_type="t3.large")
    done = ghosts.flambe(file, "-y")
    assert done.returncode == 5, done.stderr
    assert "no orchestrator" in done.stderr and "ended again" in done.stderr
    time.sleep(2)
    assert alive(ghosts) == []
    ghosts.control("fault", "clear")
    assert ghosts.flambe(file, "-y").returncode == 0
    assert names(ghosts) == ["mine_factory_1", "mine_factory_2", "mine_orchestrator"]


@pytest.mark.parametrize("then", ["up", "down"])
def test_killed_while_ec2_does_not_show_what_it_launched(ghosts, then):
    ghosts.control("set", "visible-after", "3")
    file = ghosts.cluster_file(name="mine", factories_num=2)
    child = subprocess.Popen([FLAMBE, str(file), "-y"], env=ghosts.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 20
    while calls(ghosts).count("RunInstances") < 2 and time.monotonic() < limit:
        time.sleep(0.02)
    time.sleep(0.3)
    child.send_signal(signal.SIGKILL)
    child.wait()
    if then == "up":
        done = ghosts.flambe(file, "-y")
        assert done.returncode == 0, done.stderr
        assert len(alive(ghosts)) == 3
    assert ghosts.flambe("down", file, "-y").returncode == 0
    time.sleep(4 if then == "down" else 0)
    assert alive(ghosts) == []


def test_ctrl_c_does_not_wait_for_ever_for_a_launch(ghosts):
    ghosts.fault("hold-before=60", "--action", "RunInstances", "--count", "1")
    file = ghosts.cluster_file(name="mine", factories_num=2)
    child = subprocess.Popen([FLAMBE, str(file), "-y"], env=ghosts.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    limit = time.monotonic() + 20
    while "held" not in ghosts.control("fault", "list").stdout and time.monotonic() < limit:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, _ = child.communicate(timeout=30)
    assert child.returncode == 130, out
    assert time.monotonic() - began < 15
    ghosts.control("release", check=False)
    again = ghosts.flambe(file, "-y")
    assert again.returncode == 0, again.stderr
    assert len(alive(ghosts)) == 3, "the launch that was under way is asked for again, not made twice"


def test_stopped_hosts_are_started_and_nothing_is_launched(ghosts):
    file = ghosts.cluster_file(name="mine", factories_num=2)
    assert ghosts.flambe(file, "-y").returncode == 0
    ids = [h["instance_id"] for h in hosts(ghosts, "mine")]
    ec2(ghosts).stop_instances(InstanceIds=ids[1:])
    before = len(ghosts.requests())
    done = ghosts.flambe(file, "-y")  # while they are still stopping
    assert done.returncode == 0, done.stderr
    made = calls(ghosts, before)
    assert "RunInstances" not in made and "StartInstances" in made
    assert sorted(h["instance_id"] for h in hosts(ghosts, "mine")) == sorted(ids)


def test_alarms_are_made_kept_renewed_and_removed(ghosts):
    def alarms():
        return ec2(ghosts, "cloudwatch").describe_alarms()["MetricAlarms"]
    file = ghosts.cluster_file(name="mine", factories_num=2, orchestrator_timeout=30, factories_timeout=1)
    assert ghosts.flambe(file, "-y").returncode == 0
    assert len(alarms()) == 3
    by_host = {a["Dimensions"][0]["Value"]: a for a in alarms()}
    for machine in alive(ghosts):
        alarm = by_host[machine["InstanceId"]]
        first = tags(machine)["Role"] == "Orchestrator"
        assert alarm["Threshold"] == (4.0 if first else 0.5)
        assert alarm["Period"] * alarm["EvaluationPeriods"] == (30 if first else 1) * 3600
        assert alarm["AlarmActions"] == ["arn:aws:automate:us-east-1:ec2:terminate"]
    before = len(ghosts.requests())
    assert ghosts.flambe(file, "-y").returncode == 0
    assert "PutMetricAlarm" not in calls(ghosts, before)
    changed = ghosts.cluster_file(name="mine", factories_num=2, orchestrator_timeout=-1, factories_timeout=2)
    assert ghosts.flambe(changed, "-y").returncode == 0
    assert sorted(a["EvaluationPeriods"] for a in alarms()) == [24, 24], "the orchestrator's went"
    assert ghosts.flambe("down", file, "-y").returncode == 0
    assert alarms() == []


def test_a_plan_of_json_counts(ghosts):
    file = ghosts.cluster_file(name="mine", factories_num=2)
    assert ghosts.flambe(file, "-y").returncode == 0
    plan = json.loads(ghosts.flambe("plan", file, "-o", "json", check=True).stdout)
    assert (plan["alive"], plan["missing"], plan["extra"]) == (3, 0, 0)
    assert [s["action"] for s in plan["steps"]] == ["keep"] * 3
