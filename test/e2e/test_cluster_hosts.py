"""The main job on real hosts: systemd, cloud-init, OpenSSH. Needs root and LXC."""
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import FLAMBE, make_sandbox, needs_root
from test_cluster_ghosts import alive, ec2, hosts, tags

READY = {"ready", "running"}


@pytest.fixture(scope="module")
def cluster(booted):
    """1 + 2 booted hosts, up; the tests below share it in order."""
    file = booted.cluster_file(name="real", factories_num=2, factories_type="t3.small",
                               orchestrator_type="t3.small",
                               setup_cmds="['echo set-up-was-here', 'echo done > $HOME/marker']")
    up = booted.flambe(file, "-y")
    assert up.returncode == 0, up.stdout + up.stderr
    booted.file = file
    return booted


def on(box, where, *command, check=True):
    done = box.flambe("exec", "real", "--on", where, "--", *command)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_every_host_answers(cluster):
    done = cluster.flambe("exec", "real", "--", "hostname")
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.split("\n"))) >= 3
    assert {h["phase"] for h in hosts(cluster, "real")} <= READY


def test_set_up_ran_once_and_its_output_is_kept(cluster):
    assert on(cluster, "factories", "cat marker").stdout.count("done") == 2
    logs = list(cluster.home.glob("state/flambe/clusters/*/*/real/setup/*.log"))
    assert len(logs) == 3 and all("set-up-was-here" in log.read_text() for log in logs)


def test_the_dead_man_is_disarmed_when_ready(cluster):
    out = on(cluster, "orchestrator", "systemctl list-timers --all --no-legend; test -e /var/lib/flambe/ready")
    assert "flambe-deadman" not in out.stdout


def test_the_injected_host_key_is_gone(cluster):
    """What user data brought is served nowhere; what is served is what was pinned."""
    for machine in alive(cluster):
        data = ec2(cluster).describe_instance_attribute(InstanceId=machine["InstanceId"], Attribute="userData")
        text = base64.b64decode(data["UserData"]["Value"]).decode()
        injected = [word for word in text.replace('"', " ").split() if word.startswith("AAAAC3NzaC1lZDI1NTE5")]
        assert injected, "user data brings the first host key"
        served = subprocess.run(["ssh-keyscan", "-T", "5", machine["PublicIpAddress"]], capture_output=True,
                                text=True, timeout=120).stdout
        assert "AAAAC3NzaC1lZDI1NTE5" in served
        assert injected[0] not in served
        pins = "".join(p.read_text() for p in cluster.home.glob("state/flambe/clusters/*/*/real/known_hosts"))
        shown = [line.split()[2] for line in served.splitlines() if line and not line.startswith("#")]
        assert any(f"{machine['InstanceId']} ssh-ed25519 {key}" in pins for key in shown), pins


def test_the_orchestrator_reaches_the_factories(cluster):
    private = [m["PrivateIpAddress"] for m in alive(cluster) if tags(m)["Role"] == "Factory"]
    for address in private:
        out = on(cluster, "orchestrator", f"ssh -o BatchMode=yes {address} hostname")
        assert out.stdout.strip()
    names = on(cluster, "orchestrator", "ssh -o BatchMode=yes real_factory_1 hostname", check=False)
    assert names.returncode == 0, names.stderr


def test_ssh_and_cp_use_the_users_own_programs(cluster, tmp_path):
    done = cluster.flambe("ssh", "real", "factory_1", "--", "echo", "through-ssh")
    assert done.returncode == 0 and "through-ssh" in done.stdout, done.stderr
    (tmp_path / "a file").write_bytes(os.urandom(100000))
    up = cluster.flambe("cp", tmp_path / "a file", "real:carried")
    assert up.returncode == 0, up.stderr
    back = cluster.flambe("cp", "real/orchestrator:carried", tmp_path / "back")
    assert back.returncode == 0, back.stderr
    assert (tmp_path / "back").read_bytes() == (tmp_path / "a file").read_bytes()


