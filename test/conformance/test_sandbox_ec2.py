"""The sandbox's EC2 before clients that nobody here wrote: boto3 and awscli, as Debian ships them.

boto3's parser is generated from AWS's own model, so a wrong shape shows as a missing member.
"""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from conftest import make_sandbox  # noqa: E402

boto3 = pytest.importorskip("boto3")
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

AWSCLI = "/usr/bin/aws"
NO_RETRY = Config(retries={"total_max_attempts": 1, "mode": "standard"}, max_pool_connections=30)
UBUNTU = "ami-02404a6d36f1a0003"


@pytest.fixture(scope="module")
def box():
    sandbox = make_sandbox("ghost", "--visible-after", "0", "--pending-for", "0.05",
                           "--stopping-for", "0.05")
    try:
        yield sandbox.start()
    finally:
        sandbox.destroy()
        shutil.rmtree(sandbox.home, ignore_errors=True)


def client(sandbox, name="ec2"):
    import configparser
    keys = configparser.ConfigParser()
    keys.read(sandbox.env["AWS_SHARED_CREDENTIALS_FILE"])
    return boto3.client(name, region_name="us-east-1", endpoint_url=sandbox.env["AWS_ENDPOINT_URL"],
                        aws_access_key_id=keys["default"]["aws_access_key_id"],
                        aws_secret_access_key=keys["default"]["aws_secret_access_key"],
                        config=NO_RETRY)


@pytest.fixture(scope="module")
def ec2(box):
    return client(box)


@pytest.fixture
def clean(ec2):
    """What a test launches is gone after it."""
    yield ec2
    ids = [i["InstanceId"] for i in instances(ec2) if i["State"]["Name"] not in ("terminated", "shutting-down")]
    for i in ids:
        ec2.modify_instance_attribute(InstanceId=i, DisableApiTermination={"Value": False})
    if ids:
        ec2.terminate_instances(InstanceIds=ids)
        ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100})


def instances(ec2, **query):
    return [i for r in ec2.describe_instances(**query)["Reservations"] for i in r["Instances"]]


def refused(code, call, *words, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    for word in words:
        assert word in error["Message"], error
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def launch(ec2, count=1, **more):
    arguments = dict(ImageId=UBUNTU, InstanceType="t3.micro", MinCount=count, MaxCount=count)
    arguments.update(more)
    return ec2.run_instances(**arguments)["Instances"]


def wait_for(ec2, state, ids):
    deadline = time.time() + 20
    while time.time() < deadline:
        found = instances(ec2, InstanceIds=ids)
        if all(i["State"]["Name"] == state for i in found):
            return found
        time.sleep(0.03)
    raise AssertionError(f"not {state}: {found}")


def one(items):
    assert len(items) == 1, items
    return items[0]


# ---- what a new account finds --------------------------------------------------------------------


def test_the_seed(ec2):
    vpc = one(ec2.describe_vpcs()["Vpcs"])
    assert vpc["CidrBlock"] == "10.213.0.0/16" and vpc["IsDefault"]
    for name in ("enableDnsHostnames", "enableDnsSupport"):
        answer = ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=name)
        assert answer[name[0].upper() + name[1:]]["Value"] is True
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    assert [s["AvailabilityZone"] for s in subnets] == ["us-east-1a", "us-east-1b"]
    assert all(s["MapPublicIpOnLaunch"] and s["AvailableIpAddressCount"] == 4091 for s in subnets)
    gateway = one(ec2.describe_internet_gateways()["InternetGateways"])
    assert gateway["Attachments"] == [{"State": "available", "VpcId": vpc["VpcId"]}]
    table = one(ec2.describe_route_tables(Filters=[{"Name": "association.main", "Values": ["true"]}])["RouteTables"])
    routes = {r["DestinationCidrBlock"]: r["GatewayId"] for r in table["Routes"]}
    assert routes == {"10.213.0.0/16": "local", "0.0.0.0/0": gateway["InternetGatewayId"]}
    group = one(ec2.describe_security_groups(GroupNames=["flambe-sg"])["SecurityGroups"])
    ssh = one([p for p in group["IpPermissions"] if p["IpProtocol"] == "tcp"])
    assert (ssh["FromPort"], ssh["ToPort"], ssh["IpRanges"]) == (22, 22, [{"CidrIp": "0.0.0.0/0"}])
    inside = one([p for p in group["IpPermissions"] if p["IpProtocol"] == "-1"])
    assert one(inside["UserIdGroupPairs"])["GroupId"] == group["GroupId"]


def test_the_seeded_key_is_the_pem(ec2, box):
    key = one(ec2.describe_key_pairs(KeyNames=["flambe-key"], IncludePublicKey=True)["KeyPairs"])
    pem = box.dir / "flambe-key.pem"
    public = subprocess.run(["ssh-keygen", "-y", "-f", pem], capture_output=True, text=True, check=True)
    assert key["PublicKey"].split()[:2] == public.stdout.split()[:2]


def test_images_by_their_public_names(ec2, box):
    ssm = client(box, "ssm")
    names = {
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id": ("x86_64", "/dev/sda1"),
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id": ("x86_64", "/dev/sda1"),
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id": ("arm64", "/dev/sda1"),
        "/aws/service/debian/release/12/latest/amd64": ("x86_64", "/dev/xvda"),
        "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id":
            ("x86_64", "/dev/sda1"),
    }
    for name, (architecture, device) in names.items():
        ami = ssm.get_parameter(Name=name)["Parameter"]["Value"]
        image = one(ec2.describe_images(ImageIds=[ami])["Images"])
        assert (image["Architecture"], image["RootDeviceName"]) == (architecture, device)
        assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] >= 8
    by_owner = ec2.describe_images(Owners=["099720109477"], Filters=[
        {"Name": "name", "Values": ["ubuntu/images/*noble*"]}, {"Name": "architecture", "Values": ["arm64"]}])
    assert one(by_owner["Images"])["OwnerId"] == "099720109477"
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    refused("InvalidAMIID.NotFound", ec2.describe_images, ImageIds=["ami-0123456789abcdef0"])
    refused("InvalidAMIID.Malformed", ec2.describe_images, "expecting", ImageIds=["image-1"])


