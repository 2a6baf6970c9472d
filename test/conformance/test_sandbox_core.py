"""The sandbox's front as boto3 and awscli see it: signatures, STS, SSM, CloudWatch, prices, faults,
and what survives a restart. Ghosts only: no root is needed."""
import base64
import concurrent.futures
import datetime
import email.utils
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import pytest

from conftest import SANDBOX, make_sandbox, run

UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"


@pytest.fixture(scope="module")
def shared():
    """One sandbox for the tests that leave it as they found it."""
    box = make_sandbox("ghost", "--pending-for", "0", "--visible-after", "0", "--stopping-for", "0")
    try:
        yield box.start()
    finally:
        box.destroy()
        shutil.rmtree(box.home, ignore_errors=True)


@pytest.fixture
def box(shared):
    yield shared
    shared.control("release")
    shared.control("fault", "clear")


def keys(box):
    text = (box.dir / "aws" / "credentials").read_text()
    return [line.split("=", 1)[1].strip() for line in text.splitlines() if "=" in line]


def client(box, service="ec2", key=None, secret=None, token=None, region="us-east-1", attempts=1,
           timeout=20):
    own = keys(box)
    return boto3.client(
        service, region_name=region, endpoint_url=box.env["AWS_ENDPOINT_URL"],
        aws_access_key_id=key or own[0], aws_secret_access_key=secret or own[1],
        aws_session_token=token,
        config=botocore.config.Config(retries={"total_max_attempts": attempts}, read_timeout=timeout,
                                      max_pool_connections=50))


def unchecked(box, service):
    """A client that leaves it to the server to find what is wrong."""
    own = keys(box)
    return boto3.client(service, region_name="us-east-1", endpoint_url=box.env["AWS_ENDPOINT_URL"],
                        aws_access_key_id=own[0], aws_secret_access_key=own[1],
                        config=botocore.config.Config(parameter_validation=False))


