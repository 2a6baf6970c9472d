"""Every AWS call of ours against moto: an EC2 that nobody here wrote. Boto3 looks at what came of it.
Needs FLAMBE_VENV (moto, PyPI)."""
import json
import os
import pathlib
import socket
import subprocess
import time

import boto3
import pytest

from conftest import BUILD, clean_env

TOOL = BUILD / "test" / "conformance" / "aws_tool"


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    python = os.environ.get("FLAMBE_VENV")
    if not python:
        pytest.skip("moto (from PyPI) is not there")
    home = tmp_path_factory.mktemp("moto")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = (home / "moto.log").open("wb")
    server = subprocess.Popen([python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log,
                              stderr=log)
    env = clean_env(home)
    env.update(AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}", AWS_ACCESS_KEY_ID="testing",
               AWS_SECRET_ACCESS_KEY="testing", AWS_REGION="us-east-1")
    limit = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < limit and server.poll() is None, (home / "moto.log").read_text()
            time.sleep(0.2)
    yield env
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="module")
def ec2(moto):
    return boto3.client("ec2", endpoint_url=moto["AWS_ENDPOINT_URL"], region_name="us-east-1",
                        aws_access_key_id="testing", aws_secret_access_key="testing")


def call(moto, *argv, fails=None):
    done = subprocess.run([TOOL, *argv], env=moto, capture_output=True, text=True, timeout=60)
    if fails:
        assert done.returncode == 1, done.stdout
        assert done.stderr.startswith(fails), done.stderr
        return done.stderr
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


@pytest.fixture(scope="module")
def launched(moto, ec2):
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.create_security_group(GroupName="ours", Description="d", VpcId=subnet["VpcId"])["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}])
    ec2.create_key_pair(KeyName="ours", KeyType="rsa")
    ids = [i["id"] for i in call(moto, "run", image, "t3.micro", "ours", subnet["SubnetId"], group, "2", "token-1")]
    return {"image": image, "subnet": subnet, "group": group, "ids": ids}


def test_run_and_describe(moto, ec2, launched):
    found = call(moto, "instances", "mine")
    assert sorted(i["id"] for i in found) == sorted(launched["ids"])
    for i in found:
        assert i["type"] == "t3.micro" and i["image"] == launched["image"] and i["key"] == "ours"
        assert i["state"] in ("pending", "running")
        assert i["tags"] == {"Name": "a & b <é>", "Cluster-Name": "mine"}
        assert i["subnet"] == launched["subnet"]["SubnetId"] and i["vpc"] == launched["subnet"]["VpcId"]
        assert i["zone"] == launched["subnet"]["AvailabilityZone"]
        assert launched["group"] in i["groups"]
        assert i["private_ip"] and i["token"] == "token-1"
        assert abs(i["launched"] / 1e6 - time.time()) < 300
    theirs = ec2.describe_instances(InstanceIds=launched["ids"])["Reservations"][0]["Instances"]
    for i in theirs:
        assert i["MetadataOptions"]["HttpTokens"] == "required"
    volumes = call(moto, "volumes", launched["ids"][0])
    assert [v["instance"] for v in volumes] == [launched["ids"][0]] and volumes[0]["gb"] == 20
    assert call(moto, "instances", "nobody's") == []


def test_many_pages(moto, ec2):
    """More instances than a page holds."""
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    ids = [i["InstanceId"] for i in ec2.run_instances(
        ImageId=image, MinCount=1050, MaxCount=1050, InstanceType="t3.nano", TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Cluster-Name", "Value": "big"}]}])["Instances"]]
    assert sorted(i["id"] for i in call(moto, "instances", "big")) == sorted(ids)
    call(moto, "terminate", *ids)
    assert {i["state"] for i in call(moto, "instances", "big")} <= {"shutting-down", "terminated"}


def test_what_a_launch_needs(moto, ec2, launched):
    image = call(moto, "images", launched["image"])[0]
    theirs = ec2.describe_images(ImageIds=[launched["image"]])["Images"][0]
    assert image["root_device"] == theirs["RootDeviceName"] and image["architecture"] == theirs["Architecture"]
    assert image["root_gb"] == theirs["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"]
    kinds = {t["name"]: t for t in call(moto, "types", "m5.large", "g4dn.xlarge", "t2.micro", "m6g.large")}
    assert kinds["m5.large"]["vcpus"] == 2 and kinds["m5.large"]["memory_mib"] == 8192
    assert kinds["g4dn.xlarge"]["gpus"] == 1 and kinds["g4dn.xlarge"]["gpu"]
    assert kinds["t2.micro"]["architecture"] == "x86_64" and kinds["m6g.large"]["architecture"] == "arm64"
    call(moto, "types", "m5.gigantic", fails="not-found InvalidInstanceType")
    subnets = {s["id"]: s for s in call(moto, "subnets", launched["subnet"]["VpcId"])}
    assert subnets[launched["subnet"]["SubnetId"]]["cidr"] == launched["subnet"]["CidrBlock"]
    group, = call(moto, "groups", "ours")
    assert group["id"] == launched["group"]
    assert {"protocol": "tcp", "from": 22, "to": 22, "cidrs": ["0.0.0.0/0"], "groups": []} in group["ingress"]
    assert any(r["protocol"] == "-1" and launched["group"] in r["groups"] for r in group["ingress"])
    key, = call(moto, "keys", "ours")
    assert key["name"] == "ours" and key["fingerprint"]
    assert "us-east-1" in call(moto, "regions")


def test_errors(moto, launched):
    assert "m5.gigantic" in call(moto, "types", "m5.gigantic", fails="not-found")
    call(moto, "images", "ami-00000000", fails="not-found InvalidAMIID.NotFound DescribeImages: ")
    call(moto, "start", "i-00000000000000000", fails="not-found InvalidInstanceID.NotFound StartInstances: ")
    call(moto, "run", launched["image"], "t3.micro", "ours", "subnet-none", launched["group"], "1", "t",
         fails="not-found InvalidSubnetID.NotFound RunInstances: ")


def test_other_services(moto, launched):
    assert call(moto, "identity")["account"] == "123456789012"
    name = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"
    values = call(moto, "parameters", name, "/aws/service/none")
    assert values[0].startswith("ami-") and values[1] is None
    for i in range(3):
        call(moto, "put-alarm", f"ours-{i}", launched["ids"][0])
    call(moto, "put-alarm", "other", launched["ids"][0])
    assert sorted(call(moto, "alarms", "ours-")) == ["ours-0", "ours-1", "ours-2"]
    call(moto, "delete-alarms", "ours-0", "ours-1", "ours-2")
    assert call(moto, "alarms", "ours-") == []
    assert call(moto, "console", launched["ids"][0]) is not None


def test_terminate(moto, launched):
    call(moto, "terminate", launched["ids"][0], "i-0123456789abcdef0")  # an id that is gone is left out
    states = {i["id"]: i["state"] for i in call(moto, "instances", "mine")}
    assert states[launched["ids"][0]] in ("shutting-down", "terminated")
    assert states[launched["ids"][1]] in ("pending", "running")
