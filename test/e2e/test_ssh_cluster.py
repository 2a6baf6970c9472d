"""An !SSHCluster: machines that flambe did not make and is only told of. Needs root and LXC.

The machines are the sandbox's, launched by boto3, which gives them no more than a key and a user. Who uses
them has no account at AWS: an environment without its variables, and a home of its own.
"""
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from conftest import FLAMBE, clean_env, run
from test_cli_terminal import Terminal
from test_cluster_ghosts import ec2
from test_node_old_hosts import node  # noqa: F401 (a fixture)

EXPERIMENT = """!Experiment
name: swept
pipeline:
  s: !Command
    command: "hostname > $FLAMBE_DIR/where; flambe log loss {n}"
    params: {n: !g [1, 2, 3, 4]}
    objective: {metric: loss, mode: min}
"""


class Machines:
    """Somebody's own machines, and that somebody."""

    def __init__(self, box, home, node):  # noqa: F811
        self.box = box
        self.home = home
        self.env = clean_env(home)
        self.env["FLAMBE_NODE"] = str(node)
        (home / ".ssh").mkdir(mode=0o700)
        self.known = home / ".ssh" / "known_hosts"
        ready = dict(re.findall(r"^(\w+): '?([^'\n]*)'?$", (box.dir / "aws-cluster.yaml").read_text(), re.M))
        self.key = home / "id"
        shutil.copy(ready["key"], self.key)
        self.key.chmod(0o600)
        client = ec2(box)
        made = client.run_instances(ImageId=self.image(client), InstanceType="t3.small", MinCount=3,
                                    MaxCount=3, KeyName=ready["key_name"], SubnetId=ready["subnet_id"],
                                    SecurityGroupIds=[ready["security_group"]])
        self.ids = [m["InstanceId"] for m in made["Instances"]]
        client.get_waiter("instance_running").wait(InstanceIds=self.ids, WaiterConfig={"Delay": 1})
        found = client.describe_instances(InstanceIds=self.ids)["Reservations"]
        self.addresses = [(m["PublicIpAddress"], m["PrivateIpAddress"]) for r in found for m in r["Instances"]]
        self.keys = self.scan()

    @staticmethod
    def image(client):
        images = client.describe_images()["Images"]
        return next(i["ImageId"] for i in images if "ubuntu" in i["Name"].lower() and "24.04" in i["Name"])

    def shown(self):
        """The lines for known_hosts, by address."""
        found = run(["ssh-keyscan", "-T", "3", *(a for a, _ in self.addresses)], self.env).stdout.splitlines()
        return {a: sorted(line for line in found if line.startswith(f"{a} ")) for a, _ in self.addresses}

    def scan(self):
        """The same, once cloud-init is through with the machines' keys."""
        limit = time.monotonic() + 60
        before = None
        while time.monotonic() < limit:
            lines = self.shown()
            if all(lines.values()) and lines == before:
                return lines
            before = lines
            time.sleep(0.5)
        raise AssertionError(f"some show no keys: {before}")

    def trust(self, addresses, hashed=False):
        self.known.write_text("".join(f"{line}\n" for a in addresses for line in self.keys[a]))
        if hashed:
            run(["ssh-keygen", "-H", "-f", str(self.known)], self.env, check=True)

    def file(self, name, count=2):
        first, *others = self.addresses
        path = self.home / f"{name}.yaml"
        path.write_text(f"!SSHCluster\nname: {name}\norchestrator_ip: [{', '.join(first)}]\n"
                        f"factories_ips: {json.dumps([list(a) for a in others[:count]])}\n"
                        f"key: {self.key}\nusername: ubuntu\n")
        return path

    def flambe(self, *argv, **more):
        return run([FLAMBE, *map(str, argv)], self.env, cwd=self.home, **more)

    def state(self, name):
        """Where the cluster's records are."""
        return next((self.home / "state/flambe/clusters/ssh").glob(f"*/{name}"), None)


@pytest.fixture(scope="module")
def mine(booted, node, tmp_path_factory):  # noqa: F811
    machines = Machines(booted, tmp_path_factory.mktemp("mine"), node)
    machines.requests = len(booted.requests())
    yield machines
    assert len(booted.requests()) == machines.requests, "nobody asks AWS about machines that exist"