def test_regions_and_zones(ec2):
    assert "us-east-1" in [r["RegionName"] for r in ec2.describe_regions()["Regions"]]
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert [(z["ZoneName"], z["State"], z["ZoneId"]) for z in zones] == [
        ("us-east-1a", "available", "use1-az1"), ("us-east-1b", "available", "use1-az2")]
    refused("InvalidParameterValue", ec2.describe_availability_zones, ZoneNames=["us-east-1z"])


def test_instance_types(ec2):
    types = ec2.describe_instance_types(InstanceTypes=["t3.micro", "g4dn.xlarge", "t4g.micro"])["InstanceTypes"]
    by_name = {t["InstanceType"]: t for t in types}
    assert by_name["t3.micro"]["VCpuInfo"]["DefaultVCpus"] == 2
    assert by_name["t3.micro"]["MemoryInfo"]["SizeInMiB"] == 1024
    assert by_name["t4g.micro"]["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"]
    gpu = one(by_name["g4dn.xlarge"]["GpuInfo"]["Gpus"])
    assert (gpu["Name"], gpu["Manufacturer"], gpu["Count"]) == ("T4", "NVIDIA", 1)
    refused("InvalidInstanceType", ec2.describe_instance_types, "[t9.huge]", InstanceTypes=["t3.micro", "t9.huge"])
    pages = list(ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 10}))
    names = [t["InstanceType"] for p in pages for t in p["InstanceTypes"]]
    assert len(pages) > 2 and len(names) == len(set(names)) and "p4d.24xlarge" in names
    offers = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=[
        {"Name": "instance-type", "Values": ["t3.*"]}, {"Name": "location", "Values": ["us-east-1b"]}])
    assert {o["Location"] for o in offers["InstanceTypeOfferings"]} == {"us-east-1b"}
    assert "t3.micro" in {o["InstanceType"] for o in offers["InstanceTypeOfferings"]}


# ---- launching -----------------------------------------------------------------------------------


