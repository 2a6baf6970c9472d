"""Our signatures against botocore's, over random requests (the seed is printed)."""
import datetime
import json
import os
import random
import subprocess

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from conftest import BUILD

TOOL = BUILD / "test" / "conformance" / "sigv4_tool"
REQUESTS = 2000
UNRESERVED = "ABCXYZabcxyz0189-_.~"


def escaped(rng, n, alphabet=UNRESERVED + " /?=&+%$é語\U0001f600:;,@!'()*#[]"):
    """Random text, percent-encoded as a client sends it."""
    out = ""
    for c in rng.choices(alphabet, k=n):
        out += c if c in UNRESERVED else "".join(f"%{b:02X}" for b in c.encode())
    return out


def random_request(rng):
    segments = [rng.choice(["", ".", "..", escaped(rng, rng.randint(1, 8))])
                for _ in range(rng.randint(0, 5))]
    if segments and segments[-1] in (".", ".."):
        segments.append("")  # RFC 3986 ends "/a/." with a slash, botocore does not
    path = "/" + "/".join(segments)
    # botocore takes a query apart at '&' and '=' and signs its parts as they are
    pairs = [(escaped(rng, rng.randint(1, 6)), escaped(rng, rng.randint(0, 6)))
             for _ in range(rng.randint(0, 5))]
    host = rng.choice(["ec2.us-east-1.amazonaws.com", "127.0.0.1:5000", "localhost:8443"])
    headers = {"Host": host}
    names = ["Content-Type", "X-Amz-Target", "x-custom", "X-Zzz", "Accept", "User-Agent", "Expect"]
    for name in rng.sample(names, rng.randint(0, len(names))):
        headers[name] = rng.choice(["a", "a  b", "  spaced   out ", "x; charset=utf-8", "\ttabbed\t\tin",
                                    '"q  q"'])
    return {
        "method": rng.choice(["GET", "POST", "PUT", "DELETE"]),
        "path": path,
        "query": "&".join(f"{k}={v}" for k, v in pairs),
        "headers": list(headers.items()),
        "body": "".join(rng.choices("abc=&%20é\n", k=rng.randint(0, 200))),
        "access": "AKID" + "".join(rng.choices("ABC123", k=8)),
        "secret": "".join(rng.choices("abc/+=XYZ09", k=40)),
        "token": rng.choice([None, "".join(rng.choices("abc/+=", k=80))]),
        "region": rng.choice(["us-east-1", "eu-central-1", "cn-north-1"]),
        "service": rng.choice(["ec2", "sts", "ssm", "monitoring", "pricing"]),
        "time": rng.randint(1_000_000_000, 4_000_000_000),
        "host": host,
    }


def by_botocore(r, monkeypatch):
    now = datetime.datetime.fromtimestamp(r["time"], datetime.timezone.utc).replace(tzinfo=None)

    class Frozen(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return now

        @classmethod
        def now(cls, tz=None):
            return now.replace(tzinfo=tz)

    class Module:
        datetime = Frozen

    monkeypatch.setattr(botocore.auth, "datetime", Module)
    if hasattr(botocore.auth, "get_current_datetime"):
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: now)
    url = f"https://{r['host']}{r['path']}" + (f"?{r['query']}" if r["query"] else "")
    request = AWSRequest(method=r["method"], url=url, headers=dict(r["headers"]), data=r["body"].encode())
    signer = botocore.auth.SigV4Auth(Credentials(r["access"], r["secret"], r["token"]), r["service"],
                                     r["region"])
    signer.add_auth(request)
    return request.headers["Authorization"]


def test_same_signatures(monkeypatch):
    if not TOOL.exists():
        pytest.fail(f"{TOOL} is not built")
    seed = int(os.environ.get("FLAMBE_SEED", random.randrange(1 << 32)))
    print("FLAMBE_SEED =", seed)
    rng = random.Random(seed)
    requests = [random_request(rng) for _ in range(REQUESTS)]
    lines = "".join(json.dumps({k: v for k, v in r.items() if v is not None}) + "\n" for r in requests)
    done = subprocess.run([TOOL], input=lines, capture_output=True, text=True, timeout=120, check=True)
    ours = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(ours) == REQUESTS
    for request, mine in zip(requests, ours):
        assert mine["authorization"] == by_botocore(request, monkeypatch), json.dumps(
            {"request": request, "ours": mine}, indent=1)
