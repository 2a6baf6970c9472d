"""What a laptop cannot know for sure: launches without an answer, and what the next run makes of them."""
import fcntl
import signal
import subprocess
import time

import pytest

from conftest import FLAMBE
from test_cluster_ghosts import alive, calls, ec2, hosts, start_and_stop, tags


def held(box):
    return lambda: "held" in box.control("fault", "list").stdout


def test_machines_of_one_launch_keep_their_numbers(ghosts):
    file = ghosts.cluster_file(name="mine", factories_num=4)
    assert ghosts.flambe(file, "-y").returncode == 0
    before = {h["name"]: h["instance_id"] for h in hosts(ghosts, "mine")}
    by_id = {m["InstanceId"]: m for m in alive(ghosts)}
    for number in range(1, 5):
        assert by_id[before[f"mine_factory_{number}"]]["AmiLaunchIndex"] == number - 1
    ec2(ghosts).terminate_instances(InstanceIds=[before["mine_factory_2"]])
    left = {h["name"]: h["instance_id"] for h in hosts(ghosts, "mine") if h["state"] == "running"}
    del before["mine_factory_2"]
    assert left == before, "the others are not renumbered"
    assert ghosts.flambe(file, "-y").returncode == 0
    after = {h["name"]: h["instance_id"] for h in hosts(ghosts, "mine") if h["state"] == "running"}
    new = after.pop("mine_factory_2")
    assert new not in by_id and after == before


@pytest.mark.parametrize("then", ["unauthorized", "expired"])
def test_a_no_after_a_dropped_answer_is_no_no(ghosts, then):
    """The first try made the machines, its answer was lost, and the second try was refused."""
    ghosts.control("set", "visible-after", "1.5")
    for kind in ("t3.medium", "t3.small"):
        ghosts.fault("drop-after", "--action", "RunInstances", "--type", kind, "--count", "1")
        ghosts.fault(then, "--action", "RunInstances", "--type", kind, "--skip", "1", "--count", "1")
    file = ghosts.cluster_file(name="mine", factories_num=2, factories_type="t3.medium",
                               orchestrator_type="t3.small")
    done = ghosts.flambe(file, "-y")
    assert done.returncode not in (0, 130), done.stderr
    ghosts.control("fault", "clear")
    before = len(ghosts.requests())
    again = ghosts.flambe(file, "-y")
    assert again.returncode == 0, again.stderr
    assert "GetConsoleOutput" not in calls(ghosts, before), "their keys were not forgotten"
    assert sorted(tags(m)["Role"] for m in alive(ghosts)) == ["Factory", "Factory", "Orchestrator"]
    assert ghosts.flambe("down", file, "-y").returncode == 0
    assert alive(ghosts) == []


def test_a_no_to_a_replay_is_no_no(ghosts):
    ghosts.control("set", "visible-after", "2")
    ghosts.fault("hold-after=30", "--action", "RunInstances", "--count", "2")
    file = ghosts.cluster_file(name="mine", factories_num=2)
    start_and_stop(ghosts, file, signal.SIGKILL, held(ghosts))
    ghosts.control("release", check=False)
    ghosts.control("fault", "clear")
    ghosts.fault("unauthorized", "--action", "RunInstances", "--count", "2")
    again = ghosts.flambe(file, "-y")
    assert again.returncode == 0, again.stderr
    assert sorted(tags(m)["Role"] for m in alive(ghosts)) == ["Factory", "Factory", "Orchestrator"]


def test_down_waits_for_a_launch_that_shows_late(ghosts):
    """EC2 shows the machines only seconds after `down` has looked for the first time."""
    ghosts.control("set", "visible-after", "6")
    ghosts.fault("hold-after=30", "--action", "RunInstances", "--count", "2")
    file = ghosts.cluster_file(name="mine", factories_num=2)
    start_and_stop(ghosts, file, signal.SIGKILL, held(ghosts))
    ghosts.control("release", check=False)
    ghosts.control("fault", "clear")
    down = ghosts.flambe("down", file, "-y")
    assert down.returncode == 0, down.stderr
    time.sleep(6)
    assert alive(ghosts) == []


def test_without_a_yes_nothing_is_launched_again(ghosts):
    ghosts.fault("hold-before=30", "--action", "RunInstances", "--count", "2")
    file = ghosts.cluster_file(name="mine", factories_num=2)
    start_and_stop(ghosts, file, signal.SIGKILL, held(ghosts))
    ghosts.control("fault", "clear")
    ghosts.stop()  # the launches that hang never had an effect
    ghosts.start()
    before = len(ghosts.requests())
    for argv in ([str(file)], ["plan", str(file)], ["status", str(file)]):
        subprocess.run([FLAMBE, *argv], env=ghosts.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert "RunInstances" not in calls(ghosts, before)
    assert alive(ghosts) == []


def test_keys_from_the_console_do_not_overwrite_those_of_a_run_at_work(ghosts):
    file = ghosts.cluster_file(name="mine", factories_num=1)
    assert ghosts.flambe(file, "-y").returncode == 0
    known = next(ghosts.home.glob("state/flambe/clusters/*/*/mine/known_hosts"))
    known.unlink()
    with open(known.with_name("lock"), "r+") as lock:  # as an `up` that is at work holds it
        fcntl.lockf(lock, fcntl.LOCK_EX)
        assert ghosts.flambe("exec", "mine", "--", "true").returncode == 0
        assert not known.exists()
    assert ghosts.flambe("exec", "mine", "--", "true").returncode == 0
    assert len(known.read_text().splitlines()) >= 2


def test_machines_without_a_creator_are_not_said_to_be_gone(ghosts):
    """Somebody made them with the same tags, but for one: flambe would look past them."""
    assert ghosts.flambe(ghosts.cluster_file(name="mine", factories_num=0, factories_timeout=-1), "-y").returncode == 0
    one = alive(ghosts)[0]
    ec2(ghosts).run_instances(
        ImageId=one["ImageId"], InstanceType="t3.small", MinCount=1, MaxCount=1, SubnetId=one["SubnetId"],
        KeyName=one["KeyName"], TagSpecifications=[{"ResourceType": "instance", "Tags": [
            {"Key": "Purpose", "Value": "flambe"}, {"Key": "Cluster-Name", "Value": "other"}]}])
    time.sleep(0.5)
    for argv in (["down", "other", "-y"], ["status", "other"], ["exec", "other", "--", "true"]):
        done = ghosts.flambe(*argv)
        assert done.returncode == 1 and "no creator tag" in done.stderr, (argv, done.stdout, done.stderr)
    assert len(alive(ghosts)) == 2