def test_an_instance_lives(clean):
    tags = [{"Key": "Name", "Value": "höst & <1>"}, {"Key": "Purpose", "Value": "flambe"}]
    made = one(launch(clean, KeyName="flambe-key", UserData="#!/bin/sh\necho hi\n",
                      InstanceInitiatedShutdownBehavior="terminate",
                      MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2,
                                       "InstanceMetadataTags": "enabled"},
                      BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {
                          "VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True}}],
                      TagSpecifications=[{"ResourceType": "instance", "Tags": tags},
                                         {"ResourceType": "volume", "Tags": tags[1:]}]))
    assert made["State"] == {"Code": 0, "Name": "pending"} and made["StateReason"]["Code"] == "pending"
    id = made["InstanceId"]
    i = one(wait_for(clean, "running", [id]))
    assert i["State"]["Code"] == 16 and i["Tags"] == tags and i["KeyName"] == "flambe-key"
    assert i["PrivateIpAddress"].startswith("10.213.0.")
    dashed = i["PrivateIpAddress"].replace(".", "-")
    assert i["PrivateDnsName"] == f"ip-{dashed}.ec2.internal"
    assert i["PublicDnsName"] == f"ec2-{i['PublicIpAddress'].replace('.', '-')}.compute-1.amazonaws.com"
    assert i["MetadataOptions"]["HttpTokens"] == "required" and i["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    assert one(i["SecurityGroups"])["GroupName"] == "default"
    interface = one(i["NetworkInterfaces"])
    assert interface["Association"]["PublicIp"] == i["PublicIpAddress"]
    volume_id = one(i["BlockDeviceMappings"])["Ebs"]["VolumeId"]
    volume = one(clean.describe_volumes(VolumeIds=[volume_id])["Volumes"])
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"], volume["State"], volume["Iops"]) == \
        (20, "gp3", True, "in-use", 3000)
    assert volume["Tags"] == tags[1:] and one(volume["Attachments"])["DeleteOnTermination"]
    data = clean.describe_instance_attribute(InstanceId=id, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(data) == b"#!/bin/sh\necho hi\n"
    behaviour = clean.describe_instance_attribute(InstanceId=id, Attribute="instanceInitiatedShutdownBehavior")
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    status = one(clean.describe_instance_status(InstanceIds=[id])["InstanceStatuses"])
    assert status["InstanceStatus"]["Status"] == "ok" and status["SystemStatus"]["Status"] == "ok"

    change = one(clean.terminate_instances(InstanceIds=[id])["TerminatingInstances"])
    assert change["PreviousState"]["Name"] == "running" and change["CurrentState"]["Name"] == "shutting-down"
    gone = one(wait_for(clean, "terminated", [id]))
    assert "PrivateIpAddress" not in gone and "SubnetId" not in gone and gone["BlockDeviceMappings"] == []
    assert gone["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert gone["StateTransitionReason"].startswith("User initiated (") and gone["Tags"] == tags
    refused("InvalidVolume.NotFound", clean.describe_volumes, VolumeIds=[volume_id])
    assert clean.describe_network_interfaces()["NetworkInterfaces"] == []
    again = one(clean.terminate_instances(InstanceIds=[id])["TerminatingInstances"])
    assert again["CurrentState"]["Name"] == "terminated"


def test_a_network_interface_and_its_conflicts(clean):
    subnet = clean.describe_subnets()["Subnets"][1]["SubnetId"]
    group = one(clean.describe_security_groups(GroupNames=["flambe-sg"])["SecurityGroups"])["GroupId"]
    spec = [{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": False}]
    made = one(launch(clean, NetworkInterfaces=spec, TagSpecifications=[
        {"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}]))
    i = one(wait_for(clean, "running", [made["InstanceId"]]))
    assert "PublicIpAddress" not in i and i["PublicDnsName"] == "" and i["SubnetId"] == subnet
    card = one(clean.describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [i["InstanceId"]]}])["NetworkInterfaces"])
    assert card["TagSet"] == [{"Key": "a", "Value": "b"}] and one(card["Groups"])["GroupId"] == group
    assert card["PrivateIpAddress"] == i["PrivateIpAddress"] and card["Status"] == "in-use"
    refused("InvalidParameterCombination", launch, "Network interfaces", ec2=clean, NetworkInterfaces=spec,
            SubnetId=subnet)
    refused("InvalidParameterCombination", launch, "security groups", ec2=clean, NetworkInterfaces=spec,
            SecurityGroupIds=[group])


def test_a_client_token_makes_one_launch_a_zone(clean):
    a, b = (s["SubnetId"] for s in clean.describe_subnets()["Subnets"])
    first = launch(clean, 2, ClientToken="token-1", SubnetId=a)
    second = launch(clean, 2, ClientToken="token-1", SubnetId=a)
    assert [i["InstanceId"] for i in first] == [i["InstanceId"] for i in second]
    refused("IdempotentParameterMismatch", launch, ec2=clean, count=1, ClientToken="token-1", SubnetId=a)
    other = launch(clean, 2, ClientToken="token-1", SubnetId=b)
    assert {i["InstanceId"] for i in other}.isdisjoint(i["InstanceId"] for i in first)
    found = instances(clean, Filters=[{"Name": "client-token", "Values": ["token-1"]}])
    assert len(found) == 4
    clean.terminate_instances(InstanceIds=[i["InstanceId"] for i in first])
    refused("IdempotentInstanceTerminated", launch, ec2=clean, count=2, ClientToken="token-1", SubnetId=a)
    refused("InvalidParameterValue", launch, ec2=clean, ClientToken="x" * 65)


REFUSALS = [
    ("InvalidAMIID.NotFound", dict(ImageId="ami-0123456789abcdef0"), "does not exist"),
    ("InvalidAMIID.Malformed", dict(ImageId="ubuntu"), 'Invalid id: "ubuntu" (expecting "ami-...")'),
    ("InvalidParameterValue", dict(InstanceType="t9.huge"), "t9.huge"),
    ("InvalidParameterValue", dict(InstanceType="t4g.micro"), "architecture 'arm64'"),
    ("InvalidKeyPair.NotFound", dict(KeyName="nope"), "The key pair 'nope' does not exist"),
    ("InvalidSubnetID.NotFound", dict(SubnetId="subnet-0123456789abcdef0"),
     "The subnet ID 'subnet-0123456789abcdef0' does not exist"),
    ("InvalidGroup.NotFound", dict(SecurityGroupIds=["sg-0123456789abcdef0"]),
     "The security group 'sg-0123456789abcdef0' does not exist"),
    ("InvalidGroup.NotFound", dict(SecurityGroups=["nope"]), "nope"),
    ("InvalidParameterValue", dict(Placement={"AvailabilityZone": "us-west-2a"}), "us-west-2a"),
    ("InvalidPlacementGroup.Unknown", dict(Placement={"GroupName": "nope"}), "nope"),
    ("InvalidParameterValue", dict(UserData="x" * 16385), "16384"),
    ("InvalidParameterValue", dict(InstanceInitiatedShutdownBehavior="explode"), "explode"),
    ("InvalidParameterValue", dict(MinCount=0, MaxCount=0), "MinCount"),
    ("InvalidParameterCombination", dict(MinCount=3, MaxCount=2), "MinCount"),
    ("ResourceCountExceeded", dict(MinCount=1, MaxCount=1001), "1000"),
    ("InvalidParameterValue", dict(TagSpecifications=[{"ResourceType": "rocket", "Tags": [{"Key": "a", "Value": "b"}]}]),
     "rocket"),
    ("InvalidParameterValue", dict(TagSpecifications=[{"ResourceType": "instance", "Tags": [
        {"Key": "a", "Value": "b"}, {"Key": "a", "Value": "c"}]}]), "Duplicate tag key 'a'"),
    ("InvalidParameterValue", dict(TagSpecifications=[{"ResourceType": "instance", "Tags": [
        {"Key": "aws:x", "Value": "b"}]}]), "reserved"),
    ("TagLimitExceeded", dict(TagSpecifications=[{"ResourceType": "instance", "Tags": [
        {"Key": f"k{n}", "Value": ""} for n in range(51)]}]), "50"),
]


@pytest.mark.parametrize("code,change,words", REFUSALS, ids=[f"{c}-{list(a)[0]}" for c, a, _ in REFUSALS])
def test_launches_that_are_refused(ec2, code, change, words):
    arguments = dict(ImageId=UBUNTU, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    arguments.update(change)
    before = len(instances(ec2))
    assert refused(code, ec2.run_instances, words, **arguments) == 400
    assert len(instances(ec2)) == before


VOLUMES = [
    ("InvalidBlockDeviceMapping", dict(VolumeSize=4), "expect size >= 8GB"),
    ("InvalidParameterCombination", dict(VolumeSize=20, VolumeType="gp2", Iops=300), "not supported for gp2"),
    ("MissingParameter", dict(VolumeSize=20, VolumeType="io1"), "iops"),
    ("InvalidParameterValue", dict(VolumeSize=20, VolumeType="io1", Iops=2000), "ratio"),
    ("InvalidParameterValue", dict(VolumeSize=20, VolumeType="gp3", Iops=100), "between 3000"),
    ("InvalidParameterValue", dict(VolumeSize=20, VolumeType="gp9"), "gp9"),
    ("InvalidParameterValue", dict(VolumeSize=20000, VolumeType="gp2"), "20000"),
    ("InvalidParameterValue", dict(VolumeSize=20, VolumeType="gp3", Throughput=3000), "Throughput"),
    ("InvalidParameterDependency", dict(VolumeSize=20, KmsKeyId="alias/x"), "Encrypted"),
]


@pytest.mark.parametrize("code,ebs,words", VOLUMES, ids=[c + "-" + "-".join(e) for c, e, _ in VOLUMES])
def test_volumes_that_are_refused(ec2, code, ebs, words):
    refused(code, launch, words, ec2=ec2, BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": ebs}])


def test_volume_types(clean):
    devices = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 100, "VolumeType": "io2", "Iops": 5000}},
               {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 200, "DeleteOnTermination": False}}]
    made = one(launch(clean, BlockDeviceMappings=devices))
    attached = [{"Name": "attachment.instance-id", "Values": [made["InstanceId"]]}]
    volumes = {v["Attachments"][0]["Device"]: v for v in clean.describe_volumes(Filters=attached)["Volumes"]}
    assert (volumes["/dev/sda1"]["VolumeType"], volumes["/dev/sda1"]["Iops"]) == ("io2", 5000)
    assert (volumes["/dev/sdb"]["VolumeType"], volumes["/dev/sdb"]["Iops"]) == ("gp2", 600)
    kept = volumes["/dev/sdb"]["VolumeId"]
    refused("VolumeInUse", clean.delete_volume, VolumeId=kept)
    clean.terminate_instances(InstanceIds=[made["InstanceId"]])
    wait_for(clean, "terminated", [made["InstanceId"]])
    left = one(clean.describe_volumes()["Volumes"])
    assert left["VolumeId"] == kept and left["State"] == "available" and left["Attachments"] == []
    clean.delete_volume(VolumeId=kept)
    assert clean.describe_volumes()["Volumes"] == []


def test_missing_parameters(box):
    # boto3 refuses to leave them out: asked by awscli's raw input it would too. So by hand.
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    import urllib.error
    import urllib.request
    ec2 = client(box)
    url = box.env["AWS_ENDPOINT_URL"] + "/"
    for body, name in (("Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount=1", "ImageId"),
                       (f"Action=RunInstances&Version=2016-11-15&ImageId={UBUNTU}&InstanceType=t3.micro&MaxCount=1",
                        "MinCount"),
                       ("Action=TerminateInstances&Version=2016-11-15", "InstanceId"),
                       ("Action=DeleteVpc&Version=2016-11-15", "VpcId")):
        request = AWSRequest("POST", url, data=body, headers={
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
        SigV4Auth(ec2._request_signer._credentials, "ec2", "us-east-1").add_auth(request)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url, body.encode(), dict(request.headers)))
        text = caught.value.read().decode()
        assert caught.value.code == 400 and "<Code>MissingParameter</Code>" in text and name in text


def test_capacity_and_quota(clean, box):
    assert refused("VcpuLimitExceeded", launch, "limit of 4", ec2=_with(box, clean, "vcpu-quota", 4), count=3) == 400
    made = clean.run_instances(ImageId=UBUNTU, InstanceType="t3.micro", MinCount=1, MaxCount=3)["Instances"]
    assert len(made) == 2
    box.control("set", "vcpu-quota", "100000")
    box.fault("capacity", "--type", "t3.small", "--zone", "us-east-1a")
    try:
        a = clean.describe_subnets()["Subnets"][0]["SubnetId"]
        assert refused("InsufficientInstanceCapacity", launch, "us-east-1a", ec2=clean, InstanceType="t3.small",
                       SubnetId=a) == 500
        # nothing was charged for a dry run, and a launch that names no zone finds another
        box.control("fault", "clear")
        box.fault("capacity", "--type", "t3.small", "--zone", "us-east-1a")
        assert one(launch(clean, InstanceType="t3.small"))["Placement"]["AvailabilityZone"] == "us-east-1b"
    finally:
        box.control("fault", "clear")


def _with(box, ec2, name, value):
    box.control("set", name, str(value))
    return ec2


def test_a_subnet_runs_out_of_addresses(clean):
    vpc = clean.create_vpc(CidrBlock="10.213.0.0/16")["Vpc"]["VpcId"]
    subnet = clean.create_subnet(VpcId=vpc, CidrBlock="10.213.200.0/28")["Subnet"]
    assert subnet["AvailableIpAddressCount"] == 11
    made = clean.run_instances(ImageId=UBUNTU, InstanceType="t3.micro", MinCount=1, MaxCount=20,
                               SubnetId=subnet["SubnetId"])["Instances"]
    assert len(made) == 11 and len({i["PrivateIpAddress"] for i in made}) == 11
    refused("InsufficientFreeAddressesInSubnet", launch, subnet["SubnetId"], ec2=clean, SubnetId=subnet["SubnetId"])
    assert refused("DependencyViolation", clean.delete_subnet, SubnetId=subnet["SubnetId"]) == 400
    ids = [i["InstanceId"] for i in made]
    clean.terminate_instances(InstanceIds=ids)
    wait_for(clean, "terminated", ids)
    clean.delete_subnet(SubnetId=subnet["SubnetId"])
    clean.delete_vpc(VpcId=vpc)


# ---- describing ----------------------------------------------------------------------------------


def test_filters(clean):
    def tagged(name):
        return [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}, {"Key": "creator", "Value": "me*"}]}]
    a = one(launch(clean, TagSpecifications=tagged("alpha")))["InstanceId"]
    b = one(launch(clean, InstanceType="c5.large", TagSpecifications=tagged("beta"),
                   Placement={"AvailabilityZone": "us-east-1b"}))["InstanceId"]
    wait_for(clean, "running", [a, b])
    ip = one(instances(clean, InstanceIds=[a]))["PrivateIpAddress"]

    def found(*filters):
        query = [{"Name": n, "Values": v if isinstance(v, list) else [v]} for n, v in filters]
        return {i["InstanceId"] for i in instances(clean, Filters=[*query, {"Name": "instance-state-code", "Values": ["16"]}])}

    assert found(("tag:Name", "alpha")) == {a}
    assert found(("tag:Name", ["alpha", "beta"])) == {a, b}
    assert found(("tag:Name", "?eta")) == {b}
    assert found(("tag:Name", "Alpha")) == set()
    assert found(("tag:creator", "me\\*")) == {a, b}
    assert found(("tag:creator", "me\\?")) == set()
    assert found(("tag-key", "cre*"), ("instance-type", "c5.*")) == {b}
    assert found(("availability-zone", "us-east-1b")) == {b}
    assert found(("private-ip-address", ip)) == {a}
    assert found(("private-dns-name", f"ip-{ip.replace('.', '-')}.ec2.internal")) == {a}
    assert found(("dns-name", "ec2-*")) == {a, b}
    assert found(("instance.group-name", "default"), ("image-id", UBUNTU)) == {a, b}
    assert found(("instance-state-name", "stopped")) == set()
    refused("InvalidParameterValue", clean.describe_instances, "The filter 'colour' is invalid",
            Filters=[{"Name": "colour", "Values": ["red"]}])
    refused("FilterLimitExceeded", clean.describe_instances,
            Filters=[{"Name": "instance-id", "Values": [f"i-{n}" for n in range(201)]}])


def test_pages_hold_everything_once(clean):
    ids = {i["InstanceId"] for i in launch(clean, 12)} | {i["InstanceId"] for i in launch(clean, 5)}
    alive = [{"Name": "instance-id", "Values": sorted(ids)}]
    pages = list(clean.get_paginator("describe_instances").paginate(Filters=alive, PaginationConfig={"PageSize": 7}))
    sizes = [sum(len(r["Instances"]) for r in p["Reservations"]) for p in pages]
    seen = [i["InstanceId"] for p in pages for r in p["Reservations"] for i in r["Instances"]]
    assert sizes == [7, 7, 3] and len(seen) == 17 and set(seen) == ids
    assert len({r["ReservationId"] for p in pages for r in p["Reservations"]}) == 2
    refused("InvalidParameterCombination", clean.describe_instances, InstanceIds=sorted(ids)[:1], MaxResults=10)
    refused("InvalidParameterValue", clean.describe_instances, "between 5 and 1000", MaxResults=2)
    refused("InvalidPaginationToken", clean.describe_instances, MaxResults=5, NextToken="bogus")


def test_instances_that_are_not_there(clean):
    missing = "i-0123456789abcdef0"
    id = one(launch(clean))["InstanceId"]
    wait_for(clean, "running", [id])
    refused("InvalidInstanceID.NotFound", clean.describe_instances, f"'{missing}'", InstanceIds=[id, missing])
    refused("InvalidInstanceID.NotFound", clean.terminate_instances, InstanceIds=[id, missing])
    assert one(instances(clean, InstanceIds=[id]))["State"]["Name"] == "running"
    refused("InvalidInstanceID.Malformed", clean.describe_instances, InstanceIds=["host-1"])
    refused("InvalidInstanceID.Malformed", clean.stop_instances, InstanceIds=["i-zzz"])


def test_a_launch_is_invisible_for_a_moment(clean, box):
    box.control("set", "visible-after", "0.6")
    try:
        made = one(launch(clean))
        query = [{"Name": "instance-id", "Values": [made["InstanceId"]]}]
        assert instances(clean, Filters=query) == []
        refused("InvalidInstanceID.NotFound", clean.describe_instances, InstanceIds=[made["InstanceId"]])
        assert clean.describe_volumes()["Volumes"] == []
        time.sleep(0.7)
        assert len(instances(clean, Filters=query)) == 1
    finally:
        box.control("set", "visible-after", "0")


# ---- living --------------------------------------------------------------------------------------


def test_stop_and_start(clean):
    id = one(launch(clean))["InstanceId"]
    before = one(wait_for(clean, "running", [id]))
    clean.reboot_instances(InstanceIds=[id])
    change = one(clean.stop_instances(InstanceIds=[id])["StoppingInstances"])
    assert change["CurrentState"] == {"Code": 64, "Name": "stopping"}
    refused("IncorrectInstanceState", clean.reboot_instances, id, InstanceIds=[id])
    stopped = one(wait_for(clean, "stopped", [id]))
    assert "PublicIpAddress" not in stopped and stopped["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    clean.modify_instance_attribute(InstanceId=id, UserData={"Value": b"new"})
    change = one(clean.start_instances(InstanceIds=[id])["StartingInstances"])
    assert change["CurrentState"]["Name"] == "pending" and change["PreviousState"]["Name"] == "stopped"
    again = one(wait_for(clean, "running", [id]))
    assert again["PublicIpAddress"] != before["PublicIpAddress"]
    assert again["PrivateIpAddress"] == before["PrivateIpAddress"] and again["LaunchTime"] >= before["LaunchTime"]
    clean.stop_instances(InstanceIds=[id], Force=True)
    wait_for(clean, "stopped", [id])


def test_protection_and_attributes(clean):
    id = one(launch(clean, DisableApiTermination=True))["InstanceId"]
    refused("OperationNotPermitted", clean.terminate_instances, "disableApiTermination", InstanceIds=[id])
    clean.modify_instance_attribute(InstanceId=id, DisableApiTermination={"Value": False})
    clean.modify_instance_attribute(InstanceId=id, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    clean.modify_instance_attribute(InstanceId=id, Attribute="instanceInitiatedShutdownBehavior", Value="stop")
    refused("IncorrectInstanceState", clean.modify_instance_attribute, InstanceId=id, UserData={"Value": b"x"})
    wait_for(clean, "running", [id])
    refused("InvalidParameterCombination", clean.modify_instance_attribute, "No attributes", InstanceId=id)


def test_console_output(clean):
    id = one(launch(clean))["InstanceId"]
    wait_for(clean, "running", [id])
    answer = clean.get_console_output(InstanceId=id, Latest=True)
    assert answer["InstanceId"] == id and answer["Timestamp"]
    old = one(launch(clean, InstanceType="t2.micro"))["InstanceId"]
    refused("UnsupportedOperation", clean.get_console_output, InstanceId=old, Latest=True)


def test_a_killed_host_ends_its_instance(clean, box):
    id = one(launch(clean))["InstanceId"]
    wait_for(clean, "running", [id])
    box.control("kill", id)
    gone = one(wait_for(clean, "terminated", [id]))
    assert gone["StateReason"]["Code"] == "Server.InternalError"


def test_spot(clean, box):
    made = one(launch(clean, InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {
        "SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate", "MaxPrice": "0.01"}},
        TagSpecifications=[{"ResourceType": "spot-instances-request", "Tags": [{"Key": "a", "Value": "b"}]}]))
    id = made["InstanceId"]
    assert made["InstanceLifecycle"] == "spot"
    wait_for(clean, "running", [id])
    request = one(clean.describe_spot_instance_requests()["SpotInstanceRequests"])
    assert (request["State"], request["InstanceId"], request["Tags"]) == ("active", id, [{"Key": "a", "Value": "b"}])
    refused("UnsupportedOperation", clean.stop_instances, "Spot", InstanceIds=[id])
    box.control("reclaim", id, "--notice", "0.2")
    gone = one(wait_for(clean, "terminated", [id]))
    assert gone["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    request = one(clean.describe_spot_instance_requests()["SpotInstanceRequests"])
    assert request["State"] == "closed"


def test_tags(clean):
    id = one(launch(clean))["InstanceId"]
    volume = one(one(instances(clean, InstanceIds=[id]))["BlockDeviceMappings"])["Ebs"]["VolumeId"]
    clean.create_tags(Resources=[id, volume], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    clean.create_tags(Resources=[id], Tags=[{"Key": "a", "Value": "2"}])
    mine = [{"Name": "resource-id", "Values": [id, volume]}]
    tags = {(t["ResourceType"], t["Key"], t["Value"]) for t in clean.describe_tags(Filters=mine)["Tags"]}
    assert tags == {("instance", "a", "2"), ("instance", "b", ""), ("volume", "a", "1"), ("volume", "b", "")}
    clean.delete_tags(Resources=[id], Tags=[{"Key": "a", "Value": "not that"}, {"Key": "b"}])
    assert one(instances(clean, InstanceIds=[id]))["Tags"] == [{"Key": "a", "Value": "2"}]
    clean.delete_tags(Resources=[id, volume])
    assert clean.describe_tags(Filters=mine)["Tags"] == []
    refused("InvalidInstanceID.NotFound", clean.create_tags, Resources=["i-0123456789abcdef0"],
            Tags=[{"Key": "a", "Value": "b"}])
    refused("InvalidID", clean.create_tags, Resources=["nonsense"], Tags=[{"Key": "a", "Value": "b"}])


# ---- keys ----------------------------------------------------------------------------------------


def fingerprint(public, digest):
    out = subprocess.run(["ssh-keygen", "-l", "-E", digest, "-f", public], capture_output=True, text=True, check=True)
    return out.stdout.split()[1]


def test_imported_keys_have_ec2s_fingerprints(ec2, tmp_path):
    for kind, bits in (("rsa", "2048"), ("ed25519", "256")):
        path = tmp_path / kind
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", path], check=True)
        public = (tmp_path / f"{kind}.pub").read_bytes()
        made = ec2.import_key_pair(KeyName=kind, PublicKeyMaterial=public)
        if kind == "rsa":
            pem = subprocess.run(["ssh-keygen", "-e", "-m", "PKCS8", "-f", f"{path}.pub"], capture_output=True, check=True)
            der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=pem.stdout,
                                 capture_output=True, check=True).stdout
            import hashlib
            digest = hashlib.md5(der).hexdigest()
            expected = ":".join(digest[n:n + 2] for n in range(0, 32, 2))
        else:
            expected = fingerprint(f"{path}.pub", "sha256").removeprefix("SHA256:") + "="
        assert made["KeyFingerprint"] == expected
        shown = one(ec2.describe_key_pairs(KeyNames=[kind], IncludePublicKey=True)["KeyPairs"])
        assert shown["KeyType"] == kind and shown["PublicKey"].split()[:2] == public.decode().split()[:2]
        refused("InvalidKeyPair.Duplicate", ec2.import_key_pair, KeyName=kind, PublicKeyMaterial=public)
        ec2.delete_key_pair(KeyName=kind)
        refused("InvalidKeyPair.NotFound", ec2.describe_key_pairs, KeyNames=[kind])
    refused("InvalidKey.Format", ec2.import_key_pair, KeyName="bad", PublicKeyMaterial=b"ssh-rsa AAAA")
    ec2.delete_key_pair(KeyName="never-was")


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_created_keys_work(ec2, tmp_path, kind):
    made = ec2.create_key_pair(KeyName=f"made-{kind}", KeyType=kind)
    pem = tmp_path / "key.pem"
    pem.write_text(made["KeyMaterial"])
    pem.chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", pem], capture_output=True, text=True, check=True).stdout
    shown = one(ec2.describe_key_pairs(KeyPairIds=[made["KeyPairId"]], IncludePublicKey=True)["KeyPairs"])
    assert shown["PublicKey"].split()[:2] == public.split()[:2]
    if kind == "rsa":
        der = subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", pem],
                             capture_output=True, check=True).stdout
        import hashlib
        digest = hashlib.sha1(der).hexdigest()
        assert made["KeyFingerprint"] == ":".join(digest[n:n + 2] for n in range(0, 40, 2))
    ec2.delete_key_pair(KeyPairId=made["KeyPairId"])


# ---- networks ------------------------------------------------------------------------------------


def test_a_network_is_built_and_taken_down(ec2):
    vpc = ec2.create_vpc(CidrBlock="10.50.3.4/16", TagSpecifications=[
        {"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "mine"}]}])["Vpc"]
    id = vpc["VpcId"]
    assert vpc["CidrBlock"] == "10.50.0.0/16" and vpc["Tags"] == [{"Key": "Name", "Value": "mine"}] and not vpc["IsDefault"]
    assert ec2.describe_vpc_attribute(VpcId=id, Attribute="enableDnsHostnames")["EnableDnsHostnames"]["Value"] is False
    ec2.modify_vpc_attribute(VpcId=id, EnableDnsHostnames={"Value": True})
    assert ec2.describe_vpc_attribute(VpcId=id, Attribute="enableDnsHostnames")["EnableDnsHostnames"]["Value"] is True

    subnet = ec2.create_subnet(VpcId=id, CidrBlock="10.50.1.0/24", AvailabilityZone="us-east-1b")["Subnet"]
    assert subnet["AvailableIpAddressCount"] == 251 and not subnet["MapPublicIpOnLaunch"]
    ec2.modify_subnet_attribute(SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch={"Value": True})
    assert one(ec2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"])["MapPublicIpOnLaunch"]
    refused("InvalidSubnet.Conflict", ec2.create_subnet, VpcId=id, CidrBlock="10.50.1.128/25")
    refused("InvalidSubnet.Range", ec2.create_subnet, VpcId=id, CidrBlock="10.51.0.0/24")
    refused("InvalidVpcRange", ec2.create_vpc, CidrBlock="10.0.0.0/8")
    refused("InvalidParameterValue", ec2.create_vpc, CidrBlock="10.0.0.0")

    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    table = ec2.create_route_table(VpcId=id)["RouteTable"]["RouteTableId"]
    refused("InvalidParameterValue", ec2.create_route, "different networks", RouteTableId=table,
            DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=id)
    refused("Resource.AlreadyAssociated", ec2.attach_internet_gateway, InternetGatewayId=gateway, VpcId=id)
    assert ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)["Return"]
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet["SubnetId"])["AssociationId"]
    shown = one(ec2.describe_route_tables(Filters=[
        {"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}])["RouteTables"])
    assert shown["RouteTableId"] == table and one(shown["Associations"])["RouteTableAssociationId"] == association

    for call, arguments in ((ec2.delete_vpc, dict(VpcId=id)), (ec2.delete_route_table, dict(RouteTableId=table)),
                            (ec2.delete_internet_gateway, dict(InternetGatewayId=gateway))):
        assert refused("DependencyViolation", call, **arguments) == 400
    ec2.disassociate_route_table(AssociationId=association)
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    refused("InvalidRoute.NotFound", ec2.delete_route, RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    refused("InvalidParameterValue", ec2.delete_route, "local", RouteTableId=table, DestinationCidrBlock="10.50.0.0/16")
    ec2.delete_route_table(RouteTableId=table)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=id)
    refused("Gateway.NotAttached", ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=id)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=id)
    refused("InvalidVpcID.NotFound", ec2.describe_vpcs, VpcIds=[id])
    assert ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [id]}])["SecurityGroups"] == []


def test_detaching_under_public_addresses(clean):
    gateway = one(clean.describe_internet_gateways()["InternetGateways"])
    launch(clean)
    assert refused("DependencyViolation", clean.detach_internet_gateway, "mapped public address",
                   InternetGatewayId=gateway["InternetGatewayId"], VpcId=gateway["Attachments"][0]["VpcId"]) == 400


def test_security_groups(clean):
    made = clean.create_security_group(GroupName="web", Description="a test", TagSpecifications=[
        {"ResourceType": "security-group", "Tags": [{"Key": "k", "Value": "v"}]}])
    id = made["GroupId"]
    refused("InvalidGroup.Duplicate", clean.create_security_group, "web", GroupName="web", Description="x")
    rules = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
              "IpRanges": [{"CidrIp": "198.51.100.7/32", "Description": "me"}, {"CidrIp": "10.0.0.0/8"}],
              "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]},
             {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": id}]}]
    answer = clean.authorize_security_group_ingress(GroupId=id, IpPermissions=rules)
    assert answer["Return"] and len(answer["SecurityGroupRules"]) == 4
    assert answer["SecurityGroupRules"][0]["Description"] == "me" and not answer["SecurityGroupRules"][0]["IsEgress"]
    group = one(clean.describe_security_groups(GroupIds=[id])["SecurityGroups"])
    tcp, everything = group["IpPermissions"]
    assert [r["CidrIp"] for r in tcp["IpRanges"]] == ["198.51.100.7/32", "10.0.0.0/8"]
    assert tcp["Ipv6Ranges"] == [{"CidrIpv6": "2001:db8::/32"}]
    assert one(everything["UserIdGroupPairs"])["GroupId"] == id and "FromPort" not in everything
    assert one(group["IpPermissionsEgress"])["IpRanges"] == [{"CidrIp": "0.0.0.0/0"}]
    refused("InvalidPermission.Duplicate", clean.authorize_security_group_ingress, "10.0.0.0/8", GroupId=id,
            IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="10.0.0.0/8")
    refused("InvalidParameterValue", clean.authorize_security_group_ingress, "malformed", GroupId=id,
            IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="10.0.0.0")
    refused("InvalidParameterValue", clean.authorize_security_group_ingress, "range", GroupId=id,
            IpProtocol="tcp", FromPort=23, ToPort=22, CidrIp="10.0.0.0/8")
    clean.authorize_security_group_egress(GroupId=id, IpPermissions=[
        {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}])

    other = clean.create_security_group(GroupName="db", Description="refers to web")["GroupId"]
    clean.authorize_security_group_ingress(GroupId=other, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": id}]}])
    instance = one(launch(clean, SecurityGroupIds=[other]))["InstanceId"]
    assert refused("DependencyViolation", clean.delete_security_group, "dependent object", GroupId=id) == 400
    refused("DependencyViolation", clean.delete_security_group, GroupId=other)
    clean.terminate_instances(InstanceIds=[instance])
    wait_for(clean, "terminated", [instance])
    clean.delete_security_group(GroupId=other)

    clean.revoke_security_group_ingress(GroupId=id, SecurityGroupRuleIds=[answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]])
    clean.revoke_security_group_ingress(GroupId=id, IpPermissions=rules[1:])
    refused("InvalidPermission.NotFound", clean.revoke_security_group_ingress, GroupId=id, IpPermissions=rules[1:])
    left = one(one(clean.describe_security_groups(GroupIds=[id])["SecurityGroups"])["IpPermissions"])
    assert [r["CidrIp"] for r in left["IpRanges"]] == ["10.0.0.0/8"]
    clean.delete_security_group(GroupId=id)
    refused("InvalidGroup.NotFound", clean.describe_security_groups, GroupIds=[id])
    default = one(clean.describe_security_groups(GroupNames=["default"])["SecurityGroups"])["GroupId"]
    refused("CannotDelete", clean.delete_security_group, GroupId=default)


def test_placement_groups(clean):
    made = clean.create_placement_group(GroupName="near", Strategy="cluster")
    assert made["PlacementGroup"]["State"] == "available"
    refused("InvalidPlacementGroup.Duplicate", clean.create_placement_group, GroupName="near", Strategy="cluster")
    i = one(launch(clean, InstanceType="c5.large", Placement={"GroupName": "near", "Tenancy": "dedicated"}))
    assert i["Placement"]["GroupName"] == "near" and i["Placement"]["Tenancy"] == "dedicated"
    refused("InvalidPlacementGroup.InUse", clean.delete_placement_group, GroupName="near")
    clean.terminate_instances(InstanceIds=[i["InstanceId"]])
    wait_for(clean, "terminated", [i["InstanceId"]])
    clean.delete_placement_group(GroupName="near")
    assert clean.describe_placement_groups()["PlacementGroups"] == []


# ---- everywhere ----------------------------------------------------------------------------------


def test_dry_runs_change_nothing(clean):
    vpc = one(clean.describe_vpcs()["Vpcs"])["VpcId"]
    subnet = clean.describe_subnets()["Subnets"][0]["SubnetId"]
    id = one(launch(clean))["InstanceId"]
    wait_for(clean, "running", [id])
    before = (len(instances(clean)), len(clean.describe_vpcs()["Vpcs"]))
    for call, arguments in (
            (clean.run_instances, dict(ImageId=UBUNTU, InstanceType="t3.micro", MinCount=1, MaxCount=1)),
            (clean.terminate_instances, dict(InstanceIds=[id])), (clean.stop_instances, dict(InstanceIds=[id])),
            (clean.create_tags, dict(Resources=[id], Tags=[{"Key": "a", "Value": "b"}])),
            (clean.create_vpc, dict(CidrBlock="10.9.0.0/16")),
            (clean.create_subnet, dict(VpcId=vpc, CidrBlock="10.213.250.0/24")),
            (clean.delete_subnet, dict(SubnetId=clean.describe_subnets()["Subnets"][1]["SubnetId"])),
            (clean.create_security_group, dict(GroupName="dry", Description="x")),
            (clean.create_key_pair, dict(KeyName="dry")), (clean.delete_key_pair, dict(KeyName="flambe-key")),
            (clean.create_placement_group, dict(GroupName="dry", Strategy="spread")),
            (clean.create_internet_gateway, {}), (clean.create_route_table, dict(VpcId=vpc)),
            (clean.describe_instances, {}), (clean.describe_subnets, {}), (clean.describe_regions, {})):
        assert refused("DryRunOperation", call, DryRun=True, **arguments) == 412
    assert (len(instances(clean)), len(clean.describe_vpcs()["Vpcs"])) == before
    assert one(instances(clean, InstanceIds=[id]))["State"]["Name"] == "running"
    assert clean.describe_subnets(SubnetIds=[subnet])["Subnets"]
    refused("InvalidAMIID.NotFound", clean.run_instances, ImageId="ami-0123456789abcdef0", InstanceType="t3.micro",
            MinCount=1, MaxCount=1, DryRun=True)


def test_the_account_survives_a_restart(box, clean):
    made = launch(clean, 2, ClientToken="survives", TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "survivor"}]}])
    ids = [i["InstanceId"] for i in made]
    vpc = clean.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    wait_for(clean, "running", ids)
    clean.stop_instances(InstanceIds=ids[1:])
    wait_for(clean, "stopped", ids[1:])
    before = instances(clean, InstanceIds=ids)
    assert box.stop().returncode == 0
    box.start()
    again = client(box)
    after = wait_for(again, "running", ids[:1]) + instances(again, InstanceIds=ids[1:])
    for old, new in zip(before, after):
        for name in ("InstanceId", "PrivateIpAddress", "Tags", "SubnetId", "BlockDeviceMappings"):
            assert old[name] == new[name]
    assert after[1]["State"]["Name"] == "stopped"
    repeat = launch(again, 2, ClientToken="survives", TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "survivor"}]}])
    assert [i["InstanceId"] for i in repeat] == ids
    again.start_instances(InstanceIds=ids[1:])
    wait_for(again, "running", ids[1:])
    again.delete_vpc(VpcId=vpc)


