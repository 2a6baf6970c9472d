"""The main job against the sandbox's API, with ghosts: no root, no machines, every call seen."""
import json
import os
import signal
import subprocess
import time

import boto3
import pytest

from conftest import FLAMBE

ALIVE = ["pending", "running", "stopping", "stopped", "shutting-down"]


def ec2(box, service="ec2"):
    keys = [line.split("=", 1)[1].strip() for line in (box.dir / "aws" / "credentials").read_text().splitlines()
            if "=" in line]
    return boto3.client(service, region_name=box.env.get("AWS_REGION", "us-east-1"),
                        endpoint_url=box.env["AWS_ENDPOINT_URL"],
                        aws_access_key_id=keys[0], aws_secret_access_key=keys[1])


def alive(box):
    found = ec2(box).describe_instances(Filters=[{"Name": "instance-state-name", "Values": ALIVE}])
    return [i for r in found["Reservations"] for i in r["Instances"]]


def tags(thing):
    return {t["Key"]: t["Value"] for t in thing.get("Tags", [])}


def calls(box, since=0):
    return [r["action"] for r in box.requests()[since:]]


def hosts(box, name):
    return json.loads(box.flambe("status", name, "-o", "json", check=True).stdout)["hosts"]


def test_up_again_mend_down(ghosts):
    file = ghosts.cluster_file(name="mine", factories_num=2)
    up = ghosts.flambe(file, "-y")
    assert up.returncode == 0, up.stderr
    first = {h["instance_id"] for h in hosts(ghosts, "mine")}
    assert len(first) == 3
    assert {h["phase"] for h in hosts(ghosts, "mine")} <= {"ready", "running"}

    before = len(ghosts.requests())
    again = ghosts.flambe(file, "-y")
    assert again.returncode == 0, again.stderr
    assert calls(ghosts, before) == ["DescribeInstances"], "deciding that an up cluster is up is one call"
    assert {h["instance_id"] for h in hosts(ghosts, "mine")} == first

    victim = next(h for h in hosts(ghosts, "mine") if h["role"] == "Factory")
    ec2(ghosts).terminate_instances(InstanceIds=[victim["instance_id"]])
    before = len(ghosts.requests())
    mended = ghosts.flambe(file, "-y")
    assert mended.returncode == 0, mended.stderr
    assert calls(ghosts, before).count("RunInstances") == 1
    now = hosts(ghosts, "mine")
    assert len(now) == 3 and len({h["instance_id"] for h in now} & first) == 2
    assert sorted(h["name"] for h in now) == ["mine_factory_1", "mine_factory_2", "mine_orchestrator"]

    down = ghosts.flambe("down", "mine", "-y")
    assert down.returncode == 0, down.stderr
    assert alive(ghosts) == []
    assert ec2(ghosts).describe_volumes()["Volumes"] == []
    assert ec2(ghosts, "cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_what_each_instance_carries(ghosts):
    file = ghosts.cluster_file(name="tagged", factories_num=1, tags="{project: night, cost: '7'}")
    assert ghosts.flambe(file, "-y").returncode == 0
    machines = alive(ghosts)
    assert len(machines) == 2
    for machine in machines:
        have = tags(machine)
        assert have["Purpose"] == "flambe" and have["Cluster-Name"] == "tagged" and have["creator"]
        assert have["project"] == "night" and have["cost"] == "7"
        assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert {tags(m)["Name"] for m in machines} == {"tagged_orchestrator", "tagged_factory_1"}
    assert {tags(m)["Role"] for m in machines} == {"Orchestrator", "Factory"}
    volumes = ec2(ghosts).describe_volumes()["Volumes"]
    assert len(volumes) == 2
    for volume in volumes:
        assert volume["Encrypted"] and tags(volume)["Cluster-Name"] == "tagged"
    assert "CreateTags" not in calls(ghosts)
    for machine in machines:
        shutdown = ec2(ghosts).describe_instance_attribute(
            InstanceId=machine["InstanceId"], Attribute="instanceInitiatedShutdownBehavior")
        assert shutdown["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


@pytest.mark.parametrize("factories", [1, 20, 100])
def test_call_budget(ghosts, factories):
    """At most 9 calls besides polls, and besides CloudWatch's one a host."""
    file = ghosts.cluster_file(name="budget", factories_num=factories)
    assert ghosts.flambe(file, "-y").returncode == 0
    made = calls(ghosts)
    launched = len(made) - 1 - made[::-1].index("RunInstances")
    polls = sum(1 for action in made[launched:] if action == "DescribeInstances")
    rest = [a for a in made if a not in ("PutMetricAlarm", "GetProducts")]
    assert len(rest) - polls <= 9, rest
    assert "CreateTags" not in made
    assert made.count("PutMetricAlarm") <= factories + 1
    assert len(alive(ghosts)) == factories + 1


def test_a_plan_makes_nothing(ghosts):
    file = ghosts.cluster_file(name="paper", factories_num=3)
    plan = ghosts.flambe("plan", file)
    assert plan.returncode == 0, plan.stderr
    assert "RunInstances" not in calls(ghosts)
    assert "paper_factory_3" in plan.stdout or "3 factories" in plan.stdout
    assert json.loads(ghosts.flambe("plan", file, "-o", "json", check=True).stdout)["steps"]


def test_a_plan_says_all_that_the_launch_would_fail_for(ghosts):
    file = ghosts.cluster_file(name="paper", key_name="nobody", subnet_id="subnet-0123456789abcdef0",
                               key="/nowhere/else.pem")
    plan = ghosts.flambe("plan", file)
    assert plan.returncode == 1 and "paper_factory" in plan.stdout
    assert all(w in plan.stderr for w in ("'nobody'", "'subnet-0123456789abcdef0'", "/nowhere/else.pem"))
    done = ghosts.flambe("plan", file, "-o", "json")
    said = json.loads(done.stdout)
    assert done.returncode == 1 and len(said["problems"]) == 2 and said["steps"]
    assert said["error"]["exit_status"] == 1


def test_without_a_terminal_it_refuses(ghosts):
    file = ghosts.cluster_file(name="quiet")
    done = ghosts.flambe(file)
    assert done.returncode == 2 and "-y" in done.stderr
    assert "RunInstances" not in calls(ghosts)


def test_differences_are_said_and_nothing_is_replaced(ghosts):
    assert ghosts.flambe(ghosts.cluster_file(name="diff", factories_type="t3.small"), "-y").returncode == 0
    first = {m["InstanceId"] for m in alive(ghosts)}
    done = ghosts.flambe(ghosts.cluster_file(name="diff", factories_type="t3.large"), "-y")
    assert done.returncode == 0, done.stderr
    assert "factories_type" in done.stdout + done.stderr
    assert {m["InstanceId"] for m in alive(ghosts)} == first


def test_two_orchestrators_is_an_error_that_names_both(ghosts):
    assert ghosts.flambe(ghosts.cluster_file(name="twin", factories_num=1), "-y").returncode == 0
    one = next(m for m in alive(ghosts) if tags(m)["Role"] == "Orchestrator")
    made = ec2(ghosts).run_instances(
        ImageId=one["ImageId"], InstanceType=one["InstanceType"], MinCount=1, MaxCount=1,
        SubnetId=one["SubnetId"], KeyName=one["KeyName"],
        TagSpecifications=[{"ResourceType": "instance", "Tags": one["Tags"]}])
    other = made["Instances"][0]["InstanceId"]
    time.sleep(1)
    done = ghosts.flambe(ghosts.cluster_file(name="twin", factories_num=1), "-y")
    assert done.returncode == 1
    assert one["InstanceId"] in done.stderr and other in done.stderr
    there = ghosts.flambe("ssh", "twin", "--", "hostname")
    assert there.returncode == 2 and "'orchestrator' means 2" in there.stderr, there.stderr


@pytest.mark.parametrize("fault, changes, status, words", [
    (["capacity", "--action", "RunInstances", "--count", "99"], {}, 5, "capacity"),
    (["quota", "--action", "RunInstances", "--count", "99"], {}, 5, "vCPU"),
    (["unauthorized", "--action", "RunInstances", "--count", "99"], {}, 4, "RunInstances"),
    (["expired", "--count", "99"], {}, 4, "expired"),
    (None, {"key_name": "no-such-key"}, 1, "no-such-key"),
    (None, {"subnet_id": "subnet-0123456789abcdef0"}, 1, "subnet-0123456789abcdef0"),
    (None, {"security_group": "sg-0123456789abcdef0"}, 1, "sg-0123456789abcdef0"),
    (None, {"orchestrator_ami": "ami-0123456789abcdef0"}, 1, "ami-0123456789abcdef0"),
    (None, {"factories_type": "t3.smal"}, 1, "t3.smal"),
    (None, {"key": "/nowhere/else.pem"}, 2, "/nowhere/else.pem"),
])
def test_bad_input_makes_nothing(ghosts, fault, changes, status, words):
    file = ghosts.cluster_file(name="bad", **changes)
    if fault:
        ghosts.fault(*fault)
    done = ghosts.flambe(file, "-y")
    ghosts.control("fault", "clear")
    assert done.returncode in (status, 1) and done.returncode != 0, (done.returncode, done.stderr)
    if status != 1:
        assert done.returncode == status, done.stderr
    assert words.lower() in done.stderr.lower(), done.stderr
    assert alive(ghosts) == []


def test_a_wrong_clock_is_named_and_ridden_out(ghosts):
    ghosts.fault("skew=3600", "--count", "999")
    done = ghosts.flambe("status")
    assert done.returncode == 0, done.stderr
    assert "clock is 1 h 0 min behind AWS's" in done.stderr, done.stderr


def test_fewer_than_asked_is_an_error_that_says_what_was_kept(ghosts):
    ghosts.fault("partial=2", "--action", "RunInstances", "--type", "t3.medium", "--count", "1")
    file = ghosts.cluster_file(name="few", factories_num=4, factories_type="t3.medium",
                               orchestrator_type="t3.small")
    done = ghosts.flambe(file, "-y")
    assert done.returncode not in (0, 130), done.stderr
    assert "2" in done.stderr and "4" in done.stderr
    assert len(alive(ghosts)) == 3
    # 0.0208 for the orchestrator and 2 x 0.0416 that came: not three fifths of the whole
    assert "kept (about $0.10 an hour)" in done.stderr, done.stderr
    assert json.loads(ghosts.flambe("status", file, "-o", "json", check=True).stdout)["usd_per_hour"] == 0.104
    assert ghosts.flambe(file, "-y").returncode == 0
    assert len(alive(ghosts)) == 5


@pytest.mark.parametrize("fault", [
    ["throttle", "--count", "3"], ["error", "--count", "2"],
    ["drop-before", "--action", "RunInstances", "--count", "1"],
    ["drop-after", "--action", "RunInstances", "--count", "2"],
    ["drop-after", "--action", "DescribeInstances", "--count", "2"],
    ["late-address=1", "--count", "3"]])
def test_weather_is_ridden_out(ghosts, fault):
    ghosts.fault(*fault)
    file = ghosts.cluster_file(name="weather", factories_num=3)
    done = ghosts.flambe(file, "-y")
    assert done.returncode == 0, done.stderr
    assert len(alive(ghosts)) == 4


def test_no_credentials_and_no_endpoint(ghosts):
    file = ghosts.cluster_file(name="nobody")
    env = dict(ghosts.env, AWS_SHARED_CREDENTIALS_FILE="/nowhere", AWS_CONFIG_FILE="/nowhere")
    done = subprocess.run([FLAMBE, str(file), "-y"], env=env, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 4 and "credentials" in done.stderr
    env = dict(ghosts.env, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="2")
    done = subprocess.run([FLAMBE, str(file), "-y"], env=env, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 6 and "127.0.0.1:9" in done.stderr
    assert "try: flambe-sandbox start" in done.stderr, done.stderr
    done = ghosts.flambe("status", "--region", "us-west-2")
    assert done.returncode == 4 and "is not an endpoint of us-west-2" in done.stderr, done.stderr


def start_and_stop(box, file, sig, when, seconds=30):
    """Starts an `up`, ends it by a signal once `when()` is true."""
    child = subprocess.Popen([FLAMBE, str(file), "-y"], env=box.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + seconds
    while not when() and child.poll() is None and time.monotonic() < limit:
        time.sleep(0.02)
    child.send_signal(sig)
    out, err = child.communicate(timeout=60)
    return child.returncode, out + err


@pytest.mark.parametrize("where", ["hold-before", "hold-after"])
@pytest.mark.parametrize("action, skip", [
    ("DescribeInstances", 0), ("RunInstances", 0), ("RunInstances", 1), ("DescribeInstances", 1),
    ("DescribeInstances", 2), ("PutMetricAlarm", 0), ("PutMetricAlarm", 1), ("DescribeImages", 0)])
def test_killed_between_any_two_calls(ghosts, where, action, skip):
    file = ghosts.cluster_file(name="killed", factories_num=2, orchestrator_timeout=5, factories_timeout=5)
    ghosts.fault(f"{where}=30", "--action", action, "--skip", str(skip), "--count", "1")

    def held():
        return "held" in ghosts.control("fault", "list").stdout
    start_and_stop(ghosts, file, signal.SIGKILL, held)
    ghosts.control("release", check=False)
    ghosts.control("fault", "clear")
    again = ghosts.flambe(file, "-y")
    assert again.returncode == 0, again.stderr
    roles = sorted(tags(m)["Role"] for m in alive(ghosts))
    assert roles == ["Factory", "Factory", "Orchestrator"], "nothing double, nothing missing"
    assert ghosts.flambe("down", file, "-y").returncode == 0
    assert alive(ghosts) == []
    assert ec2(ghosts, "cloudwatch").describe_alarms()["MetricAlarms"] == []


@pytest.mark.parametrize("where", ["hold-before", "hold-after"])
def test_killed_then_taken_down_at_once(ghosts, where):
    file = ghosts.cluster_file(name="gone", factories_num=2)
    ghosts.fault(f"{where}=30", "--action", "RunInstances", "--skip", "1", "--count", "1")
    start_and_stop(ghosts, file, signal.SIGKILL,
                   lambda: "held" in ghosts.control("fault", "list").stdout)
    ghosts.control("release", check=False)
    ghosts.control("fault", "clear")
    assert ghosts.flambe("down", file, "-y").returncode == 0
    assert alive(ghosts) == []


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_what_the_next_run_completes(ghosts, sig):
    file = ghosts.cluster_file(name="stopped", factories_num=2)
    status, text = start_and_stop(ghosts, file, sig, lambda: "RunInstances" in calls(ghosts))
    assert status == 130 or status == 0, text
    assert ghosts.flambe(file, "-y").returncode == 0
    assert len(alive(ghosts)) == 3
    assert ghosts.flambe("down", file, "-y").returncode == 0
    assert alive(ghosts) == []


def test_exec_is_honest(ghosts):
    file = ghosts.cluster_file(name="work", factories_num=2)
    assert ghosts.flambe(file, "-y").returncode == 0
    done = ghosts.flambe("exec", "work", "--", "echo", "hello")
    assert done.returncode == 0 and done.stdout.count("hello") == 3
    assert ghosts.flambe("exec", "work", "--", "false").returncode == 1
    assert ghosts.flambe("exec", "work", "--", "exit 7").returncode == 7
    assert ghosts.flambe("exec", "work", "--on", "orchestrator", "--", "true").returncode == 0


def test_a_foreign_host_key_stops_loudly(ghosts):
    ghosts.fault("foreign-host-key", "--type", "t3.medium", "--count", "1")
    file = ghosts.cluster_file(name="foreign", factories_num=1, factories_type="t3.medium",
                               orchestrator_type="t3.small")
    done = ghosts.flambe(file, "-y")
    assert done.returncode == 6, done.stderr
    assert "host key" in done.stderr.lower()
    foreign = next(m for m in alive(ghosts) if tags(m)["Role"] == "Factory")["InstanceId"]
    assert f"terminate-instances --region us-east-1 --instance-ids {foreign}" in done.stderr


def test_two_runs_at_once_do_not_double(ghosts):
    file = ghosts.cluster_file(name="race", factories_num=2)
    children = [subprocess.Popen([FLAMBE, str(file), "-y"], env=ghosts.env, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for _ in range(2)]
    ends = [child.communicate(timeout=90) + (child.returncode,) for child in children]
    assert any(end[2] == 0 for end in ends), ends
    assert len(alive(ghosts)) == 3


def test_secrets_stay_out_of_sight(ghosts):
    file = ghosts.cluster_file(name="secret", factories_num=1)
    up = ghosts.flambe(file, "-y", "-v", "-v")
    assert up.returncode == 0
    secret = [line.split("=", 1)[1].strip() for line in (ghosts.dir / "aws" / "credentials").read_text().splitlines()
              if "secret" in line][0]
    assert secret not in up.stdout + up.stderr
    for path in ghosts.home.rglob("*"):
        if path.is_file() and path.suffix in (".jsonl", ".json", ".log") and "sandbox" not in path.parts:
            assert secret not in path.read_text(errors="replace"), path
            assert "PRIVATE KEY" not in path.read_text(errors="replace"), path
            assert path.stat().st_mode & 0o077 == 0 or path.name == "prices.json", path