def failure(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def launch(box, count=1, **more):
    ec2 = client(box)
    image = client(box, "ssm").get_parameter(Name=UBUNTU)["Parameter"]["Value"]
    made = ec2.run_instances(ImageId=image, InstanceType=more.pop("InstanceType", "t3.micro"),
                             MinCount=more.pop("MinCount", count), MaxCount=count, **more)
    ids = [i["InstanceId"] for i in made["Instances"]]
    limit = time.monotonic() + 10
    while True:  # new instances cannot be seen for a moment
        try:
            ec2.describe_instances(InstanceIds=ids)
            return ids
        except botocore.exceptions.ClientError as error:
            assert "NotFound" in str(error) and time.monotonic() < limit
        time.sleep(0.05)


def state(box, instance_id):
    found = client(box).describe_instances(InstanceIds=[instance_id])["Reservations"]
    return found[0]["Instances"][0]["State"]["Name"]


def wait_state(box, instance_id, wanted, seconds=10):
    limit = time.monotonic() + seconds
    while state(box, instance_id) != wanted:
        assert time.monotonic() < limit, state(box, instance_id)
        time.sleep(0.05)


def count_alive(box):
    names = ["pending", "running", "stopping", "stopped"]
    found = client(box).describe_instances(Filters=[{"Name": "instance-state-name", "Values": names}])
    return sum(len(r["Instances"]) for r in found["Reservations"])


def terminate_all(box):
    ec2 = client(box)
    ids = [i["InstanceId"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    if ids:
        ec2.terminate_instances(InstanceIds=ids)


# ---- by hand: what no SDK would send ------------------------------------------------------------

def address(box):
    at = urllib.parse.urlsplit(box.env["AWS_ENDPOINT_URL"])
    return at.hostname, at.port


def signed(box, body, service="ec2", region="us-east-1", when=None, headers=None, path="/",
           method="POST", secret=None, change=None):
    """A request signed by botocore's signer, at a time of our choice; (status, headers, text)."""
    own = keys(box)
    url = box.env["AWS_ENDPOINT_URL"] + path
    given = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    given.update(headers or {})
    request = botocore.awsrequest.AWSRequest(method=method, url=url, data=body, headers=given)
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(own[0], secret or own[1]),
                                     service, region)
    real = botocore.auth.datetime
    if when is not None:
        class Clock(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return when
        class Module:
            datetime = Clock
        botocore.auth.datetime = Module
    try:
        signer.add_auth(request)
    finally:
        botocore.auth.datetime = real
    prepared = request.prepare()
    out = dict(prepared.headers.items())
    if change:
        body = change(out, body)
        out.pop("Content-Length", None)
    return raw(box, method, path, body, {k: v if isinstance(v, str) else v.decode() for k, v in out.items()})


def raw(box, method, path, body, headers):
    host, port = address(box)
    connection = http.client.HTTPConnection(host, port, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def code_of(text):
    found = re.search(r"<Code>([^<]*)</Code>", text)
    return found.group(1) if found else json.loads(text)["__type"]


REGIONS = "Action=DescribeRegions&Version=2016-11-15"
CALLER = "Action=GetCallerIdentity&Version=2011-06-15"


# ---- signatures --------------------------------------------------------------------------------------

def test_ec2_error_codes(box):
    assert failure(client(box, secret="x" * 40).describe_vpcs) == ("AuthFailure", 401)
    assert failure(client(box, key="AKIAAAAAAAAAAAAAAAAA").describe_vpcs) == ("AuthFailure", 401)
    assert failure(client(box, token="stray").describe_vpcs) == ("AuthFailure", 401)
    assert failure(client(box, region="eu-west-1").describe_vpcs) == ("AuthFailure", 401)


def test_sts_error_codes(box):
    def call(**how):
        return failure(client(box, "sts", **how).get_caller_identity)
    assert call(secret="x" * 40) == ("SignatureDoesNotMatch", 403)
    assert call(key="AKIAAAAAAAAAAAAAAAAA") == ("InvalidClientTokenId", 403)
    assert call(token="stray") == ("InvalidClientTokenId", 403)


def test_json_error_codes(box):
    def call(**how):
        return failure(client(box, "ssm", **how).get_parameter, Name=UBUNTU)
    assert call(secret="x" * 40) == ("InvalidSignatureException", 400)
    assert call(key="AKIAAAAAAAAAAAAAAAAA") == ("UnrecognizedClientException", 400)


@pytest.mark.parametrize("seconds, ec2, sts", [
    (-16 * 60, (400, "RequestExpired"), (403, "SignatureDoesNotMatch")),
    (16 * 60, (401, "AuthFailure"), (403, "SignatureDoesNotMatch")),
    (-14 * 60, (200, None), (200, None)),
    (14 * 60, (200, None), (200, None)),
])
def test_fifteen_minutes_of_skew(box, seconds, ec2, sts):
    when = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
    for body, service, wanted in [(REGIONS, "ec2", ec2), (CALLER, "sts", sts)]:
        status, headers, text = signed(box, body, service, when=when)
        assert status == wanted[0], text
        assert wanted[1] is None or code_of(text) == wanted[1]
        served_at = email.utils.parsedate_to_datetime(headers["Date"]).timestamp()
        assert abs(served_at - time.time()) < 5


def test_a_changed_request_is_refused(box):
    def other_body(headers, body):
        return body + "&DryRun=true"

    def other_date(headers, body):
        signed_at = datetime.datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
        headers["X-Amz-Date"] = (signed_at + datetime.timedelta(seconds=1)).strftime("%Y%m%dT%H%M%SZ")
        return body

    def added_header(headers, body):
        headers["X-Amz-Something"] = "new"
        return body

    def no_host(headers, body):
        headers["Authorization"] = headers["Authorization"].replace("host;", "")
        return body
    for change in [other_body, other_date, added_header, no_host]:
        status, _, text = signed(box, REGIONS, change=change)
        assert (status, code_of(text)) == (401, "AuthFailure"), change.__name__
    assert signed(box, REGIONS, change=lambda headers, body: body)[0] == 200


@pytest.mark.parametrize("authorization, wanted", [
    (None, (403, "MissingAuthenticationToken")),
    ("Basic dTpw", (403, "MissingAuthenticationToken")),
    ("AWS4-HMAC-SHA256", (400, "IncompleteSignature")),
    ("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=" + "0" * 64,
     (400, "IncompleteSignature")),
    ("AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=zz",
     (400, "IncompleteSignature")),
])
def test_malformed_authorization(box, authorization, wanted):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if authorization:
        headers["Authorization"] = authorization
    status, _, text = raw(box, "POST", "/", REGIONS, headers)
    assert status == wanted[0], text
    assert code_of(text) == wanted[1]


def test_get_with_a_query_is_signed_too(box):
    status, _, text = signed(box, None, method="GET", headers={"Content-Type": "text/plain"},
                             path="/?Version=2011-06-15&Action=GetCallerIdentity", service="sts")
    assert status == 200 and "user/sandbox" in text


def test_requests_that_mean_nothing(box):
    assert code_of(signed(box, "Action=DescribeNothing&Version=2016-11-15")[2]) == "InvalidAction"
    assert code_of(signed(box, "Version=2016-11-15")[2]) == "MissingAction"
    assert code_of(signed(box, "Action=DescribeRegions")[2]) == "MissingParameter"
    assert code_of(signed(box, "Action=DescribeRegions&Version=1999-01-01")[2]) == "NoSuchVersion"
    assert code_of(signed(box, "Action=%zz&Version=2016-11-15")[2]) == "MalformedQueryString"
    assert code_of(signed(box, "Action=DescribeRegions&Version=2016-11-15&Version=2016-11-15")[2]) \
        == "MalformedQueryString"
    target = {"X-Amz-Target": "AmazonSSM.Nothing", "Content-Type": "application/x-amz-json-1.1"}
    assert code_of(signed(box, "{}", "ssm", headers=target)[2]) == "UnknownOperationException"
    target["X-Amz-Target"] = "AmazonSSM.GetParameter"
    assert code_of(signed(box, "{", "ssm", headers=target)[2]) == "SerializationException"
    assert signed(box, REGIONS, method="PUT")[0] == 405
    assert code_of(signed(box, REGIONS, "s3")[2]) == "InvalidAction"


def test_malformed_http_does_not_hurt(box):
    pieces = [b"\x00" * 1000, b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
              b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
              b"GET " + b"/" * 200000 + b" HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20000]
    for piece in pieces:
        with socket.create_connection(address(box), timeout=5) as s:
            try:
                s.sendall(piece)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError:
                pass
    big = b"Action=DescribeRegions&Version=2016-11-15&X=" + b"x" * (5 << 20)
    assert raw(box, "POST", "/", big, {"Content-Type": "application/x-www-form-urlencoded"})[0] == 413
    assert client(box).describe_regions()["Regions"]


def test_fifty_at_once_over_kept_connections(box):
    ec2 = client(box)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: len(ec2.describe_vpcs()["Vpcs"]), range(300)))
    assert answers == [1] * 300


# ---- STS -------------------------------------------------------------------------------------------------

def test_who_am_i(box):
    me = client(box, "sts").get_caller_identity()
    assert me["Account"] == "123456789012" and me["Arn"] == "arn:aws:iam::123456789012:user/sandbox"
    assert me["UserId"].startswith("AIDA")


def test_assume_role_gives_credentials_that_work(box):
    role = "arn:aws:iam::123456789012:role/team/worker"
    given = client(box, "sts").assume_role(RoleArn=role, RoleSessionName="me@home")
    keys_given = given["Credentials"]
    assert abs(keys_given["Expiration"].timestamp() - time.time() - 3600) < 10
    temporary = dict(key=keys_given["AccessKeyId"], secret=keys_given["SecretAccessKey"],
                     token=keys_given["SessionToken"])
    me = client(box, "sts", **temporary).get_caller_identity()
    assert me["Arn"] == "arn:aws:sts::123456789012:assumed-role/worker/me@home"
    assert me["UserId"] == given["AssumedRoleUser"]["AssumedRoleId"]
    assert client(box, **temporary).describe_vpcs()["Vpcs"]
    for spoilt in [dict(temporary, token=None), dict(temporary, token=temporary["token"][:-8] + "AAAAAAA="),
                   dict(temporary, secret="x" * 40), dict(temporary, key="ASIA" + "A" * 16)]:
        assert failure(client(box, **spoilt).describe_vpcs) == ("AuthFailure", 401)
    chained = client(box, "sts", **temporary)
    assert failure(chained.assume_role, RoleArn=role, RoleSessionName="me", DurationSeconds=7200) \
        == ("ValidationError", 400)
    assert chained.assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]


def test_roles_that_may_not_be_assumed(box):
    sts = unchecked(box, "sts")
    assert failure(sts.assume_role, RoleArn="arn:aws:iam::999999999999:role/worker", RoleSessionName="me") \
        == ("AccessDenied", 403)
    for bad in [dict(RoleArn="arn:aws:iam::123456789012:role/worker", RoleSessionName="a b"),
                dict(RoleArn="x" * 30, RoleSessionName="me"),
                dict(RoleArn="arn:aws:iam::123456789012:role/worker", RoleSessionName="me", DurationSeconds=899)]:
        assert failure(sts.assume_role, **bad) == ("ValidationError", 400)


def web_token(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return f"{part({'alg': 'none'})}.{part(claims)}.x"


def test_web_identity_needs_no_signature(box):
    unsigned = boto3.client("sts", region_name="us-east-1", endpoint_url=box.env["AWS_ENDPOINT_URL"],
                            config=botocore.config.Config(signature_version=botocore.UNSIGNED))
    role = dict(RoleArn="arn:aws:iam::123456789012:role/worker", RoleSessionName="pod")
    given = unsigned.assume_role_with_web_identity(WebIdentityToken=web_token(sub="someone"), **role)
    assert given["SubjectFromWebIdentityToken"] == "someone"
    keys_given = given["Credentials"]
    assert client(box, key=keys_given["AccessKeyId"], secret=keys_given["SecretAccessKey"],
                  token=keys_given["SessionToken"]).describe_vpcs()["Vpcs"]
    assert failure(unsigned.assume_role_with_web_identity, WebIdentityToken="nothing", **role) \
        == ("InvalidIdentityToken", 400)
    assert failure(unsigned.assume_role_with_web_identity, WebIdentityToken=web_token(exp=1), **role) \
        == ("ExpiredTokenException", 400)


# ---- SSM and prices -------------------------------------------------------------------------------------------

def test_parameters_name_images_that_exist(box):
    ssm = client(box, "ssm")
    image = ssm.get_parameter(Name=UBUNTU)["Parameter"]
    assert image["Type"] == "String" and image["LastModifiedDate"].year > 2020
    found = client(box).describe_images(ImageIds=[image["Value"]])["Images"]
    assert "24.04" in found[0]["Name"]
    assert failure(ssm.get_parameter, Name="/aws/service/nothing") == ("ParameterNotFound", 400)
    both = ssm.get_parameters(Names=[UBUNTU, "/aws/service/nothing"])
    assert [p["Name"] for p in both["Parameters"]] == [UBUNTU]
    assert both["InvalidParameters"] == ["/aws/service/nothing"]
    assert failure(ssm.get_parameters, Names=[f"/a/{i}" for i in range(11)]) == ("ValidationException", 400)


def products(box, **fields):
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in fields.items()]
    pages = client(box, "pricing").get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=filters)
    return [json.loads(text) for page in pages for text in page["PriceList"]]


def test_one_price_for_one_question(box):
    wanted = dict(instanceType="t3.micro", regionCode="us-east-1", operatingSystem="Linux", tenancy="Shared",
                  preInstalledSw="NA", capacitystatus="Used")
    found = products(box, **wanted)
    assert len(found) == 1 and found[0]["product"]["attributes"]["instanceType"] == "t3.micro"
    (term,) = found[0]["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    assert dimension["unit"] == "Hrs" and float(dimension["pricePerUnit"]["USD"]) == 0.0104
    by_name = products(box, **dict(wanted, location="US East (N. Virginia)"))
    assert [p["product"]["sku"] for p in by_name] == [found[0]["product"]["sku"]]
    dedicated = products(box, **dict(wanted, tenancy="Dedicated"))
    assert len(dedicated) == 1 and dedicated[0]["product"]["sku"] != found[0]["product"]["sku"]
    assert products(box, **dict(wanted, instanceType="t9.none")) == []
    everything = products(box, regionCode="us-east-1")
    types = client(box).get_paginator("describe_instance_types").paginate()
    names = {t["InstanceType"] for page in types for t in page["InstanceTypes"]}
    assert {p["product"]["attributes"]["instanceType"] for p in everything} == names


def test_bad_price_questions(box):
    pricing = client(box, "pricing")
    assert failure(pricing.get_products, ServiceCode="AmazonS3") == ("InvalidParameterException", 400)
    assert failure(pricing.get_products, ServiceCode="AmazonEC2", NextToken="x") \
        == ("InvalidNextTokenException", 400)


# ---- CloudWatch --------------------------------------------------------------------------------------------------

def alarm(name, instance="i-0123456789abcdef0", **changes):
    wanted = dict(AlarmName=name, MetricName="CPUUtilization", Namespace="AWS/EC2", Statistic="Average",
                  Dimensions=[{"Name": "InstanceId", "Value": instance}], Period=300, EvaluationPeriods=12,
                  Threshold=0.5, ComparisonOperator="LessThanThreshold", TreatMissingData="notBreaching",
                  AlarmActions=["arn:aws:automate:us-east-1:ec2:terminate"])
    wanted.update(changes)
    return {k: v for k, v in wanted.items() if v is not None}


def test_alarms_are_kept_listed_and_deleted(box):
    cloudwatch = client(box, "cloudwatch")
    for i in range(120):
        cloudwatch.put_metric_alarm(**alarm(f"many-{i:03}", AlarmDescription="<idle> & alone"))
    cloudwatch.put_metric_alarm(**alarm("other"))
    pages = list(cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix="many-"))
    names = [a["AlarmName"] for page in pages for a in page["MetricAlarms"]]
    assert names == [f"many-{i:03}" for i in range(120)] and len(pages) == 3
    one = cloudwatch.describe_alarms(AlarmNames=["many-007", "nothing"])["MetricAlarms"]
    assert [a["AlarmName"] for a in one] == ["many-007"]
    assert one[0]["AlarmDescription"] == "<idle> & alone" and one[0]["Threshold"] == 0.5
    assert one[0]["Dimensions"] == [{"Name": "InstanceId", "Value": "i-0123456789abcdef0"}]
    assert one[0]["StateValue"] == "INSUFFICIENT_DATA" and one[0]["ActionsEnabled"]
    assert one[0]["AlarmActions"] == ["arn:aws:automate:us-east-1:ec2:terminate"]
    assert one[0]["AlarmArn"].endswith(":123456789012:alarm:many-007")
    cloudwatch.put_metric_alarm(**alarm("many-007", Period=60, AlarmDescription=None))
    again = cloudwatch.describe_alarms(AlarmNames=["many-007"])["MetricAlarms"][0]
    assert again["Period"] == 60 and "AlarmDescription" not in again
    assert failure(cloudwatch.delete_alarms, AlarmNames=names[:101])[1] == 400
    assert failure(cloudwatch.delete_alarms, AlarmNames=["many-000", "nothing"]) == ("ResourceNotFound", 404)
    cloudwatch.delete_alarms(AlarmNames=names[:100])
    cloudwatch.delete_alarms(AlarmNames=names[100:] + ["other"])
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []
    assert failure(cloudwatch.describe_alarms, AlarmNames=["a"], AlarmNamePrefix="b") \
        == ("InvalidParameterCombination", 400)


@pytest.mark.parametrize("changes", [
    dict(Period=300, EvaluationPeriods=289), dict(Period=3600, EvaluationPeriods=169), dict(Period=45),
    dict(EvaluationPeriods=2, DatapointsToAlarm=3), dict(Statistic="Median"), dict(ComparisonOperator="Above"),
    dict(TreatMissingData="forgive"), dict(AlarmActions=["arn:aws:automate:eu-west-1:ec2:terminate"]),
    dict(AlarmActions=["nonsense"]), dict(AlarmActions=["arn:aws:automate:us-east-1:ec2:explode"]),
    dict(Dimensions=[]), dict(AlarmName="x" * 256),
    dict(AlarmActions=["arn:aws:automate:us-east-1:ec2:terminate"] * 6)])
def test_alarms_beyond_the_limits(box, changes):
    wanted = alarm("limits", **changes)
    cloudwatch = unchecked(box, "cloudwatch")
    assert failure(cloudwatch.put_metric_alarm, **wanted) == ("ValidationError", 400)
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


@pytest.mark.parametrize("changes", [dict(Period=300, EvaluationPeriods=288), dict(Period=3600, EvaluationPeriods=168)])
def test_alarms_at_the_limits(box, changes):
    cloudwatch = client(box, "cloudwatch")
    cloudwatch.put_metric_alarm(**alarm("edge", **changes))
    cloudwatch.delete_alarms(AlarmNames=["edge"])


def test_an_alarm_can_fire(box):
    (idle,) = launch(box)
    cloudwatch = client(box, "cloudwatch")
    cloudwatch.put_metric_alarm(**alarm("idle", idle))
    wait_state(box, idle, "running")
    told = box.control("fire-alarm", "idel", check=False)
    assert told.returncode == 1 and "'idle'" in told.stderr
    assert idle in box.control("fire-alarm", "idle").stdout
    wait_state(box, idle, "terminated")
    assert cloudwatch.describe_alarms()["MetricAlarms"][0]["StateValue"] == "ALARM"
    cloudwatch.delete_alarms(AlarmNames=["idle"])


# ---- faults ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fault, ec2, sts, ssm", [
    ("throttle", ("RequestLimitExceeded", 503), ("Throttling", 400), ("ThrottlingException", 400)),
    ("error", ("InternalError", 500), ("InternalFailure", 500), ("InternalServerError", 500)),
    ("error=503", ("Unavailable", 503), ("ServiceUnavailable", 503), ("ServiceUnavailable", 503)),
    ("unauthorized", ("UnauthorizedOperation", 403), ("AccessDenied", 403), ("AccessDeniedException", 400)),
    ("expired", ("RequestExpired", 400), ("ExpiredToken", 403), ("ExpiredTokenException", 400)),
])
def test_faults_that_answer(box, fault, ec2, sts, ssm):
    box.fault(fault, "--count", "3")
    assert failure(client(box).describe_vpcs) == ec2
    assert failure(client(box, "sts").get_caller_identity) == sts
    assert failure(client(box, "ssm").get_parameter, Name=UBUNTU) == ssm
    assert client(box).describe_vpcs()["Vpcs"]


