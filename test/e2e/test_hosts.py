"""The sandbox's hosts by themselves, without its API: made, reached, broken and removed.

Driven through hosts_tool, in networks of its own, so that it runs beside other sandboxes. What is
asked of a host is asked over SSH by OpenSSH's own client.
"""
import hashlib
import itertools
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import typing

import pytest

from conftest import BUILD, needs_root

TOOL = str(BUILD / "test/unit/sandbox/hosts_tool")
PLACES = 25


class Place(typing.NamedTuple):
    """A bridge and two /16 networks, by their first two numbers, that nothing else here uses."""
    bridge: str
    private: str
    public: str

    def options(self):
        return [self.bridge, f"{self.private}.0.0/16", f"{self.public}.0.0/16"]


_places = itertools.count(os.getpid())


def free_place():
    """Another each time, so that what one test may leave is no other's failure, and other sandboxes
    may be at work."""
    for n in itertools.islice(_places, PLACES):
        n %= PLACES
        place = Place(f"flhosts{n}", f"10.{40 + 2 * n}", f"10.{41 + 2 * n}")
        routes = output_of("ip", "route")
        if not os.path.exists(f"/sys/class/net/{place.bridge}") and not any(
                re.search(rf"\b{re.escape(net)}\.", routes) for net in (place.private, place.public)):
            return place
    raise AssertionError("no network is free")


CACHE = pathlib.Path(os.environ.get("FLAMBE_TEST_CACHE", str(BUILD / "cache"))) / "flambe"
READY_SECONDS = 180  # a busy machine takes its time; nothing waits longer than it must
SSH_SECONDS = 60


def instance_id(n):
    return f"i-{n:017x}"


