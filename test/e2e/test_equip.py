"""Hosts that are equipped for experiments: Slurm, the shared tree, flambe-node. Needs root and LXC."""
import re
import subprocess
import time

import pytest

from conftest import FLAMBE
from test_cluster_ghosts import alive, hosts

NAME = "eq"
NODE = """#!/bin/sh
# Stands in for flambe-node: what is tested is its way to the hosts.
case $1 in
--version) echo flambe-node {version} ;;
unit) printf '[Unit]\\nConditionPathExists=/etc/flambe/node.json\\n[Service]\\n'
    printf 'ExecStart=/opt/flambe/bin/flambe-node watch\\n[Install]\\nWantedBy=multi-user.target\\n' ;;
watch) exec sleep infinity ;;
esac
"""


@pytest.fixture(scope="module")
def cluster(booted):
    """1 + 2 booted hosts, equipped; the tests below share it in order."""
    booted.node = booted.home / "flambe-node"
    booted.node.write_text(NODE.format(version=1))
    booted.node.chmod(0o755)
    booted.env["FLAMBE_NODE"] = str(booted.node)
    booted.files = {n: booted.cluster_file(name=NAME, factories_num=n, factories_type="t3.small",
                                           orchestrator_type="t3.small") for n in (2, 3)}
    start = time.monotonic()
    done = booted.flambe(booted.files[2], "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"1 + 2 hosts up and equipped: {time.monotonic() - start:.1f} s")
    return booted


def on(box, where, command, check=True, name=NAME):
    done = box.flambe("exec", name, "--on", where, "--", command)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return re.sub(r"(?m)^[a-z_0-9]+: ", "", done.stdout)


def first(box, command, **more):
    return on(box, "orchestrator", command, **more)


def up(box, factories=2):
    start = time.monotonic()
    done = box.flambe(box.files[factories], "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    return done, time.monotonic() - start


def states(box):
    return dict(line.split() for line in first(box, "sinfo -hN -o '%N %T'").splitlines())


def starts(box, where, unit):
    """When the unit was started: it changes when it is started again."""
    return sorted(on(box, where, f"systemctl show -p ActiveEnterTimestampMonotonic {unit}").splitlines())


def test_jobs_run_on_both_factories(cluster):
    out = first(cluster, "timeout 60 srun -N2 hostname").split()
    assert len(set(out)) == 2
    ended = first(cluster, "cat /var/lib/flambe/slurm/jobcomp.log")
    assert "JobState=COMPLETED" in ended and "NodeList=factory_[1-2]" in ended


def test_the_tree_is_one_and_the_login_users(cluster):
    on(cluster, "factory_1", "echo from-one > /srv/flambe/results/x")
    assert on(cluster, "factory_2", "cat /srv/flambe/results/x").split() == ["from-one"]
    assert first(cluster, "rm /srv/flambe/results/x; stat -c '%U %a' /srv/flambe /srv/flambe/results"
                          " /srv/flambe/engine /var/lib/flambe/files /var/lib/flambe/queue"
                          " /var/lib/flambe/secrets").split("\n")[:6] == [
        "ubuntu 755", "ubuntu 755", "ubuntu 755", "ubuntu 755", "ubuntu 700", "ubuntu 700"]


def test_the_munge_key_is_nobodys_to_read(cluster):
    out = cluster.flambe("exec", NAME, "--", "sudo -n stat -c '%U %a %s' /etc/munge/munge.key;"
                                             "cat /etc/munge/munge.key").stdout
    assert out.count("munge 400 1024") == 3
    keys = cluster.flambe("exec", NAME, "--", "sudo -n sha256sum /etc/munge/munge.key").stdout
    assert len(set(re.findall(r"\b[0-9a-f]{64}\b", keys))) == 1
    key = first(cluster, "sudo -n base64 -w0 /etc/munge/munge.key").strip()
    logs = cluster.flambe("exec", NAME, "--", "sudo -n journalctl --no-pager -o cat").stdout
    assert "flambe-equip" in logs and key[:40] not in logs
    for path in cluster.home.glob("state/**/*"):
        assert not path.is_file() or key[:40].encode() not in path.read_bytes()


def test_flambe_node_is_everywhere_and_runs(cluster):
    out = cluster.flambe("exec", NAME, "--", "/opt/flambe/bin/flambe --version;"
                                             "systemctl is-active flambe-node;"
                                             "systemctl is-enabled flambe-node munge srv-flambe.mount").stdout
    assert out.count("flambe-node 1") == 3 and len(re.findall(r"\bactive\b", out)) == 3
    assert len(re.findall(r"\benabled\b", out)) == 9
    node = first(cluster, "cat /etc/flambe/node.json")
    assert '"role": "orchestrator"' in node and '"engine": "slurm"' in node and '"factory_2"' in node


def test_user_data_is_what_cloud_init_takes(cluster):
    out = cluster.flambe("exec", NAME, "--", "sudo -n cloud-init schema --system; cloud-init status")
    assert out.stdout.count("Valid cloud-config") == 3 and out.stdout.count("status: done") == 3, out.stdout


def test_hosts_say_that_they_are_well(cluster):
    out = cluster.flambe("exec", NAME, "--", "systemctl is-system-running --wait; cat /var/lib/flambe/packages")
    assert out.stdout.count("running") == 3 and out.stdout.count("ok") == 3, out.stdout


def test_tensorboard_listens_to_the_host_alone(cluster):
    if first(cluster, "cat /var/lib/flambe/tensorboard; true").strip() != "ok":
        pytest.skip("no package index when the image was made")
    limit = time.monotonic() + 60
    while "200" not in first(cluster, "curl -so /dev/null -w '%{http_code}' http://127.0.0.1:49558/ || true"):
        assert time.monotonic() < limit
        time.sleep(0.5)
    assert "127.0.0.1:49558" in first(cluster, "ss -Hltn sport = :49558")


def test_a_second_run_changes_nothing(cluster):
    before = {u: starts(cluster, w, u) for w, u in [("orchestrator", "slurmctld"), ("factories", "slurmd")]}
    done, took = up(cluster)
    print(f"a second run: {took:.2f} s")
    assert "equipping" not in done.stderr
    assert {u: starts(cluster, w, u) for w, u in [("orchestrator", "slurmctld"),
                                                  ("factories", "slurmd")]} == before


def test_an_array_of_a_hundred(cluster):
    start = time.monotonic()
    first(cluster, "cd /srv/flambe/results && sbatch --no-requeue -a 1-100 -o /dev/null --wrap"
                   " 'hostname >> ran.$SLURM_ARRAY_TASK_ID'; for i in $(seq 600); do"
                   " [ \"$(squeue -h)\" ] || break; sleep 0.1; done")
    print(f"an array of 100: {time.monotonic() - start:.1f} s")
    assert first(cluster, "ls /srv/flambe/results/ran.* | wc -l; rm /srv/flambe/results/ran.*").split() == ["100"]


def test_a_new_program_replaces_the_old_one(cluster):
    cluster.node.write_text(NODE.format(version=2))
    up(cluster)
    out = cluster.flambe("exec", NAME, "--", "/opt/flambe/bin/flambe-node --version").stdout
    assert out.count("flambe-node 2") == 3


def test_one_that_cannot_run_there_changes_nothing_and_is_named(cluster):
    good = cluster.node.read_text()
    cluster.node.write_text("#!/no/such/loader\n")
    done, _ = up(cluster)
    assert "flambe-node cannot run on eq_orchestrator" in done.stderr
    out = first(cluster, "/opt/flambe/bin/flambe-node --version")
    assert "flambe-node 2" in out
    cluster.node.write_text(good)
    up(cluster)


def test_a_wrong_munge_key_is_mended(cluster):
    on(cluster, "factory_1", "sudo -n sh -c 'head -c 1024 /dev/urandom > /etc/munge/munge.key;"
                             " systemctl restart munge'")
    up(cluster)
    assert len(set(first(cluster, "timeout 60 srun -N2 hostname").split())) == 2


def test_a_controller_that_was_restarted_or_stopped(cluster):
    first(cluster, "sudo -n systemctl restart slurmctld")
    first(cluster, "sudo -n systemctl stop slurmctld")
    up(cluster)
    assert len(set(first(cluster, "timeout 60 srun -N2 hostname").split())) == 2


def test_a_node_called_down_that_answers_is_resumed_and_a_drained_one_is_not(cluster):
    first(cluster, "sudo -n scontrol update nodename=factory_1 state=down reason=test")
    up(cluster)
    assert states(cluster)["factory_1"] == "idle"
    first(cluster, "sudo -n scontrol update nodename=factory_2 state=drain reason=mine")
    done, _ = up(cluster)
    assert "factory_2" in done.stderr and "mine" in done.stderr
    assert states(cluster)["factory_2"] == "drained"
    first(cluster, "sudo -n scontrol update nodename=factory_2 state=resume")


def test_a_third_factory_joins_while_a_job_runs(cluster):
    first(cluster, "cd /srv/flambe/results && sbatch --no-requeue -w factory_1 -o /dev/null --wrap"
                   " 'sleep 12; echo lived > joined'")
    first(cluster, "sudo -n rm -f /opt/flambe/flambe-node.gz")  # as after a program that was refused
    done, _ = up(cluster, 3)
    assert "takes no part" not in done.stderr, done.stderr
    assert len(set(first(cluster, "timeout 60 srun -N3 --overcommit hostname").split())) == 3
    limit = time.monotonic() + 40
    while "lived" not in first(cluster, "cat /srv/flambe/results/joined 2>/dev/null; true"):
        assert time.monotonic() < limit, first(cluster, "cat /var/lib/flambe/slurm/jobcomp.log")
        time.sleep(0.5)


def test_a_dead_factory_leaves_at_once_and_another_takes_its_place(cluster):
    victim = next(h for h in hosts(cluster, NAME) if h["name"] == "eq_factory_3")
    job = first(cluster, "cd /tmp && sbatch --parsable --no-requeue -w factory_3 -o /dev/null --wrap 'sleep 600'").strip()
    limit = time.monotonic() + 20
    while "RUNNING" not in first(cluster, f"squeue -h -j {job} -o %T"):
        assert time.monotonic() < limit
        time.sleep(0.2)
    cluster.control("kill", victim["instance_id"])
    time.sleep(1)
    up(cluster, 3)
    ended = first(cluster, "cat /var/lib/flambe/slurm/jobcomp.log")
    assert re.search(rf"JobId={job} .*JobState=NODE_FAIL", ended), ended
    assert states(cluster) == {"factory_1": "idle", "factory_2": "idle", "factory_3": "idle"}
    assert victim["instance_id"] not in {m["InstanceId"] for m in alive(cluster)}


def test_a_factory_that_ec2_ended_is_no_node_any_more(cluster):
    victim = next(h for h in hosts(cluster, NAME) if h["name"] == "eq_factory_3")
    cluster.control("kill", victim["instance_id"])
    time.sleep(1)
    up(cluster, 2)
    assert states(cluster) == {"factory_1": "idle", "factory_2": "idle"}


def test_an_unreachable_factory_keeps_its_jobs(cluster):
    """A host that does not answer now is still EC2's: its line stays, and so do its jobs."""
    victim = next(h for h in hosts(cluster, NAME) if h["name"] == "eq_factory_2")
    cluster.control("partition", victim["instance_id"])
    try:
        done = cluster.flambe(cluster.files[2], "-y")
        assert done.returncode != 0 and "eq_factory_2" in done.stderr
        assert "factory_2" in states(cluster)
    finally:
        cluster.control("partition", victim["instance_id"], "--off", check=False)
    up(cluster)
    assert states(cluster)["factory_2"] == "idle"


def test_a_reboot_brings_everything_back(cluster):
    on(cluster, "factory_1", "sudo -n systemctl reboot", check=False)
    limit = time.monotonic() + 60
    time.sleep(1)
    while states(cluster).get("factory_1") != "idle" or \
            cluster.flambe("exec", NAME, "--on", "factory_1", "--", "mountpoint -q /srv/flambe").returncode:
        assert time.monotonic() < limit
        time.sleep(0.5)
    assert len(set(first(cluster, "timeout 60 srun -N2 hostname").split())) == 2


def test_killed_while_equipping_then_completed(cluster):
    for delay in (0.3, 0.7, 1.2):
        first(cluster, "sudo -n rm -f /etc/flambe/equipped")
        on(cluster, "factories", "sudo -n rm -f /etc/flambe/equipped")
        child = subprocess.Popen([FLAMBE, str(cluster.files[2]), "-y"], env=cluster.env,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        time.sleep(delay)
        child.kill()
        child.wait()
    up(cluster)
    assert len(set(first(cluster, "timeout 60 srun -N2 hostname").split())) == 2


def test_a_cluster_of_one_runs_jobs_itself(cluster):
    file = cluster.cluster_file(name="one", factories_num=0, orchestrator_type="t3.small")
    done = cluster.flambe(file, "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    assert first(cluster, "srun hostname", name="one").strip()
    assert cluster.flambe("down", "one", "-y").returncode == 0


def test_a_cluster_of_one_without_slurm_and_a_tree_of_its_own(cluster):
    file = cluster.cluster_file(name="local", factories_num=0, orchestrator_type="t3.small", engine="local",
                                shared="/mnt/mine", setup_cmds="['sudo mkdir -p /mnt/mine']")
    done = cluster.flambe(file, "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    out = first(cluster, "systemctl is-enabled slurmctld; touch /mnt/mine/seen; ls /srv/flambe;"
                         " grep engine /etc/flambe/node.json", name="local", check=False)
    assert "masked" in out and "seen" in out and '"local"' in out
    assert cluster.flambe("down", "local", "-y").returncode == 0


def test_a_shared_directory_that_is_not_there_is_named(cluster):
    file = cluster.cluster_file(name="none", factories_num=0, orchestrator_type="t3.small", shared="/mnt/nowhere")
    done = cluster.flambe(file, "-y")
    assert done.returncode != 0 and "/mnt/nowhere" in done.stderr
    assert cluster.flambe("down", "none", "-y").returncode == 0


def test_light_hosts_are_ready_and_not_equipped(light):
    file = light.cluster_file(name="plain", factories_num=1, factories_type="t3.nano",
                              orchestrator_type="t3.nano")
    done = light.flambe(file, "-y")
    assert done.returncode == 0 and "not equipped" in done.stderr, done.stderr
    assert light.flambe("down", "plain", "-y").returncode == 0