def test_refusals_can_be_decoded(box):
    box.fault("unauthorized", "--action", "RunInstances")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        launch(box)
    encoded = caught.value.response["Error"]["Message"].split("message: ")[1]
    sts = client(box, "sts")
    decoded = json.loads(sts.decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"])
    assert decoded["allowed"] is False and decoded["context"]["action"] == "ec2:RunInstances"
    assert failure(sts.decode_authorization_message, EncodedMessage="bm90aGluZw==") \
        == ("InvalidAuthorizationMessageException", 400)


def test_skip_count_and_action(box):
    box.fault("throttle", "--action", "DescribeVpcs", "--skip", "2", "--count", "2")
    ec2 = client(box)
    assert ec2.describe_subnets()["Subnets"]
    ec2.describe_vpcs(), ec2.describe_vpcs()
    assert failure(ec2.describe_vpcs)[0] == failure(ec2.describe_vpcs)[0] == "RequestLimitExceeded"
    ec2.describe_vpcs()
    assert "no faults" in box.control("fault", "list").stdout


def test_a_dropped_connection_with_and_without_its_effect(box):
    before = count_alive(box)
    for fault, more in [("drop-before", 0), ("drop-after", 1)]:
        box.fault(fault, "--action", "RunInstances")
        with pytest.raises(botocore.exceptions.ConnectionClosedError):
            launch(box)
        assert count_alive(box) == before + more
    assert [r["status"] for r in box.requests() if r.get("fault", "").startswith("drop")][-2:] == [0, 0]
    terminate_all(box)


@pytest.mark.parametrize("fault, during", [("hold-before", 0), ("hold-after", 1)])
def test_a_held_request(box, fault, during):
    before = count_alive(box)
    box.fault(fault, "--action", "RunInstances")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(launch, box)
        limit = time.monotonic() + 10
        while "held" not in box.control("fault", "list").stdout:
            assert time.monotonic() < limit and not waiting.done()
            time.sleep(0.02)
        assert count_alive(box) == before + during
        assert json.loads(box.control("status", "-o", "json").stdout)["held"] == 1
        assert "1 request released" in box.control("release").stdout
        assert len(waiting.result(10)) == 1
    assert count_alive(box) == before + 1
    assert "held" not in box.control("fault", "list").stdout
    terminate_all(box)


def test_a_hold_ends_by_itself(box):
    box.fault("hold-before=0.5", "--action", "DescribeVpcs")
    began = time.monotonic()
    client(box).describe_vpcs()
    assert 0.4 < time.monotonic() - began < 5


def test_capacity_quota_and_partial_launches(box):
    box.fault("capacity", "--type", "t3.medium", "--zone", "us-east-1a", "--count", "forever")
    zones = {s["AvailabilityZone"]: s["SubnetId"] for s in client(box).describe_subnets()["Subnets"]}
    assert failure(launch, box=box, InstanceType="t3.medium", SubnetId=zones["us-east-1a"]) \
        == ("InsufficientInstanceCapacity", 500)
    assert launch(box, InstanceType="t3.medium", SubnetId=zones["us-east-1b"])
    assert launch(box, InstanceType="t3.small", SubnetId=zones["us-east-1a"])
    box.control("fault", "clear")
    box.fault("quota")
    assert failure(launch, box=box) == ("VcpuLimitExceeded", 400)
    box.fault("partial=2")
    assert len(launch(box, 5, MinCount=1)) == 2
    box.fault("partial=2")
    before = count_alive(box)
    assert failure(launch, box=box, count=5, MinCount=3)[0] == "InsufficientInstanceCapacity"
    assert count_alive(box) == before
    terminate_all(box)


def test_late_addresses(box):
    box.fault("late-address=1")
    late, soon = launch(box, 2)
    def ip(instance_id):
        found = client(box).describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        return found.get("PublicIpAddress")
    assert ip(late) is None and ip(soon)
    time.sleep(1.2)
    assert ip(late)
    terminate_all(box)


def test_the_servers_clock_can_differ(box):
    box.fault("skew=3600")
    status, headers, text = signed(box, REGIONS)
    assert (status, code_of(text)) == (400, "RequestExpired")
    assert email.utils.parsedate_to_datetime(headers["Date"]).timestamp() - time.time() > 3500
    box.control("fault", "clear")
    assert signed(box, REGIONS)[0] == 200


@pytest.mark.parametrize("words, hint", [
    (["throtle"], "'throttle'"), (["partial"], "partial=N"), (["throttle=3"], "takes no value"),
    (["error=404"], "500 or 503"), (["throttle", "--action", "RunInstance"], "'RunInstances'"),
    (["capacity", "--type", "t3.mediun"], "'t3.medium'"), (["capacity", "--zone", "eu-west-1a"], "us-east-1a"),
    (["capacity", "--action", "DescribeVpcs"], "RunInstances"), (["throttle", "--cuont", "2"], "'--count'"),
    (["throttle", "--count", "0"], "--count"), (["skew=1", "--action", "RunInstances"], "whole server"), ([], "FAULT")])
def test_faults_that_make_no_sense(box, words, hint):
    told = box.control("fault", "add", *words, check=False)
    assert told.returncode == 2 and hint in told.stderr, told.stderr
    assert "no faults" in box.control("fault", "list").stdout


# ---- the request log --------------------------------------------------------------------------------------------------

def test_the_request_log_tells_each_request_and_no_secret(box):
    since = len(box.requests())
    client(box, "sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/worker", RoleSessionName="me")
    failure(client(box).describe_instances, InstanceIds=["i-0123456789abcdef0"])
    one, other = box.requests()[since:]
    assert (one["service"], one["action"], one["status"]) == ("sts", "AssumeRole", 200)
    assert other["code"] == "InvalidInstanceID.NotFound" and other["status"] == 400
    assert other["took_us"] > 0 and len(other["request_id"]) == 36
    text = (box.dir / "requests.jsonl").read_text()
    assert keys(box)[1] not in text and "SessionToken" not in text and "Signature=" not in text


# ---- awscli -------------------------------------------------------------------------------------------------------------

AWS = "/usr/bin/aws"


def aws(box, *argv, status=0):
    done = run([AWS, "--endpoint-url", box.env["AWS_ENDPOINT_URL"], *argv], box.env)
    assert done.returncode == status, done.stderr
    return done


@pytest.mark.skipif(not os.path.exists(AWS), reason="awscli is not installed")
def test_awscli_with_the_exports(box):
    assert json.loads(aws(box, "sts", "get-caller-identity").stdout)["Account"] == "123456789012"
    image = json.loads(aws(box, "ssm", "get-parameter", "--name", UBUNTU).stdout)["Parameter"]["Value"]
    made = json.loads(aws(box, "ec2", "run-instances", "--image-id", image, "--instance-type", "t3.micro").stdout)
    name = made["Instances"][0]["InstanceId"]
    aws(box, "ec2", "wait", "instance-running", "--instance-ids", name)
    aws(box, "cloudwatch", "put-metric-alarm", "--alarm-name", "idle", "--metric-name", "CPUUtilization",
        "--namespace", "AWS/EC2", "--statistic", "Average", "--period", "300", "--evaluation-periods", "12",
        "--threshold", "0.5", "--comparison-operator", "LessThanThreshold", "--dimensions",
        f"Name=InstanceId,Value={name}", "--alarm-actions", "arn:aws:automate:us-east-1:ec2:terminate")
    assert json.loads(aws(box, "cloudwatch", "describe-alarms").stdout)["MetricAlarms"][0]["AlarmName"] == "idle"
    aws(box, "cloudwatch", "delete-alarms", "--alarm-names", "idle")
    aws(box, "ec2", "terminate-instances", "--instance-ids", name)
    refused = aws(box, "ec2", "describe-instances", "--instance-ids", "i-0123456789abcdef0", status=254)
    assert "InvalidInstanceID.NotFound" in refused.stderr


def test_cloudwatch_in_json_as_newer_clients_speak_it(box):
    def call(action, body):
        headers = {"X-Amz-Target": f"GraniteServiceVersion20100801.{action}",
                   "Content-Type": "application/x-amz-json-1.0"}
        status, headers, text = signed(box, json.dumps(body), "monitoring", headers=headers)
        assert headers["Content-Type"] == "application/x-amz-json-1.0"
        return status, json.loads(text)
    assert call("PutMetricAlarm", alarm("json")) == (200, {})
    status, found = call("DescribeAlarms", {"AlarmNames": ["json"]})
    assert status == 200 and found["MetricAlarms"][0]["AlarmName"] == "json"
    assert abs(found["MetricAlarms"][0]["StateUpdatedTimestamp"] - time.time()) < 60
    assert call("DeleteAlarms", {"AlarmNames": ["json"]}) == (200, {})
    status, refused = call("DeleteAlarms", {"AlarmNames": ["json"]})
    assert status == 404 and refused["__type"] == "ResourceNotFound"


# ---- starting, stopping, dying ---------------------------------------------------------------------------------------------

def test_exports_lead_away_from_the_users_account(ghosts):
    env = dict(ghosts.env, AWS_PROFILE="mine", AWS_ACCESS_KEY_ID="AKIAMINE", AWS_SESSION_TOKEN="mine",
               http_proxy="http://127.0.0.1:9")
    script = f'eval "$({SANDBOX} start)" && env'
    done = run(["sh", "-c", script], env, check=True)
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert not {"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"} & set(seen)
    assert seen["AWS_EC2_METADATA_DISABLED"] == "true" and seen["AWS_REGION"] == "us-east-1"
    assert seen["AWS_SHARED_CREDENTIALS_FILE"].startswith(str(ghosts.dir))
    assert "127.0.0.1" in seen["NO_PROXY"]
    assert "runs already" in done.stderr
    assert run([SANDBOX, "env"], ghosts.env, check=True).stdout.startswith("unset AWS_PROFILE")
    for secret in ["aws/credentials", "flambe-key.pem", "control.json", "identity.json"]:
        assert (ghosts.dir / secret).stat().st_mode & 0o077 == 0
    assert not (ghosts.home / ".aws").exists()


def test_stop_and_start_go_on_where_they_were(ghosts):
    running, stopped, gone = launch(ghosts, 3)
    ec2 = client(ghosts)
    client(ghosts, "cloudwatch").put_metric_alarm(**alarm("kept", running))
    wait_state(ghosts, stopped, "running")
    ec2.stop_instances(InstanceIds=[stopped])
    ec2.terminate_instances(InstanceIds=[gone])
    wait_state(ghosts, stopped, "stopped")
    wait_state(ghosts, gone, "terminated")
    ghosts.fault("throttle", "--action", "DescribeVpcs")
    endpoint = ghosts.env["AWS_ENDPOINT_URL"]
    key = keys(ghosts)
    pem = (ghosts.dir / "flambe-key.pem").read_text()
    assert ghosts.stop().returncode == 0
    with pytest.raises(OSError):
        socket.create_connection(address(ghosts), timeout=2)
    assert ghosts.control("status", check=False).returncode == 1
    ghosts.start()
    assert ghosts.env["AWS_ENDPOINT_URL"] == endpoint and keys(ghosts) == key
    assert (ghosts.dir / "flambe-key.pem").read_text() == pem
    assert [state(ghosts, i) for i in (running, stopped, gone)] == ["running", "stopped", "terminated"]
    assert client(ghosts, "cloudwatch").describe_alarms()["MetricAlarms"][0]["AlarmName"] == "kept"
    assert failure(client(ghosts).describe_vpcs)[0] == "RequestLimitExceeded"
    ec2 = client(ghosts)
    ec2.start_instances(InstanceIds=[stopped])
    wait_state(ghosts, stopped, "running")


def test_temporary_credentials_outlive_a_restart(ghosts):
    given = client(ghosts, "sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/worker",
                                              RoleSessionName="me")["Credentials"]
    ghosts.stop()
    ghosts.start()
    assert client(ghosts, key=given["AccessKeyId"], secret=given["SecretAccessKey"],
                  token=given["SessionToken"]).describe_vpcs()["Vpcs"]


def test_killed_at_any_time_it_has_what_it_answered(ghosts):
    pid = json.loads((ghosts.dir / "control.json").read_text())["pid"]
    made = launch(ghosts, 2)
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    ghosts.start()
    assert json.loads((ghosts.dir / "control.json").read_text())["pid"] != pid
    for name in made:
        wait_state(ghosts, name, "running")


def test_sigterm_is_stop(ghosts):
    (name,) = launch(ghosts)
    pid = json.loads((ghosts.dir / "control.json").read_text())["pid"]
    os.kill(pid, signal.SIGTERM)
    limit = time.monotonic() + 10
    while "no sandbox" not in ghosts.control("status", check=False).stderr:
        assert time.monotonic() < limit
        time.sleep(0.05)
    ghosts.start()
    wait_state(ghosts, name, "running")


def test_reset_begins_anew(ghosts):
    launch(ghosts, 3)
    client(ghosts, "cloudwatch").put_metric_alarm(**alarm("gone"))
    subnets = [s["SubnetId"] for s in client(ghosts).describe_subnets()["Subnets"]]
    ghosts.control("reset")
    assert client(ghosts).describe_instances()["Reservations"] == []
    assert client(ghosts, "cloudwatch").describe_alarms()["MetricAlarms"] == []
    assert [s["SubnetId"] for s in client(ghosts).describe_subnets()["Subnets"]] == subnets
    ghosts.stop()
    ghosts.control("reset")
    ghosts.start()
    assert count_alive(ghosts) == 0


@pytest.mark.parametrize("file, bytes_", [("world.json", b"{"), ("world.json", b"{}"), ("world.json", b"\x00\xff"),
                                          ("faults.json", b"[]"), ("identity.json", b"{}"), ("sandbox.json", b"[")])
def test_a_damaged_file_is_an_error_that_says_what_to_type(ghosts, file, bytes_):
    launch(ghosts)
    ghosts.stop()
    good = (ghosts.dir / file).read_bytes() if (ghosts.dir / file).exists() else None
    (ghosts.dir / file).write_bytes(bytes_)
    done = run([SANDBOX, "start"], ghosts.env)
    assert done.returncode == 1 and file in done.stderr and done.stdout == "", done.stderr
    assert file != "world.json" or "flambe-sandbox reset" in done.stderr
    assert (ghosts.dir / file).read_bytes() == bytes_, "it is left for its owner to mend"
    if good is None:
        (ghosts.dir / file).unlink()
    else:
        (ghosts.dir / file).write_bytes(good)
    ghosts.start()
    assert count_alive(ghosts) == 1


def test_another_kind_of_hosts_needs_a_reset(ghosts):
    launch(ghosts)
    told = run([SANDBOX, "start", "--hosts", "light"], ghosts.env)
    assert told.returncode == 1 and "ghost" in told.stderr and "stop" in told.stderr
    ghosts.stop()
    told = run([SANDBOX, "start", "--hosts", "light"], ghosts.env)
    assert told.returncode == 1 and "flambe-sandbox reset" in told.stderr


def test_the_port_may_be_chosen_and_may_be_taken(ghosts):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = dict(ghosts.env, FLAMBE_SANDBOX_DIR=str(ghosts.home / "other"))
        done = run([SANDBOX, "start", "--hosts", "ghost", "--port", str(port)], other)
        assert done.returncode == 1 and str(port) in done.stderr
    done = run([SANDBOX, "start", "--hosts", "ghost", "--port", str(port)], other, check=True)
    assert f"http://127.0.0.1:{port}" in done.stdout
    run([SANDBOX, "stop"], other, check=True)


def test_the_operators_door_needs_its_token(ghosts):
    for headers in [{}, {"Authorization": "Bearer " + "0" * 64}]:
        status, _, text = raw(ghosts, "POST", "/_sandbox/stop", "{}", headers)
        assert status == 403 and "token" in text
    assert ghosts.control("status").returncode == 0


@pytest.mark.parametrize("argv, hint", [
    (["strat"], "'start'"), (["start", "--host", "ghost"], "'--hosts'"), (["start", "--hosts", "gost"], "'ghost'"),
    (["start", "--port", "70000"], "65535"), (["start", "now"], "'now'"), (["kill"], "INSTANCE"),
    (["fault"], "fault add"), (["fault", "ad"], "fault add"), (["set", "pending-for", "soon"], "'soon'"),
    (["status", "-o", "yaml"], "json"), (["kill", "--dir"], "DIR"), ([], "usage")])
def test_wrong_command_lines(tmp_path, argv, hint):
    done = run([SANDBOX, *argv], {"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    assert done.returncode == 2 and hint in done.stderr + done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_command_has_help(tmp_path):
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    overview = run([SANDBOX, "--help"], env, check=True).stdout
    names = re.findall(r"^  ([a-z-]+(?: (?:add|list|clear|build))?)\b", overview, re.M)
    assert {"start", "stop", "reset", "fault add", "image build", "fire-alarm"} <= set(names)
    for name in names:
        if name == "eval":
            continue
        text = run([SANDBOX, *name.split(), "--help"], env, check=True).stdout
        assert text.startswith(f"usage: flambe-sandbox {name}") and "--dir" in text
    assert re.match(r"flambe-sandbox \d+\.\d+", run([SANDBOX, "--version"], env, check=True).stdout)


def test_instances_by_the_operator(ghosts):
    killed, cut = launch(ghosts, 2, TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "worker"}]}])
    wait_state(ghosts, cut, "running")
    ghosts.control("partition", cut)
    ghosts.control("partition", cut, "--off")
    ghosts.control("freeze", cut)
    ghosts.control("thaw", cut)
    assert "SSH HOST KEY" in ghosts.control("console", cut).stdout
    ghosts.control("kill", killed)
    wait_state(ghosts, killed, "terminated")
    ghosts.control("kill", "worker")
    wait_state(ghosts, cut, "terminated")
    told = ghosts.control("kill", "wroker", check=False)
    assert told.returncode == 1 and "worker" in told.stderr
    told = ghosts.control("reclaim", cut, check=False)
    assert told.returncode == 1 and "spot" in told.stderr
    ghosts.control("set", "pending-for", "3600")
    (slow,) = launch(ghosts)
    time.sleep(0.5)
    assert state(ghosts, slow) == "pending"
    told = ghosts.control("set", "pending-four", "1", check=False)
    assert told.returncode == 2 and "'pending-for'" in told.stderr


def test_in_the_foreground_until_it_is_told(ghosts):
    env = dict(ghosts.env, FLAMBE_SANDBOX_DIR=str(ghosts.home / "front"))
    child = subprocess.Popen([SANDBOX, "start", "--hosts", "ghost", "--foreground"], env=env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in child.stdout:
        if line.startswith("export FLAMBE_SANDBOX_DIR"):
            break
    assert run([SANDBOX, "status"], env).returncode == 0
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 0
