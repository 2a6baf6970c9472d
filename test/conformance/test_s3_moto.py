"""S3 of ours against moto: boto3 puts the objects there, our tool fetches them. And a file over HTTP
from Python's own server. Needs FLAMBE_VENV (moto, PyPI)."""
import http.server
import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

import boto3
import pytest

from conftest import BUILD, clean_env

TOOL = BUILD / "test" / "conformance" / "aws_tool"
numbers = itertools.count(1)
BIG = os.urandom(1 << 20) * 20


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
def s3(moto):
    return boto3.client("s3", endpoint_url=moto["AWS_ENDPOINT_URL"], region_name="us-east-1",
                        aws_access_key_id="testing", aws_secret_access_key="testing")


@pytest.fixture
def bucket(s3):
    name = f"bucket-{next(numbers)}"
    s3.create_bucket(Bucket=name)
    return name


def call(moto, *argv, fails=None, **env):
    done = subprocess.run([TOOL, *map(str, argv)], env={**moto, **env}, capture_output=True, text=True,
                          timeout=120)
    if fails:
        assert done.returncode == 1, done.stdout
        assert done.stderr.startswith(fails), done.stderr
        return done.stderr
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


def files(place):
    return {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}


def test_object(moto, s3, bucket, tmp_path):
    s3.put_object(Bucket=bucket, Key="models/big.bin", Body=BIG)
    place = tmp_path / "big.bin"
    got = call(moto, "s3-fetch", f"s3://{bucket}/models/big.bin", place)
    assert got == {"tree": False, "size": len(BIG), "count": 1}
    assert place.read_bytes() == BIG
    assert os.listdir(tmp_path) == ["big.bin"]


