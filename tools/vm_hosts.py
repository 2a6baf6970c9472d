"""Two virtual machines with Debian's own kernel, for tools/check-vm: their image, and qemu.

The image is built once, from the package mirror that the machine's own apt uses, and kept with its
key in the user's cache. A machine writes to a copy that ends with its qemu. The two have a network
of their own; the world outside can reach their sshd at two loopback addresses, and they reach nothing.
"""
import ctypes
import fcntl
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

SUITE = "bookworm"
VERSION = "1"  # of the image: a new one is built where it changes
USER = "debian"
SSH_PORT = 22022  # of sshd, in and outside
LINK_PORT = 22023  # of the wire between the two
PACKAGES = ("openssh-server,sudo,systemd-sysv,dbus,udev,kmod,iproute2,procps,python3,rsync,nftables,"
            # what flambe would install
            "slurmctld,slurmd,slurm-client,munge,nfs-kernel-server,python3-venv,"
            "initramfs-tools,linux-image-cloud-")
BUILD_SECONDS = 2400
BOOT_SECONDS = 900  # under emulation, on a busy machine

NETWORK = "[Match]\nMACAddress={mac}\n[Network]\nAddress={address}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
FILES = {
    "etc/systemd/network/10-first.network": NETWORK.format(mac="52:54:00:00:09:01", address="10.9.0.1/24"),
    "etc/systemd/network/10-second.network": NETWORK.format(mac="52:54:00:00:09:02", address="10.9.0.2/24"),
    "etc/systemd/network/10-outside.network": NETWORK.format(mac="52:54:00:00:0a:01 52:54:00:00:0a:02",
                                                             address="10.0.2.15/24"),
    "etc/hosts": "127.0.0.1 localhost\n10.9.0.1 vm-1\n10.9.0.2 vm-2\n",
    "etc/fstab": "/dev/vda / ext4 defaults,noatime 0 1\n",
    "etc/ssh/sshd_config.d/check.conf": f"Port {SSH_PORT}\nPasswordAuthentication no\n",
    f"etc/sudoers.d/{USER}": f"{USER} ALL=(ALL) NOPASSWD: ALL\n",
    "etc/systemd/system/host-keys.service":
        "[Unit]\nBefore=ssh.service\nConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\n[Service]\nType=oneshot\n"
        "ExecStart=ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key\n[Install]\nWantedBy=multi-user.target\n",
    # A GPU's device without a driver: who may open it is told that there is none (ENXIO), who may
    # not that it is forbidden (EPERM).
    "etc/tmpfiles.d/gpu.conf": "c /dev/nvidia0 0666 root root - 195:0\n",
    "etc/machine-id": "",
}


def say(text):
    print(f"   {text}", flush=True)


# ---- the image -----------------------------------------------------------------------------------

def is_debian(words):
    return (any(suite in words for suite in (SUITE, f"{SUITE}-updates", f"{SUITE}-security"))
            and "main" in words)


def apt_sources(place):
    """The machine's own sources of Debian's suites, as src/sandbox/image.c picks them; their files."""
    lines, stanzas = [], []
    found = [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]
    for path in found:
        if path.suffix == ".list" and path.is_file():
            lines += [line.strip() for line in path.read_text(errors="replace").splitlines()
                      if line.strip().startswith("deb ") and is_debian(line.split())]
        elif path.suffix == ".sources" and path.is_file():
            text = "\n".join(line for line in path.read_text(errors="replace").splitlines()
                             if not line.startswith("#"))
            for stanza in re.split(r"\n\s*\n", text):
                words = " ".join(re.findall(r"(?m)^(?:Suites|Components|Types):(.*)$", stanza)).split()
                if is_debian(words) and "deb" in words:
                    stanzas.append(stanza.strip() + "\n")
    files = []
    for name, parts in (("apt.list", lines), ("apt.sources", stanzas)):
        if parts:
            (place / name).write_text("\n".join(parts) + "\n")
            files.append(str(place / name))
    return files


def run(argv, seconds):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=seconds)
    if done.returncode:
        sys.exit(f"tools/check-vm: '{argv[0]}' failed: {done.stdout.decode(errors='replace')[-600:].strip()}")


def furnish(tree, key):
    """What the machines are beside Debian's packages."""
    run(["chroot", str(tree), "useradd", "-m", "-s", "/bin/bash", USER], 60)
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o440 if "sudoers" in name else 0o644)
    for path in [*tree.glob("etc/ssh/ssh_host_*"), tree / "etc/munge/munge.key", tree / "etc/hostname",
                 tree / "etc/resolv.conf"]:
        path.unlink(missing_ok=True)
    ssh = tree / "home" / USER / ".ssh"
    ssh.mkdir(mode=0o700)
    (ssh / "authorized_keys").write_bytes(key.with_suffix(".pub").read_bytes())
    run(["chroot", str(tree), "chown", "-R", f"{USER}:{USER}", f"/home/{USER}"], 60)
    run(["chroot", str(tree), "systemctl", "-q", "enable", "systemd-networkd", "host-keys"], 60)
    # As after flambe's own installation (EQUIP_MASKED_UNITS): nothing runs before it is configured.
    run(["chroot", str(tree), "systemctl", "-q", "mask", "munge.service", "slurmctld.service", "slurmd.service",
         "nfs-server.service", "rpcbind.service", "rpcbind.socket", "rpc-statd.service", "apt-daily.timer",
         "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer"], 60)