def test_unknown_keys_are_refused_without_a_terminal(mine):
    file = mine.file("mine")
    mine.trust([mine.addresses[0][0]])
    done = mine.flambe("up", file, "-y")
    assert done.returncode != 0
    assert "not known, and there is no terminal" in done.stderr and done.stderr.count("SHA256:") == 2
    assert mine.addresses[1][0] in done.stderr and f"({mine.addresses[0][0]})" not in done.stderr
    assert mine.state("mine") is None, "nothing is pinned, nothing is kept"


def test_the_word_yes_and_no_less_at_the_terminal(mine):
    mine.trust([a for a, _ in mine.addresses[:2]], hashed=True)
    file = mine.file("asked")
    other = mine.home / "other"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], mine.env, check=True)
    file.write_text(file.read_text().replace(str(mine.key), str(other)))  # nothing is set up with it
    for answer, trusted in [("y\n", False), ("no\n", False), ("yes\n", True)]:
        t = Terminal([FLAMBE, "up", "-y", str(file)], mine.env)
        t.expect("[yes/no]")
        shown = t.text
        t.type(answer)
        assert t.end() != 0
        assert shown.count("SHA256:") == 1 and mine.addresses[2][0] in shown
        if trusted:
            assert "cannot log in" in t.text
            assert (mine.state("asked") / "known_hosts").read_text().count("ssh-ed25519 ") == 3
        else:
            assert "nothing was done" in t.text and mine.state("asked") is None


def test_a_machine_with_a_slurm_of_its_own_is_let_alone(mine):
    public, private = mine.addresses[0]
    mine.trust([public])
    file = mine.home / "theirs.yaml"
    file.write_text(mine.file("theirs").read_text().replace("factories_ips: ", "factories_ips: []  # "))
    there = ["ssh", "-i", str(mine.key), "-o", f"UserKnownHostsFile={mine.known}", f"ubuntu@{public}"]
    theirs = "ClusterName=theirs"
    run([*there, f"sudo mkdir -p /etc/slurm; echo {theirs} | sudo tee /etc/slurm/slurm.conf"], mine.env, check=True)
    done = mine.flambe("up", file)
    assert done.returncode != 0 and "a Slurm of its own" in done.stderr, done.stdout + done.stderr
    assert run([*there, "cat /etc/slurm/slurm.conf"], mine.env, check=True).stdout.strip() == theirs
    run([*there, "sudo rm /etc/slurm/slurm.conf; echo '/mnt 10.0.0.1(ro)' | sudo tee /etc/exports;"
         " sudo systemctl unmask nfs-server; sudo systemctl start nfs-server; sudo exportfs -r"], mine.env, check=True)
    done = mine.flambe("up", file)
    assert done.returncode != 0 and "exports directories" in done.stderr, done.stdout + done.stderr
    run([*there, "sudo truncate -s 0 /etc/exports; sudo exportfs -r"], mine.env, check=True)


