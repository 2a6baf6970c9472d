"""A Slurm of one's own on this machine: munged, slurmctld and several nodes, on loopback.

Nothing of a Slurm that the machine may have is touched: key, socket, ports, state and lists are the
lab's, in one directory. Each node is a slurmd in a PID namespace, so that a node can be killed with
all that runs on it, as a host dies. Every daemon ends with the process that made it, and after
LIFE_SECONDS whatever happens.
"""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

LIFE_SECONDS = 1800
PR_SET_PDEATHSIG = 1
DAEMONS = ("munged", "slurmctld", "slurmd", "unshare")

CONF = """
ClusterName=lab
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={dir}/munge.socket,cred_expire=5
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/%n
SlurmdPidFile={dir}/%n.pid
SlurmctldPidFile={dir}/slurmctld.pid
SlurmctldLogFile={dir}/log/slurmctld
SlurmdLogFile={dir}/log/%n
SlurmctldDebug=error
SlurmdDebug=error
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={dir}/ended
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=1,default_queue_depth=1000,bf_interval=1,bf_continue
SlurmdTimeout=5
MessageTimeout=4
TCPTimeout=1
KillWait=5
MaxArraySize={array}
MaxJobCount=20000
TreeWidth=65533
"""


def missing():
    """Why there can be no lab here, or None."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for name in DAEMONS:
        if not shutil.which(name, path=path):
            return f"{name} is not installed"
    return None


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Lab:
    def __init__(self, nodes=3, cpus=8, array=5001):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="flambe-slurm-"))
        self.dir.chmod(0o755)
        self.nodes = [f"w{i + 1}" for i in range(nodes)]
        self.running = {}
        for name in ("state", "log", *self.nodes):
            (self.dir / name).mkdir()
        port, *ports = free_ports(nodes + 1)
        text = CONF.format(dir=self.dir, port=port, array=array)
        for name, place in zip(self.nodes, ports):
            text += (f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={place} "
                     f"CPUs={cpus} RealMemory=1000\n")
        text += f"PartitionName=flambe Nodes={','.join(self.nodes)} Default=YES MaxTime=INFINITE State=UP\n"
        (self.dir / "slurm.conf").write_text(text)
        if not pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
            (self.dir / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        key = self.dir / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.env = dict(os.environ, SLURM_CONF=str(self.dir / "slurm.conf"),
                        PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
        self.ended = self.dir / "ended"

    def spawn(self, name, *argv):
        with (self.dir / "log" / f"{name}.out").open("ab") as out:
            self.running[name] = subprocess.Popen(
                ["timeout", "--signal=KILL", str(LIFE_SECONDS), *argv], env=self.env, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True, preexec_fn=die_with_parent)

    def kill(self, name, number=signal.SIGKILL):
        """The daemon and all below it: of a node everything that runs there."""
        process = self.running.pop(name)
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
        process.wait(20)

    def start_munged(self):
        d = self.dir
        self.spawn("munged", "munged", "--foreground", "--force", f"--key-file={d}/munge.key",
                   f"--socket={d}/munge.socket", f"--pid-file={d}/munge.pid", f"--log-file={d}/log/munged",
                   f"--seed-file={d}/munge.seed", "--num-threads=2")

    def start_controller(self):
        self.spawn("slurmctld", "slurmctld", "-D", "-f", f"{self.dir}/slurm.conf")

    def start_node(self, name):
        # The shell is the namespace's first process: it waits for what is orphaned there, and lives on
        # without slurmd.
        self.spawn(name, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                   f"slurmd -D -N {name} -f {self.dir}/slurm.conf & while :; do wait; sleep 1; done")

    def kill_slurmd(self, name):
        """The daemon alone: what it has started on the node goes on, and nobody looks after it."""
        subprocess.run(["pkill", "-KILL", "-f", f"^slurmd -D -N {name} -f {self.dir}/"], check=True)

    def run(self, *argv, check=True, seconds=60):
        return subprocess.run(list(map(str, argv)), env=self.env, capture_output=True, text=True,
                              timeout=seconds, check=check, stdin=subprocess.DEVNULL)

    def wait_idle(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done = self.run("sinfo", "-h", "-N", "-o", "%t", check=False)
            if done.returncode == 0 and done.stdout.split() == ["idle"] * len(self.nodes):
                return
            time.sleep(0.2)
        raise AssertionError(f"Slurm does not come up:\n{done.stdout}{done.stderr}\n{self.logs()}")

    def logs(self):
        return "\n".join(f"== {p.name}\n{p.read_text(errors='replace')[-2000:]}"
                         for p in sorted((self.dir / "log").iterdir()))

    def queue(self, *more):
        return self.run("squeue", "-h", "-r", *more, "-o", "%i %j %T").stdout.splitlines()

    def start(self):
        self.start_munged()
        end = time.monotonic() + 10
        while not (self.dir / "munge.socket").exists() and time.monotonic() < end:
            time.sleep(0.05)
        self.start_controller()
        for name in self.nodes:
            self.start_node(name)
        self.wait_idle()
        return self

    def stop(self):
        for name in reversed(list(self.running)):
            self.kill(name)
        shutil.rmtree(self.dir, ignore_errors=True)