def test_exit_status_and_streams_are_honest(cluster):
    done = cluster.flambe("exec", "real", "--", "echo out; echo err >&2; exit 3")
    assert done.returncode == 3
    assert done.stdout.count("out") == 3 and done.stderr.count("err") >= 3
    killed = cluster.flambe("exec", "real", "--on", "orchestrator", "--", "kill -9 $$")
    assert killed.returncode not in (0, 3)


def test_volume_memory_and_metadata(cluster):
    out = on(cluster, "orchestrator", "curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/")
    assert "401" in out.stdout, "IMDSv2 is required"
    out = on(cluster, "orchestrator",
             "T=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token);"
             "curl -s -H \"X-aws-ec2-metadata-token: $T\" http://169.254.169.254/latest/meta-data/instance-type")
    assert "t3.small" in out.stdout


def test_a_partitioned_host_is_unreachable_and_named(cluster):
    victim = next(h for h in hosts(cluster, "real") if h["name"] == "real_factory_2")
    cluster.control("partition", victim["instance_id"])
    done = cluster.flambe("exec", "real", "--", "true")
    cluster.control("thaw", victim["instance_id"], check=False)
    cluster.control("partition", victim["instance_id"], "--off", check=False)
    assert done.returncode == 6 and "factory_2" in done.stderr, done.stderr