def test_half_an_object_is_gone_on_with(moto, s3, bucket, tmp_path):
    s3.put_object(Bucket=bucket, Key="big", Body=BIG)
    etag = s3.head_object(Bucket=bucket, Key="big")["ETag"]
    marked = b"X" * 1000 + BIG[1000:5000]
    (tmp_path / "f.part").write_bytes(marked)
    (tmp_path / "f.part.etag").write_text(f"s3://{bucket}/big\n{etag}\n")
    call(moto, "s3-fetch", f"s3://{bucket}/big", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == marked + BIG[5000:]  # the first bytes were not sent again
    assert os.listdir(tmp_path) == ["f"]


def test_empty_object(moto, s3, bucket, tmp_path):
    s3.put_object(Bucket=bucket, Key="nothing", Body=b"")
    assert call(moto, "s3-fetch", f"s3://{bucket}/nothing", tmp_path / "f")["size"] == 0
    assert (tmp_path / "f").read_bytes() == b"" and os.listdir(tmp_path) == ["f"]


def test_odd_keys(moto, s3, bucket, tmp_path):
    keys = ["plain", "with space", "a+b", "ümläut/日本", "per%20cent", "quo'te\"s", "amp&er=and?#;", "d/e/f.txt",
            "-dash", "~tilde!$(),*", ".hidden", "..two", "tab\tbed"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key="odd/" + key, Body=key.encode())
    assert [o["key"] for o in call(moto, "s3-list", f"s3://{bucket}/odd/")] == sorted(
        ("odd/" + k for k in keys), key=str.encode)
    got = call(moto, "s3-fetch", f"s3://{bucket}/odd/", tmp_path / "tree")
    assert got["tree"] and got["count"] == len(keys)
    assert files(tmp_path / "tree") == {k: k.encode() for k in keys}
    assert os.listdir(tmp_path) == ["tree"]


def test_prefix_without_a_slash(moto, s3, bucket, tmp_path):
    """'data' is no object: all of 'data/', and nothing of 'database'."""
    s3.put_object(Bucket=bucket, Key="data/a", Body=b"1")
    s3.put_object(Bucket=bucket, Key="database", Body=b"2")
    call(moto, "s3-fetch", f"s3://{bucket}/data", tmp_path / "t")
    assert files(tmp_path / "t") == {"a": b"1"}
    call(moto, "s3-fetch", f"s3://{bucket}", tmp_path / "all")
    assert files(tmp_path / "all") == {"data/a": b"1", "database": b"2"}


def test_directory_objects(moto, s3, bucket, tmp_path):
    s3.put_object(Bucket=bucket, Key="d/", Body=b"")
    s3.put_object(Bucket=bucket, Key="d/sub/", Body=b"")
    s3.put_object(Bucket=bucket, Key="d/x", Body=b"x")
    call(moto, "s3-fetch", f"s3://{bucket}/d/", tmp_path / "t")
    assert files(tmp_path / "t") == {"x": b"x"} and (tmp_path / "t" / "sub").is_dir()


@pytest.mark.parametrize("key", ["../evil", "a/../../evil", "a//evil", "/evil", "a/./b", "a/..", "x" * 300])
def test_keys_that_would_leave(moto, s3, bucket, tmp_path, key):
    s3.put_object(Bucket=bucket, Key="p/good", Body=b"good")
    s3.put_object(Bucket=bucket, Key="p/" + key, Body=b"evil")
    said = call(moto, "s3-fetch", f"s3://{bucket}/p/", tmp_path / "in" / "t", fails="rejected")
    assert "cannot be a file's path" in said
    assert list(tmp_path.rglob("*")) == []


def test_many_pages(moto, s3, bucket, tmp_path):
    for i in range(1003):
        s3.put_object(Bucket=bucket, Key=f"n/{i % 7}/{i:05d}", Body=str(i).encode())
    assert len(call(moto, "s3-list", f"s3://{bucket}/n/")) == 1003
    call(moto, "s3-fetch", f"s3://{bucket}/n/", tmp_path / "t")
    assert files(tmp_path / "t") == {f"{i % 7}/{i:05d}": str(i).encode() for i in range(1003)}


def test_a_tree_is_gone_on_with(moto, s3, bucket, tmp_path):
    """After a key that cannot be put in its place, what is there already is not fetched again."""
    s3.put_object(Bucket=bucket, Key="t/a", Body=b"a")
    s3.put_object(Bucket=bucket, Key="t/b", Body=b"b")
    (tmp_path / "t" / "b").mkdir(parents=True)
    call(moto, "s3-fetch", f"s3://{bucket}/t/", tmp_path / "t", fails="io")
    assert (tmp_path / "t.parts" / "done").read_text().count("\n") == 1
    (tmp_path / "t" / "a").write_bytes(b"marked")
    (tmp_path / "t" / "b").rmdir()
    call(moto, "s3-fetch", f"s3://{bucket}/t/", tmp_path / "t")
    assert files(tmp_path / "t") == {"a": b"marked", "b": b"b"}
    assert os.listdir(tmp_path) == ["t"]


def test_errors(moto, s3, bucket, tmp_path):
    said = call(moto, "s3-fetch", f"s3://{bucket}/none", tmp_path / "f", fails="not-found")
    assert f"there is no object 's3://{bucket}/none', and none below it" in said
    call(moto, "s3-fetch", f"s3://{bucket}/none/", tmp_path / "f", fails="not-found")
    call(moto, "s3-fetch", "s3://no-such-bucket-at-all/x", tmp_path / "f", fails="not-found NoSuchBucket")
    call(moto, "s3-fetch", "s3://", tmp_path / "f", fails="file")
    call(moto, "s3-fetch", "s3://../x", tmp_path / "f", fails="file")
    call(moto, "s3-fetch", f"s3://{bucket}/x", tmp_path / "no" / "f", fails="io")
    assert os.listdir(tmp_path) == []


def test_without_credentials(moto, s3, bucket, tmp_path):
    s3.put_object(Bucket=bucket, Key="k", Body=b"public", ACL="public-read")
    call(moto, "s3-fetch", f"s3://{bucket}/k", tmp_path / "f", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert (tmp_path / "f").read_bytes() == b"public"


# ---- a file over HTTP


class Files(http.server.BaseHTTPRequestHandler):
    """/file answers ranges; /cut breaks off once at each half; /plain knows no ranges; /to leads on."""
    protocol_version = "HTTP/1.1"
    asked = []

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("Range")))
        if self.path.startswith("/to"):
            self.send_response(302)
            self.send_header("Location", self.path[3:] or "/file")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path not in ("/file", "/cut", "/plain"):
            self.send_error(404)
            return
        first = 0
        ranged = self.headers.get("Range") if self.path != "/plain" else None
        if ranged and self.headers.get("If-Range") == '"v1"':
            first = int(ranged[6:].rstrip("-"))
        self.send_response(206 if first else 200)
        self.send_header("ETag", '"v1"')
        self.send_header("Content-Length", str(len(BIG) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(BIG) - 1}/{len(BIG)}")
        self.end_headers()
        body = BIG[first:]
        if self.path == "/cut" and len(body) > 1000:
            self.wfile.write(body[:len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)


def serve(tls=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Files.asked.clear()
    yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def web():
    yield from serve()


@pytest.fixture
def certificate(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("a certificate needs openssl")
    place = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                    place / "key.pem", "-out", place / "cert.pem"], check=True, capture_output=True)
    return place


@pytest.fixture
def secure_web(certificate):
    yield from serve(certificate)


@pytest.mark.parametrize("path", ["/file", "/plain", "/to"])
def test_http(web, tmp_path, path):
    env = clean_env(tmp_path)
    assert call(env, "download", web + path, tmp_path / "f") == {"size": len(BIG)}
    assert (tmp_path / "f").read_bytes() == BIG and os.listdir(tmp_path) == ["f"]


def test_http_cut(web, tmp_path):
    call(clean_env(tmp_path), "download", web + "/cut", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BIG
    starts = [int(r[6:-1]) for _, r in Files.asked if r]
    assert len(starts) > 5 and starts == sorted(starts)  # each try went on where the last one ended


def test_http_missing(web, tmp_path):
    said = call(clean_env(tmp_path), "download", web + "/none?token=secret", tmp_path / "f", fails="not-found")
    assert "/none'" in said and "secret" not in said and os.listdir(tmp_path) == []


def test_https(secure_web, web, certificate, tmp_path):
    env, place, trusted = clean_env(tmp_path), tmp_path / "f", certificate / "cert.pem"
    call(env, "download", secure_web + "/file", place, trusted)
    assert place.read_bytes() == BIG
    place.unlink()
    said = call(env, "download", secure_web + "/file", place, fails="rejected")
    assert "is not trusted" in said
    call(env, "download", f"{web}/to{secure_web}/file", place, trusted)  # from http to https
    assert place.read_bytes() == BIG
    place.unlink()
    Files.asked.clear()
    said = call(env, "download", f"{secure_web}/to{web}/file", place, trusted, fails="rejected")
    assert "from https to a connection that anyone can change" in said
    assert len(Files.asked) == 1 and os.listdir(tmp_path) == []
