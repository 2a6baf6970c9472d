"""Shared fixtures of the tests that run whole programs.

FLAMBE_BUILD names the build directory (default: build); FLAMBE_VENV the Python that has the packages of
test/requirements.txt.
A sandbox lives in a directory of its own, with a home of its own: nothing of the user's is read.
"""
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("FLAMBE_BUILD", ROOT / "build")).resolve()
FLAMBE = str(BUILD / "flambe")
SANDBOX = str(BUILD / "flambe-sandbox")
COMMAND_SECONDS = 180

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))


def clean_env(home):
    """An environment without the user's AWS settings, and with a home of its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "XDG_", "FLAMBE_SANDBOX"))}
    env.update(HOME=str(home), XDG_STATE_HOME=f"{home}/state", XDG_CACHE_HOME=f"{home}/cache",
               NO_COLOR="1", AWS_EC2_METADATA_DISABLED="true")
    return env


def run(argv, env, check=False, seconds=COMMAND_SECONDS, stdin=subprocess.DEVNULL, **more):
    done = subprocess.run(argv, env=env, stdin=stdin, capture_output=True, text=True, timeout=seconds,
                          **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Sandbox:
    """A running flambe-sandbox: `.env` reaches it, `.dir` holds its files."""

    def __init__(self, home, kind="ghost", *options):
        self.home = pathlib.Path(home)
        self.dir = self.home / "sandbox"
        self.kind = kind
        self.options = list(options)
        self.env = clean_env(home)
        if kind != "ghost":
            # Images are made once and kept where every test finds them.
            self.env["XDG_CACHE_HOME"] = os.environ.get("FLAMBE_TEST_CACHE", str(BUILD / "cache"))
        self.env["FLAMBE_SANDBOX_DIR"] = str(self.dir)

    def start(self):
        done = run([SANDBOX, "start", "--hosts", self.kind, *self.options], self.env, check=True,
                   seconds=600)
        for name, value in re.findall(r"^export (\w+)='?([^'\n;]*)'?;?$", done.stdout, re.M):
            self.env[name] = value
        assert "AWS_ENDPOINT_URL" in self.env, done.stdout
        return self

    def control(self, *argv, check=True):
        return run([SANDBOX, *argv], self.env, check=check)

    def fault(self, *argv):
        return self.control("fault", "add", *argv)

    def stop(self):
        return self.control("stop", check=False)

    def destroy(self):
        """Everything of it goes: instances, hosts, files."""
        self.control("reset", check=False)
        return self.stop()

    def requests(self):
        """The request log, one dictionary each."""
        path = self.dir / "requests.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def flambe(self, *argv, check=False, **more):
        return run([FLAMBE, *map(str, argv)], self.env, check=check, **more)

    def cluster_file(self, **changes):
        """A copy of the ready cluster file, with some keys changed (None removes one)."""
        text = (self.dir / "aws-cluster.yaml").read_text()
        for key, value in changes.items():
            text = re.sub(rf"^{key}:.*\n(?:[ \t]+.*\n)*", "", text, flags=re.M)
            if value is not None:
                text += f"{key}: {value}\n"
        path = self.home / f"cluster-{len(list(self.home.glob('cluster-*.yaml')))}.yaml"
        path.write_text(text)
        return path


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Fixtures learn from `request.node.failed` whether their test has failed."""
    item.failed = getattr(item, "failed", False) or call.excinfo is not None
    yield


_networks = itertools.count(os.getpid())


def make_sandbox(kind, *options):
    home = tempfile.mkdtemp(prefix="flambe-test-")
    if kind != "ghost":
        # Beside a sandbox of the user's own, and beside other test runs.
        place = next(n % 40 for n in _networks
                     if not os.path.exists(f"/sys/class/net/flambet{n % 40}"))
        options = (*options, "--bridge", f"flambet{place}", "--network", f"10.{120 + 2 * place}.0.0/16",
                   "--public-network", f"10.{121 + 2 * place}.0.0/16")
    return Sandbox(home, kind, *options)


def needs_root():
    if os.geteuid() != 0:
        pytest.skip("real hosts need root")
    if not shutil.which("lxc-start"):
        pytest.skip("real hosts need LXC")


def running_sandbox(kind):
    """Starts a sandbox, lends it, and removes everything of it."""
    if kind != "ghost":
        needs_root()
    box = make_sandbox(kind)
    try:
        yield box.start()
    finally:
        box.destroy()
        shutil.rmtree(box.home, ignore_errors=True)


@pytest.fixture
def ghosts():
    """A fresh sandbox of ghosts: needs no root."""
    yield from running_sandbox("ghost")


@pytest.fixture(scope="module")
def light():
    """Light hosts (sshd alone), shared by a module's tests."""
    yield from running_sandbox("light")


@pytest.fixture(scope="module")
def booted():
    """Booted hosts (systemd and cloud-init), shared by a module's tests."""
    yield from running_sandbox("booted")