class Tool:
    """A running hosts_tool; `.do` gives it a command and returns its answer."""

    running = []

    def __init__(self, home, kind, place=None):
        self.home = pathlib.Path(home)
        self.place = place or home.place
        self.private, self.public = self.place.private, self.place.public
        self.events = []
        self.pending = b""
        self.process = subprocess.Popen(
            [TOOL, kind, str(self.home / "sandbox"), str(CACHE), *self.place.options()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        Tool.running.append(self)
        self.opened = self.answer(600)

    def line(self, seconds):
        end = time.monotonic() + seconds
        while b"\n" not in self.pending:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                return None
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode(errors="replace")

    def answer(self, seconds=120):
        while True:
            line = self.line(seconds)
            if line is None or line == "ok" or line.startswith("error"):
                return line
            self.events.append(line)

    def do(self, *words):
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.process.stdin.flush()
        return self.answer()

    def event(self, start, seconds=READY_SECONDS):
        end = time.monotonic() + seconds
        while True:
            for i, line in enumerate(self.events):
                if line.startswith(start):
                    return self.events.pop(i)
            line = self.line(max(0, end - time.monotonic()))
            if line is None:
                return None
            self.events.append(line)

    def ended(self, n, seconds=READY_SECONDS):
        return self.event(f"ended {instance_id(n)} ", seconds)

    def make(self, n, verb="create", user="ubuntu", vcpus=1, memory=512, volume=3, data=None, fault=""):
        path = data or self.user_data()
        return self.do(verb, instance_id(n), f"{self.private}.1.{n}", f"{self.public}.1.{n}", user,
                       self.home / "key.pub", path, vcpus, memory, volume, *filter(None, [fault]))

    def user_data(self, more="", name="user-data"):
        private = (self.home / "hostkey").read_text()
        public = (self.home / "hostkey.pub").read_text().strip()
        text = "#cloud-config\nssh_keys:\n  ed25519_private: |\n"
        text += "".join(f"    {line}\n" for line in private.splitlines())
        text += f"  ed25519_public: {public}\n{more}"
        path = self.home / name
        path.write_text(text)
        return path

    def ssh(self, n, command, user="ubuntu", seconds=SSH_SECONDS):
        address = f"{self.public}.1.{n}"
        known = self.home / f"known-{n}"
        known.write_text(f"{address} {(self.home / 'hostkey.pub').read_text()}")
        argv = ["ssh", "-F", "/dev/null", "-i", str(self.home / "key"), "-o", "IdentitiesOnly=yes",
                "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10",
                "-o", "ServerAliveInterval=5", "-o", f"UserKnownHostsFile={known}", f"{user}@{address}",
                command]
        try:
            return subprocess.run(argv, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:  # its machine went away under it
            return subprocess.CompletedProcess(argv, 255, "", f"no answer in {seconds} s")

    def wait(self, n, user="ubuntu"):
        """Until SSH answers with the injected key; the seconds it took."""
        start = time.monotonic()
        done = None
        while time.monotonic() < start + READY_SECONDS:
            if port_open(f"{self.public}.1.{n}"):
                done = self.ssh(n, "true", user)
                if done.returncode == 0:
                    return time.monotonic() - start
            time.sleep(0.05)
        raise AssertionError(f"host {n} does not answer: {done and done.stderr}; {self.events}")

    def reboots(self, n, how):
        """Does that, and waits until a machine answers that has booted since."""
        assert self.ssh(n, "sudo touch /run/before").returncode == 0
        how()
        end = time.monotonic() + READY_SECONDS
        while self.ssh(n, "test ! -e /run/before").returncode != 0:
            assert time.monotonic() < end, f"host {n} does not reboot"
            time.sleep(0.2)

    def crash(self):
        self.process.kill()
        self.process.wait()

    def close(self, how="remove"):
        if self.process.poll() is None:
            assert self.do("close", how) == "ok"
            self.process.wait(timeout=60)


def port_open(address):
    try:
        with socket.create_connection((address, 22), 1) as s:
            s.settimeout(2)
            return s.recv(4) == b"SSH-"
    except OSError:
        return False


def output_of(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout


def cgroup_tops():
    """Of all mounted hierarchies."""
    tops = ["/sys/fs/cgroup", *(entry.path for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir())]
    return [top for top in tops if top in [line.split()[1] for line in open("/proc/mounts")]
            and os.path.exists(f"{top}/cgroup.procs")]


def prefix_of(home):
    """What the names of its containers begin with."""
    return "fl" + hashlib.sha256(f"{home}/sandbox".encode()).hexdigest()[:8]


def traces(home):
    """What a sandbox could leave behind, as text; empty when there is nothing."""
    bridge, private, public = home.place
    found = [line for line in output_of("ip", "-o", "link").splitlines() if bridge in line]
    found += [line for line in output_of("ip", "route").splitlines() if any(f"{net}.0.0" in line for net in (private, public))]
    found += [line for line in output_of("ip", "netns").splitlines() if bridge in line]
    found += [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if str(home) in line]
    found += [line for line in output_of("losetup", "-a").splitlines() if str(home) in line]
    found += [line for line in output_of("ps", "axww", "-o", "pid,args").splitlines()
              if "lxc monitor" in line and str(home) in line]
    found += [line for line in output_of("nft", "list", "tables").splitlines() if bridge in line]
    found += [hosts.name for hosts in pathlib.Path(home).glob("sandbox/hosts/*")]
    prefix = prefix_of(home)
    for top in cgroup_tops():
        found += [f"{top}/{name}" for name in os.listdir(top) if prefix in name]
    return found


class Home(str):
    """The directory of a test's sandboxes, with its place in the network."""
    place = None


@pytest.fixture
def home(request):
    needs_root()
    if not os.path.exists(TOOL):
        pytest.skip("hosts_tool is not built")
    path = Home(tempfile.mkdtemp(prefix="flambe-hosts-"))
    path.place = free_place()
    for name in ("key", "hostkey"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{path}/{name}"], check=True)
    yield path
    # However the test ended, nothing of it lives on.
    while Tool.running:
        Tool.running.pop().crash()
    swept = sweep(path)
    left = traces(path)
    if left:
        kill_named(prefix_of(path))
        sweep(path)
    shutil.rmtree(path, ignore_errors=True)
    assert request.node.failed or not left, swept.stdout  # one failure is not told twice


def kill_named(word):
    for line in output_of("ps", "axww", "-o", "pid,args").splitlines():
        pid, args = line.split(None, 1)
        if word in args:
            os.kill(int(pid), signal.SIGKILL)


def sweep(home, place=None):
    return subprocess.run([TOOL, "sweep", f"{home}/sandbox", str(CACHE), *(place or home.place).options()],
                          capture_output=True, text=True, timeout=400)


def lend(home, kind):
    tool = Tool(home, kind)
    assert tool.opened == "ok", tool.opened
    yield tool
    if tool.process.poll() is None:
        tool.close()
        assert not traces(home)


@pytest.fixture
def light(home):
    yield from lend(home, "light")


@pytest.fixture
def booted(home):
    yield from lend(home, "booted")


# ---- booted ----------------------------------------------------------------------------------------


def test_a_booted_host_is_what_was_asked_for(booted):
    data = booted.user_data("bootcmd:\n - echo early > /boot-ran\n"
                            "write_files:\n - {path: /etc/made, content: hello}\n"
                            "runcmd:\n - echo late > /run-ran\n")
    assert booted.make(10, user="admin", memory=300, volume=3, data=data) == "ok"
    booted.wait(10, user="admin")
    out = booted.ssh(10, "cloud-init status --wait >/dev/null; hostname; id -un; sudo -n id -un; "
                         "cat /boot-ran; cat /etc/made; echo; cat /run-ran; "
                         "systemctl is-system-running --wait; cloud-init query platform; id -u",
                     user="admin", seconds=READY_SECONDS).stdout.split()
    name = f"ip-{booted.private.replace('.', '-')}-1-10"
    assert out == [name, "admin", "root", "early", "hello", "late", "running", "ec2", "1000"]
    assert booted.do("console", instance_id(10)) == "ok"
    console = booted.event("console", 0)
    key = pathlib.Path(booted.home, "hostkey.pub").read_text().split()[1]
    assert "-----BEGIN SSH HOST KEY KEYS-----" in console and key in console


def test_limits_and_the_volume_are_real(booted):
    assert booted.make(11, vcpus=1, memory=300, volume=3) == "ok"
    booted.wait(11)
    assert booted.ssh(11, "nproc").stdout.strip() == "1"
    size = int(booted.ssh(11, "df --output=size -B1M / | tail -1").stdout)
    assert 2800 < size <= 3072
    hungry = booted.ssh(11, "python3 -c 'x = bytearray(500 << 20)'; echo $?")
    assert hungry.stdout.strip() == "137"  # killed for its memory
    assert booted.ssh(11, "echo alive").stdout == "alive\n"


def test_a_host_reaches_the_other_hosts_and_nothing_else(booted):
    for n in (12, 13):
        assert booted.make(n) == "ok"
    for n in (12, 13):
        booted.wait(n)
    ask = "ping -qc1 -W2 {0} >/dev/null; echo $?".format
    assert booted.ssh(12, ask(f"{booted.private}.1.13")).stdout == "0\n"
    assert booted.ssh(12, ask(f"{booted.public}.1.13")).stdout == "0\n"
    listener = socket.create_server((f"{booted.private}.0.2", 0))
    port = listener.getsockname()[1]
    tcp = "timeout 3 bash -c '</dev/tcp/{0}/{1}' 2>/dev/null; echo $?".format
    assert booted.ssh(12, tcp(f"{booted.private}.0.2", port)).stdout != "0\n"  # this machine
    assert booted.ssh(12, tcp("198.51.100.1", 80)).stdout != "0\n"
    assert booted.ssh(12, tcp(f"{booted.private}.1.13", 22)).stdout == "0\n"
    listener.close()
    denied = booted.ssh(12, "sudo mknod /tmp/disk b 254 0; sudo date -s 2001-01-01").stderr
    assert denied.count("Operation not permitted") == 2


def test_metadata_needs_a_token(booted):
    assert booted.make(14) == "ok"
    booted.wait(14)
    base = "http://169.254.169.254/latest"
    assert booted.ssh(14, f"curl -so /dev/null -w '%{{http_code}}' {base}/meta-data/").stdout == "401"
    token = f'$(curl -sX PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" {base}/api/token)'
    got = booted.ssh(14, f'curl -sH "X-aws-ec2-metadata-token: {token}" {base}/meta-data/instance-id').stdout
    assert got == instance_id(14)
    assert not port_open("169.254.169.254")  # the machine itself has no such route


def test_stop_start_reboot_and_power_off(booted):
    assert booted.make(15) == "ok"
    booted.wait(15)
    booted.ssh(15, "echo kept > ~/file; sync")
    assert booted.do("stop", instance_id(15)) == "ok"
    assert booted.ended(15) == f"ended {instance_id(15)} -"
    assert booted.do("start", instance_id(15)) == "ok"
    booted.wait(15)
    assert booted.ssh(15, "cat ~/file").stdout == "kept\n"
    for reboot in (lambda: booted.do("reboot", instance_id(15)),
                   lambda: booted.ssh(15, "sudo systemctl reboot")):
        booted.reboots(15, reboot)
    assert not any(e.startswith("ended") for e in booted.events)
    booted.ssh(15, "sudo systemctl poweroff")
    assert booted.ended(15) == f"ended {instance_id(15)} -"


def test_faults_of_a_booted_host(booted):
    assert booted.make(16, fault="never_boots") == "ok"
    assert booted.make(17, fault="foreign") == "ok"
    end = time.monotonic() + READY_SECONDS
    while not port_open(f"{booted.public}.1.17"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "HOST IDENTIFICATION HAS CHANGED" in booted.ssh(17, "true").stderr
    time.sleep(2)
    assert not port_open(f"{booted.public}.1.16")
    for verb, n in (("kill", 16), ("kill", 17)):
        assert booted.do(verb, instance_id(n)) == "ok"
        assert booted.ended(n) == f"ended {instance_id(n)} -"


# ---- light -----------------------------------------------------------------------------------------


def test_a_light_host(light):
    assert light.make(20) == "ok"
    light.wait(20)
    name = f"ip-{light.private.replace('.', '-')}-1-20"
    assert light.ssh(20, "sudo -n hostname").stdout == f"{name}\n"
    # A host that does not know its own name waits 20 s in every sudo.
    assert name in light.ssh(20, f"getent -s files hosts {name}").stdout
    light.ssh(20, "echo kept > file")
    for reboot in (lambda: light.ssh(20, "sudo reboot"), lambda: light.do("reboot", instance_id(20))):
        light.reboots(20, reboot)
        assert light.ssh(20, "cat file").stdout == "kept\n"
    light.ssh(20, "sudo systemctl poweroff")
    assert light.ended(20) == f"ended {instance_id(20)} -"


def test_a_partition_and_a_hang(light):
    assert light.make(21) == "ok"
    light.wait(21)
    for fault in ("partition", "freeze"):
        assert light.do(fault, instance_id(21), "on") == "ok"
        assert not port_open(f"{light.public}.1.21")
        assert light.do(fault, instance_id(21), "off") == "ok"
        light.wait(21)
    assert light.do("freeze", instance_id(21), "on") == "ok"
    assert light.do("kill", instance_id(21)) == "ok"
    assert light.ended(21) == f"ended {instance_id(21)} -"


def test_faults_of_a_light_host(light):
    assert light.make(22, fault="never_boots") == "ok"
    assert light.make(23, fault="foreign") == "ok"
    end = time.monotonic() + READY_SECONDS
    while not port_open(f"{light.public}.1.23"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert "HOST IDENTIFICATION HAS CHANGED" in light.ssh(23, "true").stderr
    assert not port_open(f"{light.public}.1.22")
    assert light.do("stop", instance_id(22)) == "ok"  # it does not listen: killed after the bound
    assert light.ended(22) == f"ended {instance_id(22)} -"


def test_thirty_at_once_and_gone_again(light):
    start = time.monotonic()
    for n in range(100, 130):
        assert light.make(n) == "ok"
    for n in range(100, 130):
        light.wait(n)
    print(f"30 light hosts: {time.monotonic() - start:.1f} s")
    for n in range(100, 130):
        assert light.do("destroy", instance_id(n)) == "ok"
    end = time.monotonic() + READY_SECONDS
    while list((light.home / "sandbox/hosts").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert not any(e.startswith("ended") for e in light.events)  # destroyed hosts report nothing


def test_one_destroyed_while_it_is_made(light):
    for n in range(40, 46):
        assert light.make(n) == "ok"
        assert light.do("destroy" if n % 2 else "stop", instance_id(n)) == "ok"
    for n in range(40, 46, 2):
        assert light.ended(n)
        assert light.do("start", instance_id(n)) == "ok"
        light.wait(n)


# ---- processes that die, networks that clash -----------------------------------------------------------


def test_hosts_outlive_the_process_and_are_taken_up(home):
    tool = Tool(home, "booted")
    assert tool.make(30) == "ok"
    assert tool.make(31) == "ok"
    tool.wait(30)
    tool.wait(31)
    tool.crash()
    assert tool.ssh(30, "echo alive").stdout == "alive\n"
    again = Tool(home, "booted")
    assert again.opened == "ok"
    assert again.make(30, verb="adopt") == "ok"
    assert again.make(32, verb="adopt") == "error nothing to adopt"
    # Nobody has asked for 31: it goes.
    end = time.monotonic() + READY_SECONDS
    while (pathlib.Path(home) / "sandbox/hosts" / instance_id(31)).exists():
        assert time.monotonic() < end
        again.event("nothing", 0.2)
    again.ssh(30, "sudo systemctl poweroff")
    assert again.ended(30)
    again.close("keep")
    third = Tool(home, "booted")
    assert third.make(30, verb="adopt") == "error nothing to adopt"
    assert third.make(30, verb="adopt-stopped") == "ok"
    assert third.do("start", instance_id(30)) == "ok"
    third.wait(30)
    third.close()
    assert not traces(home)


def test_a_sweep_removes_what_a_killed_process_left(home):
    for delay in (0, 0.02, 0.1, 0.3, 1):
        tool = Tool(home, "booted")
        assert tool.opened == "ok"
        for n in range(33, 36):
            assert tool.make(n) == "ok"
        time.sleep(delay)
        tool.crash()
        done = sweep(home)
        assert done.returncode == 0, done.stdout
        assert not traces(home)


def hanging_monitor(home, n):
    """As lxc's own, where the container was killed between two steps of its start: it waits without
    end for a message of its child, and does not see that this has died."""
    code = ("import os, time\npid = os.fork()\nif not pid: time.sleep(600)\n"
            "print(pid, flush=True)\ntime.sleep(600)")
    title = f"[lxc monitor] {home}/sandbox/hosts {prefix_of(home)}-{instance_id(n)}"
    monitor = subprocess.Popen([title, "-c", code], executable=sys.executable, stdout=subprocess.PIPE)
    assert int(monitor.stdout.readline())
    return monitor


def test_a_sweep_ends_a_monitor_that_outlives_its_container(home):
    monitor = hanging_monitor(home, 36)
    try:
        done = sweep(home)
        assert done.returncode == 0, done.stdout
        assert monitor.wait(10) == -signal.SIGKILL
    finally:
        monitor.kill()
        monitor.wait()


def test_a_kill_ends_a_monitor_that_outlives_its_container(home):
    tool = Tool(home, "light")
    assert tool.make(37) == "ok"
    tool.wait(37)
    assert tool.do("kill", instance_id(37)) == "ok"
    assert tool.ended(37)
    tool.close("keep")
    monitor = hanging_monitor(home, 37)
    try:
        pathlib.Path(home, "sandbox/hosts", instance_id(37), "pid").write_text(f"{monitor.pid}\n")
        tool = Tool(home, "light")
        assert tool.make(37, verb="adopt") == "ok"
        assert tool.do("kill", instance_id(37)) == "ok"
        assert monitor.wait(READY_SECONDS) == -signal.SIGKILL
        assert tool.ended(37) == f"ended {instance_id(37)} -"
    finally:
        monitor.kill()
        monitor.wait()
    # What such a monitor leaves is no obstacle: lxc would name the new container's cgroups otherwise.
    name = f"lxc.payload.{prefix_of(home)}-{instance_id(37)}"
    for top in cgroup_tops():
        os.makedirs(f"{top}/{name}", exist_ok=True)
    assert tool.do("start", instance_id(37)) == "ok"
    tool.wait(37)
    assert not [top for top in cgroup_tops() if os.path.exists(f"{top}/{name}-1")]
    tool.close()
    assert not traces(home)


def test_a_sweep_removes_a_frozen_host(home):
    tool = Tool(home, "light")
    assert tool.make(38) == "ok"
    tool.wait(38)
    assert tool.do("freeze", instance_id(38), "on") == "ok"
    tool.crash()
    done = sweep(home)
    assert done.returncode == 0, done.stdout
    assert not traces(home)


def test_networks_that_are_taken_are_refused(home, light):
    mine = home.place
    other = Tool(home + "/other", "light", free_place()._replace(private=mine.private))
    assert "overlaps" in other.opened and mine.bridge in other.opened
    other = Tool(home + "/other", "light", free_place()._replace(bridge=mine.bridge))
    assert "belongs to" in other.opened
    # The clean-up of one that was refused leaves the other's network alone.
    done = sweep(home + "/other", mine._replace(bridge=free_place().bridge))
    assert done.returncode == 0, done.stdout
    route = output_of("ip", "route", "show", "default")
    assert light.make(50) == "ok"
    light.wait(50)
    assert output_of("ip", "route", "show", "default") == route  # the machine's own is as it was
    routes = output_of("ip", "route")
    assert f"blackhole {mine.private}.0.0/16 metric 9999" in routes
    assert f"blackhole {mine.public}.0.0/16 metric 9999" in routes


def test_two_sandboxes_side_by_side(home, light):
    (pathlib.Path(home) / "second").mkdir()
    for name in ("key", "key.pub", "hostkey", "hostkey.pub"):
        shutil.copy(pathlib.Path(home) / name, pathlib.Path(home) / "second" / name)
    second = Tool(home + "/second", "light", free_place())
    try:
        assert second.opened == "ok", second.opened
        assert light.make(51) == "ok"
        assert second.make(51) == "ok"
        light.wait(51)
        second.wait(51)
        second.close()
        assert light.ssh(51, "echo still here").stdout == "still here\n"
        assert second.place.bridge not in output_of("ip", "-o", "link")
    finally:
        second.crash()
        sweep(home + "/second", second.place)