def test_up_and_again(mine):
    file = mine.file("mine")
    mine.trust([a for a, _ in mine.addresses[:2]], hashed=True)
    plan = mine.flambe("plan", file)
    assert plan.returncode == 0 and "nothing is launched" in plan.stdout and plan.stdout.count("  use ") == 3
    start = time.monotonic()
    done = mine.flambe(file, "-y", "--accept-new-host-keys")
    print(f"3 machines set up and equipped: {time.monotonic() - start:.1f} s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'mine' is ready: 3 hosts" in done.stdout and "down" not in done.stdout
    pins = (mine.state("mine") / "known_hosts").read_text()
    for public, _ in mine.addresses:
        pin, = re.findall(rf"^ssh-{re.escape(public)} (ssh-ed25519 \S+)$", pins, re.M)
        assert f"{public} {pin}" in mine.keys[public], "the machine keeps its own key"
    assert mine.shown() == mine.keys

    mine.known.unlink()  # the cluster's own pins are enough
    again = mine.flambe(file)
    assert again.returncode == 0, again.stderr
    assert "equipping" not in again.stderr and "set-up" not in again.stderr and "SHA256" not in again.stderr


def test_the_verbs_know_it_by_name_and_by_file(mine):
    for word in ("mine", mine.file("mine")):
        done = mine.flambe("exec", word, "--", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; hostname")
        assert done.returncode == 0 and done.stdout.count("SHA256:") == 3, done.stdout + done.stderr
        shown = json.loads(mine.flambe("status", word, "-o", "json", check=True).stdout)
        assert shown["region"] == "ssh" and [h["public_ip"] for h in shown["hosts"]] == \
            [a for a, _ in mine.addresses]
    assert "'mine'" in mine.flambe("status", check=True).stdout
    assert mine.flambe("ssh", "mine", "--", "ssh", "factory_1", "true").returncode == 0, "the internal key"
    (mine.home / "x").write_text("there and back")
    assert mine.flambe("cp", "x", "mine:x").returncode == 0
    assert mine.flambe("cp", "mine:x", "y").returncode == 0
    assert (mine.home / "y").read_text() == "there and back"


def test_an_experiment_there(mine):
    work = mine.home / "work"
    work.mkdir()
    (work / "experiment.yaml").write_text(EXPERIMENT)
    start = time.monotonic()
    done = run([FLAMBE, "experiment.yaml", "-c", str(mine.file("mine"))], mine.env, cwd=work)
    print(f"four trials there: {time.monotonic() - start:.1f} s")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(mine.flambe("results", "mine:swept", "-o", "json", check=True).stdout)
    assert len(rows) == 4
    assert mine.flambe("status", "mine:swept").returncode == 0
    assert mine.flambe("logs", "mine:swept").returncode == 0
    assert "is not running" in mine.flambe("stop", "mine:swept").stdout
    assert mine.flambe("fetch", "mine", "swept", "--to", "home").returncode == 0
    on_factories = mine.flambe("exec", "mine", "--on", "factories", "--", "hostname")
    where = {p.read_text() for p in (mine.home / "home").glob("**/where")}
    factories = set(on_factories.stdout.split()[1::2])
    assert len(factories) == 2 and where and where <= {f"{name}\n" for name in factories}


def test_a_changed_key_is_refused_until_it_is_forgotten(mine):
    public = mine.addresses[2][0]
    mine.flambe("exec", "mine", "--on", "factory_2", "--", "sudo -n rm -f /etc/ssh/ssh_host_ed25519_key* && "
                "sudo -n ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key", check=True)
    for argv in (["exec", "mine", "--", "true"], ["up", mine.file("mine"), "-y", "--accept-new-host-keys"]):
        done = mine.flambe(*argv)
        assert done.returncode != 0 and "does not match" in done.stderr, done.stderr
    forget = re.search(rf"ssh-keygen -R ssh-{re.escape(public)} -f \S+", done.stderr)
    assert forget
    subprocess.run(forget[0].split(), check=True, capture_output=True)
    mine.trust([public])  # the old one, in the user's own file
    done = mine.flambe("up", mine.file("mine"), "-y", "--accept-new-host-keys")
    assert done.returncode != 0 and f"ssh-keygen -R {public}" in done.stderr, done.stderr
    run(["ssh-keygen", "-R", public, "-f", str(mine.known)], mine.env, check=True)
    done = mine.flambe("up", mine.file("mine"), "--accept-new-host-keys")
    assert done.returncode == 0, done.stderr


def test_down_ends_no_machine(mine):
    done = mine.flambe("down", "mine", "-y")
    assert done.returncode != 0 and "existed before flambe" in done.stderr
    what = re.search(r"flambe exec mine -- '(.*?)'", done.stderr)[1]
    assert mine.flambe("exec", "mine", "--", what).returncode == 0
    out = mine.flambe("exec", "mine", "--", "systemctl is-active flambe-node munge; true").stdout
    assert out.count("inactive") == 6, out
    assert mine.flambe(mine.file("mine")).returncode == 0
    out = mine.flambe("exec", "mine", "--", "systemctl is-active flambe-node munge").stdout
    assert "inactive" not in out and out.count("active") == 6, "what was stopped runs again"