@pytest.mark.skipif(not os.path.exists(AWSCLI), reason="awscli of Debian is not installed")
def test_awscli(box, clean):
    def aws(*argv):
        done = subprocess.run([AWSCLI, "--endpoint-url", box.env["AWS_ENDPOINT_URL"], "--output", "json", "ec2", *argv],
                              env=box.env, capture_output=True, text=True, timeout=60)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr

    status, made, error = aws("run-instances", "--image-id", UBUNTU, "--instance-type", "t3.micro", "--count", "2",
                              "--key-name", "flambe-key", "--tag-specifications",
                              "ResourceType=instance,Tags=[{Key=Name,Value=cli}]")
    assert status == 0, error
    ids = [i["InstanceId"] for i in made["Instances"]]
    status, _, error = aws("wait", "instance-running", "--instance-ids", *ids)
    assert status == 0, error
    status, found, error = aws("describe-instances", "--filters", "Name=tag:Name,Values=cli", "--query",
                               "Reservations[].Instances[].InstanceId")
    assert status == 0 and sorted(found) == sorted(ids), error
    status, _, error = aws("describe-instances", "--instance-ids", "i-0123456789abcdef0")
    assert status != 0 and "InvalidInstanceID.NotFound" in error
    status, found, error = aws("terminate-instances", "--instance-ids", *ids)
    assert status == 0 and len(found["TerminatingInstances"]) == 2, error
