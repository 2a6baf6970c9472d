"""flambe against moto: a second EC2 that nobody here wrote. Its instances have no hosts, so what is
judged is the API: preflight, launch with its tags, observe, down. Needs FLAMBE_VENV (moto, PyPI).

moto's known differences from EC2 (it launches MinCount, and runs at once) are why the launch asks
for one factory. It gives its instances public addresses at random, and flambe tries SSH there: so all
of this runs in a network namespace that has loopback alone, and no packet leaves.
"""
import ctypes
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import boto3
import pytest

from conftest import FLAMBE, clean_env, run

CLONE_NEWNET = 0x40000000


@pytest.fixture(scope="module")
def loopback_alone():
    """This thread, and the children that it starts, see loopback and nothing else."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to keep flambe's SSH off the network")
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET) != 0:
        os.close(before)
        pytest.skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    yield
    assert libc.setns(before, CLONE_NEWNET) == 0
    os.close(before)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def moto(loopback_alone):
    python = os.environ.get("FLAMBE_VENV")
    if not python:
        pytest.skip("moto (from PyPI) is not there")
    port = free_port()
    home = pathlib.Path(tempfile.mkdtemp(prefix="flambe-moto-"))
    log = (home / "moto.log").open("wb")
    server = subprocess.Popen([python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                              stdout=log, stderr=log, env=dict(os.environ, MOTO_ENABLE_AMI_VALIDATION="false"))
    env = clean_env(home)
    env.update(AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}", AWS_ACCESS_KEY_ID="testing",
               AWS_SECRET_ACCESS_KEY="testing", AWS_REGION="us-east-1",
               AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null")
    limit = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < limit and server.poll() is None, (home / "moto.log").read_text()
            time.sleep(0.2)
    try:
        yield home, env
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def account(moto):
    home, env = moto
    client = boto3.client("ec2", region_name="us-east-1", endpoint_url=env["AWS_ENDPOINT_URL"],
                          aws_access_key_id="testing", aws_secret_access_key="testing")
    pem = home / "key.pem"
    if not pem.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", str(pem)],
                       check=True)
        client.import_key_pair(KeyName="k", PublicKeyMaterial=(home / "key.pem.pub").read_bytes())
    subnet = client.describe_subnets()["Subnets"][0]
    group = client.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])
    image = client.describe_images(Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"][0]
    file = home / "cluster.yaml"
    file.write_text(f"""!AWSCluster
name: motocluster
creator: tester@example.com
factories_num: 1
factories_type: t3.small
orchestrator_type: t3.small
key_name: k
key: {pem}
subnet_id: {subnet['SubnetId']}
security_group: {group['SecurityGroups'][0]['GroupId']}
volume_size: 100
orchestrator_ami: {image['ImageId']}
factory_ami: {image['ImageId']}
tags: {{project: moto}}
""")
    return client, env, file


def alive(client):
    found = client.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}])
    return [i for r in found["Reservations"] for i in r["Instances"]]


def test_plan(account):
    client, env, file = account
    done = run([FLAMBE, "plan", str(file), "-o", "json"], env)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["steps"]) == 2
    assert alive(client) == []


def test_launch_observe_down(account):
    """No host answers SSH, so the run is ended by Ctrl-C once its instances are there."""
    client, env, file = account
    child = subprocess.Popen([FLAMBE, str(file), "-y"], env=env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while len(alive(client)) < 2 and child.poll() is None and time.monotonic() < limit:
        time.sleep(0.2)
    time.sleep(1)
    child.terminate()
    out, err = child.communicate(timeout=60)
    machines = alive(client)
    assert len(machines) == 2, out + err
    for machine in machines:
        tags = {t["Key"]: t["Value"] for t in machine["Tags"]}
        assert tags["Purpose"] == "flambe" and tags["Cluster-Name"] == "motocluster"
        assert tags["project"] == "moto"
    status = json.loads(run([FLAMBE, "status", str(file), "-o", "json"], env, check=True).stdout)
    assert len(status["hosts"]) == 2
    down = run([FLAMBE, "down", str(file), "-y"], env)
    assert down.returncode == 0, down.stderr
    assert alive(client) == []


def elsewhere(client, env, what):
    """Makes such a thing in another region alone; its id."""
    far = boto3.client("ec2", region_name="us-west-2", endpoint_url=env["AWS_ENDPOINT_URL"],
                       aws_access_key_id="testing", aws_secret_access_key="testing")
    if what == "key_name":
        return far.create_key_pair(KeyName="far-pair")["KeyName"]
    if what == "subnet_id":
        return far.describe_subnets()["Subnets"][0]["SubnetId"]
    if what == "security_group":
        return far.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    machine = far.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]
    return far.create_image(InstanceId=machine["InstanceId"], Name="far")["ImageId"]


@pytest.mark.parametrize("key", ["key_name", "subnet_id", "security_group", "orchestrator_ami"])
def test_what_exists_in_another_region_is_named_with_it(account, key):
    client, env, file = account
    value = elsewhere(client, env, key)
    wrong = file.with_name(f"far-{key}.yaml")
    wrong.write_text(re.sub(rf"^{key}:.*$", f"{key}: {value}", file.read_text(), flags=re.M))
    # flambe waits five seconds for the other regions, which moto, on a busy machine, may not answer in.
    for _ in range(4):
        done = run([FLAMBE, str(wrong), "-y"], env)
        assert done.returncode != 0
        if "it is in" in done.stderr:
            break
    assert f"'{value}' in us-east-1; it is in us-west-2" in done.stderr, done.stderr
    assert alive(client) == []


@pytest.mark.parametrize("key, value, words", [
    ("key_name", "nobody", "nobody"), ("subnet_id", "subnet-0123456789abcdef0", "subnet-0123456789abcdef0"),
    ("security_group", "sg-0123456789abcdef0", "sg-0123456789abcdef0")])
def test_what_does_not_exist_is_named(account, key, value, words):
    client, env, file = account
    text = re.sub(rf"^{key}:.*$", f"{key}: {value}", file.read_text(), flags=re.M)
    wrong = file.with_name(f"wrong-{key}.yaml")
    wrong.write_text(text)
    done = run([FLAMBE, str(wrong), "-y"], env)
    assert done.returncode != 0 and words in done.stderr, done.stderr
    assert alive(client) == []