def pack(tree, place):
    """The disk's image, and beside it what qemu starts: kernel and initial disk."""
    for name in ("vmlinuz", "initrd.img"):
        shutil.copyfile(max(tree.glob(f"boot/{name}-*")), place / name)
    run(["mkfs.ext4", "-q", "-F", "-d", str(tree), str(place / "disk.img"), "4G"], BUILD_SECONDS)


def build(place):
    tree, key = place / "tree", place / "key"
    arch = subprocess.run(["dpkg", "--print-architecture"], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=60).stdout.strip()
    say("building the machines' image from Debian's packages, once, some minutes")
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "check-vm", "-f", str(key)], 60)
    # What it mounts in there ends with it, however it ends: what is removed then is ours alone.
    run(["unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child", "mmdebstrap", "--mode=root",
         "--variant=apt", f"--include={PACKAGES}{arch}", SUITE, str(tree), *apt_sources(place)], BUILD_SECONDS)
    furnish(tree, key)
    pack(tree, place)
    shutil.rmtree(tree)


def image():
    """Where the image is; built first where it is not there."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "flambe"
    cache.mkdir(parents=True, exist_ok=True)
    place, partial = cache / f"vm-image-{VERSION}", cache / f"vm-image-{VERSION}.tmp"
    with open(cache / "vm-image.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(mode=0o700)
            try:
                build(partial)
                partial.rename(place)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return place


# ---- the machines --------------------------------------------------------------------------------

def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def loopback_net():
    """Of 127.0.0.0/8, three addresses that nobody uses at our ports."""
    for _ in range(50):
        net = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(254) + 1}"
        try:
            for last, port in ((1, LINK_PORT), (2, SSH_PORT), (3, SSH_PORT)):
                with socket.socket() as s:
                    s.bind((f"{net}.{last}", port))
            return net
        except OSError:
            continue
    sys.exit("tools/check-vm: no free loopback address")


def qemu(place, accelerator):
    # A plain processor: what is newer some machines' KVM promises and cannot do.
    return ["qemu-system-x86_64", "-accel", accelerator, "-cpu", "qemu64", "-display", "none", "-monitor", "none",
            "-kernel", str(place / "vmlinuz"), "-initrd", str(place / "initrd.img")]


def accelerator(place):
    """'kvm' where a kernel comes to its first program with it; that /dev/kvm is there says little."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    argv = [*qemu(place, "kvm"), "-m", "512", "-serial", "stdio", "-nodefaults", "-no-reboot", "-append",
            "console=ttyS0 panic=-1 rdinit=/nothing"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=20, preexec_fn=die_with_parent)
        return "kvm" if b"Kernel panic" in done.stdout else "tcg"
    except subprocess.TimeoutExpired:
        return "tcg"


class Machine:
    def __init__(self, place, accelerator, number, net, logs):
        self.place, self.number, self.logs = place, number, logs
        self.address, self.inside = f"{net}.{number + 1}", f"10.9.0.{number}"
        wire = "listen" if number == 1 else "connect"
        self.argv = [
            *qemu(place, accelerator), "-smp", "1", "-m", "1024",
            "-append", f"root=/dev/vda rw console=ttyS0 net.ifnames=0 systemd.hostname=vm-{number} "
                       "systemd.default_timeout_start_sec=600 quiet",
            "-drive", f"file={place / 'disk.img'},format=raw,if=virtio,snapshot=on",
            "-netdev", f"user,id=u,restrict=on,hostfwd=tcp:{self.address}:{SSH_PORT}-10.0.2.15:{SSH_PORT}",
            "-device", f"virtio-net-pci,netdev=u,addr=8,mac=52:54:00:00:0a:0{number}",
            "-netdev", f"socket,id=n,{wire}={net}.1:{LINK_PORT}",
            "-device", f"virtio-net-pci,netdev=n,addr=9,mac=52:54:00:00:09:0{number}",
            "-serial", f"file:{logs / f'vm-{number}.console'}"]
        self.qemu = None

    def start(self):
        self.log = (self.logs / f"vm-{self.number}.log").open("wb")
        self.qemu = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                     preexec_fn=die_with_parent)

    def stop(self):
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
            self.log.close()

    def ssh(self, command, seconds=120, text=None):
        """Runs a command as the login user; (status, output), 124 past its time."""
        argv = ["ssh", "-F", "none", "-T", "-i", str(self.place / "key"), "-p", str(SSH_PORT), "-o", "BatchMode=yes",
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes", f"{USER}@{self.address}", command]
        try:
            done = subprocess.run(argv, input=text, stdin=None if text else subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                  timeout=seconds)
            return done.returncode, done.stdout.strip()
        except subprocess.TimeoutExpired:
            return 124, ""

    def boot_id(self):
        status, out = self.ssh("cat /proc/sys/kernel/random/boot_id", 20)
        return out if status == 0 else ""

    def wait(self, old_boot="", seconds=BOOT_SECONDS):
        """Until it answers, in another boot than the old one; how long that took, or None."""
        start = time.monotonic()
        while time.monotonic() - start < seconds and self.qemu.poll() is None:
            boot = self.boot_id()
            if boot and boot != old_boot:
                return time.monotonic() - start
            time.sleep(1)
        return None