def test_a_dead_host_is_mended_alone(cluster):
    before = {m["InstanceId"] for m in alive(cluster)}
    victim = next(h for h in hosts(cluster, "real") if h["name"] == "real_factory_1")
    cluster.control("kill", victim["instance_id"])
    time.sleep(1)
    done = cluster.flambe(cluster.file, "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    after = {m["InstanceId"] for m in alive(cluster)}
    assert len(after) == 3 and len(before & after) == 2 and victim["instance_id"] not in after
    assert cluster.flambe("exec", "real", "--", "true").returncode == 0


def test_a_shutdown_from_inside_terminates(cluster):
    victim = next(h for h in hosts(cluster, "real") if h["name"] == "real_factory_2")
    on(cluster, "factory_2", "sudo -n systemctl poweroff", check=False)
    limit = time.monotonic() + 120
    while victim["instance_id"] in {m["InstanceId"] for m in alive(cluster)}:
        assert time.monotonic() < limit
        time.sleep(0.3)
    assert cluster.flambe(cluster.file, "-y").returncode == 0
    assert len(alive(cluster)) == 3


def test_a_failing_set_up_line_is_shown(cluster):
    file = cluster.cluster_file(name="broken", factories_num=0, orchestrator_type="t3.small",
                                setup_cmds="['echo fine', 'ls /no/such/place', 'echo never']")
    done = cluster.flambe(file, "-y")
    assert done.returncode != 0
    assert "ls /no/such/place" in done.stderr and "No such file" in done.stderr
    assert "never" not in "".join(p.read_text() for p in cluster.home.glob("state/flambe/clusters/*/*/broken/setup/*"))
    machine = next(m for m in alive(cluster) if tags(m)["Cluster-Name"] == "broken")
    # Nobody finished its set-up, so the dead-man is still armed; fire it now instead of in minutes.
    armed = cluster.flambe("exec", "broken", "--", "systemctl list-timers --all --no-legend")
    assert "flambe-deadman" in armed.stdout, armed.stdout + armed.stderr
    cluster.flambe("exec", "broken", "--", "sudo -n systemctl start --no-block flambe-deadman.service")
    limit = time.monotonic() + 120
    while machine["InstanceId"] in {m["InstanceId"] for m in alive(cluster)}:
        assert time.monotonic() < limit, "the dead-man powers the host off, which terminates it"
        time.sleep(0.3)


def test_killed_at_first_contact_then_completed(cluster):
    file = cluster.cluster_file(name="cut", factories_num=1, orchestrator_type="t3.small",
                                factories_type="t3.small", setup_cmds="['sleep 2']")
    for delay in (1.2, 2.0, 2.8):
        child = subprocess.Popen([FLAMBE, str(file), "-y"], env=cluster.env, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.wait()
    done = cluster.flambe(file, "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len([m for m in alive(cluster) if tags(m)["Cluster-Name"] == "cut"]) == 2
    assert cluster.flambe("down", "cut", "-y").returncode == 0


def test_a_laptop_without_pins_learns_them_from_the_console(cluster, tmp_path):
    for path in cluster.home.glob("state/flambe/clusters/*/*/real/known_hosts"):
        path.rename(tmp_path / "known_hosts")
    done = cluster.flambe("exec", "real", "--", "true")
    assert done.returncode == 0, done.stderr
    assert list(cluster.home.glob("state/flambe/clusters/*/*/real/known_hosts"))


def test_down_leaves_nothing(cluster):
    done = cluster.flambe("down", "real", "-y")
    assert done.returncode == 0, done.stderr
    assert [m for m in alive(cluster) if tags(m).get("Cluster-Name") == "real"] == []
    assert not list(cluster.home.glob("state/flambe/clusters/*/*/real/journal.jsonl")) or \
        "PRIVATE" not in "".join(p.read_text() for p in cluster.home.glob("state/**/journal.jsonl"))


def test_a_foreign_host_key_and_a_host_that_never_boots(light):
    light.fault("foreign-host-key", "--type", "t3.medium", "--count", "1")
    file = light.cluster_file(name="foreign", factories_num=1, factories_type="t3.medium",
                              orchestrator_type="t3.small")
    done = light.flambe(file, "-y")
    assert done.returncode == 6 and "host key" in done.stderr.lower(), done.stderr
    assert light.flambe("down", "foreign", "-y").returncode == 0


def test_twenty_light_hosts(light):
    file = light.cluster_file(name="twenty", factories_num=20, factories_type="t3.nano",
                              orchestrator_type="t3.nano")
    done = light.flambe(file, "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    out = light.flambe("exec", "twenty", "--", "hostname")
    assert out.returncode == 0 and len(out.stdout.strip().splitlines()) == 21
    assert light.flambe("down", "twenty", "-y").returncode == 0
    assert alive(light) == []


def test_a_stopped_sandbox_leaves_no_network(light):
    """Links, routes and namespaces go with `stop`; the hosts and their disks come back with `start`."""
    bridge = light.options[light.options.index("--bridge") + 1]

    def traces():
        text = ""
        for command in (["ip", "link"], ["ip", "route"], ["ip", "netns"]):
            text += subprocess.run(command, capture_output=True, text=True).stdout
        return [line for line in text.splitlines() if re.search(rf"\b{bridge}\b", line)]
    file = light.cluster_file(name="slept", factories_num=1, factories_type="t3.nano",
                              orchestrator_type="t3.nano")
    assert light.flambe(file, "-y").returncode == 0
    assert light.flambe("exec", "slept", "--", "echo kept > marker").returncode == 0
    assert traces()
    light.stop()
    assert traces() == []
    light.start()
    done = light.flambe(file, "-y")
    assert done.returncode == 0, done.stderr
    assert light.flambe("exec", "slept", "--", "cat marker").stdout.count("kept") == 2
    assert light.flambe("down", "slept", "-y").returncode == 0


def test_a_bridge_whose_sandbox_was_removed_is_taken_over():
    """`rm -rf` of a sandbox's directory must not take its bridge's name away for ever."""
    needs_root()
    first = make_sandbox("light")
    first.start()
    pid = json.loads((first.dir / "control.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    second = make_sandbox("light")
    second.options = first.options
    time.sleep(0.3)
    refused = second.control("start", "--hosts", "light", *second.options, check=False)
    assert refused.returncode == 1 and "--bridge" in refused.stderr
    shutil.rmtree(first.home)
    try:
        second.start()
    finally:
        second.destroy()
        shutil.rmtree(second.home, ignore_errors=True)
