"""The parts of `make bench` that are about experiments on a cluster. See bench.py.

start   from the command on a cluster that is up to its first trial's first line. Nothing has changed since the
        turn before, so rsync has nothing to carry: what is left is the way there, rsync's two looks with it.
slurm   1000 × `true` through flambe and as one bare array of Slurm's, in turns on one cluster. A bare task keeps
        nothing. Each side ends with the last line of Slurm's own list of ended jobs; the whole command's time, with
        sending, queue and what is shown at the end, stands beside.
dead    the host of a running trial loses its power: until that trial's next attempt has started elsewhere.
idle    flambe-node on a host with nothing to do for a minute: its memory and its processor time.

One cluster of booted hosts, 1 + 2 with two processors each, serves all four.
"""
import json
import os
import shlex
import shutil
import statistics
import subprocess
import time

from measure import Run, harness, row, s

TRIALS, QUICK_TRIALS = 1000, 200
START_TURNS, PAIRS = 5, 3
START_LIMIT, SLURM_LIMIT, DEAD_LIMIT = 2, 1.2, 20
IDLE_SECONDS, IDLE_MIB, IDLE_CPU = 60, 8, 0.001
ENDED = "/var/lib/flambe/slurm/jobcomp.log"

quick = False  # --quick
ARRAY = f"""n=$(wc -l < {ENDED}); b=$(date +%s%N)
sbatch --parsable --array=0-$(($1 - 1)) --output=/dev/null --chdir=/ --wrap true >&2
while [ $(($(wc -l < {ENDED}) - n)) -lt "$1" ]; do sleep 0.05; done
echo $((($(date +%s%N) - b) / 1000000))
"""
# Of each process of flambe-node: Pss and Rss in KiB, and nanoseconds of the processor.
IDLE = """for p in $(pgrep -x flambe-node); do
echo $p $(awk '/^[PR]ss:/ {print $2}' /proc/$p/smaps_rollup) $(cut -d' ' -f1 /proc/$p/schedstat)
done"""


class Cluster:
    def __init__(self):
        self.box = harness.make_sandbox("booted").start()
        file = self.box.cluster_file(name="bench", factories_num=2, factories_type="t3.small",
                                     orchestrator_type="t3.small")
        self.box.flambe(file, "-y", check=True)
        self.lab = self.box.home / "lab"
        self.lab.mkdir()
        (self.box.home / "array.sh").write_text(ARRAY)
        self.box.flambe("cp", self.box.home / "array.sh", "bench:/tmp/array.sh", check=True)

    def close(self):
        self.box.destroy()
        shutil.rmtree(self.box.home, ignore_errors=True)

    def experiment(self, name, command, trials=1):
        params = f"    params: {{n: !s [1, {trials}, {trials}]}}\n" if trials > 1 else ""
        (self.lab / f"{name}.yaml").write_text(
            f"!Experiment\nname: {name}\npipeline:\n  t: !Command\n    command: {command}\n{params}")

    def run(self, name, *more):
        os.chdir(self.lab)
        run = Run([harness.FLAMBE, f"{name}.yaml", "-c", "bench", "--force", *more], self.box.env)
        os.chdir("/")
        if run.code:
            raise SystemExit(f"bench: the experiment '{name}' failed on the cluster")
        return run

    def ssh(self, *words):
        return self.box.flambe("ssh", "bench", *words, check=True, seconds=900).stdout


shared = None


def cluster():
    global shared
    if os.geteuid() != 0 or not shutil.which("lxc-start"):
        return None
    shared = shared or Cluster()
    return shared


def close():
    global shared
    if shared:
        shared.close()
    shared = None


def on_cluster(part):
    def run(env):
        c = cluster()
        if not c:
            print("   left out: real hosts need root and LXC", flush=True)
            return
        print(f"   load {os.getloadavg()[0]:.1f}", flush=True)
        part(c)
    return run


# ---- from the command to the first trial ----------------------------------------------------------


@on_cluster
def bench_start(c):
    c.experiment("first", "[sh, -c, 'date +%s.%N > $FLAMBE_DIR/began']")
    taken, wall = [], []
    for turn in range(START_TURNS + 1):
        began = time.time()
        run = c.run("first")
        first = float(c.ssh("--", "cat /srv/flambe/results/output__first/t/*/began"))
        if turn:
            taken.append(first - began)
            wall.append(run.wall)
    ours = statistics.median(taken)
    row("from the command to the first trial, nothing new to send | limit", s(ours), s(START_LIMIT),
        f"{ours / START_LIMIT:.2f}", ours < START_LIMIT)
    row("  from the command to its end", s(statistics.median(wall)), "")


# ---- beside an array of Slurm's -------------------------------------------------------------------


def ended_span(c, before, since):
    """Until the last line of Slurm's list since then, which is written in whole seconds: its file's own time."""
    count, end = c.ssh("--", f"wc -l < {ENDED}; stat -c %.3Y {ENDED}").split()
    return float(end) - since, int(count) - before


@on_cluster
def bench_slurm(c):
    trials = QUICK_TRIALS if quick else TRIALS
    c.experiment("many", "[\"true\"]", trials)
    ours, theirs, walls = [], [], []
    for pair in range(PAIRS):
        before = int(c.ssh("--", f"wc -l < {ENDED}"))
        load = os.getloadavg()[0]
        began = time.time()
        walls.append(c.run("many").wall)
        span, count = ended_span(c, before, began)
        if count != trials:
            raise SystemExit(f"bench: Slurm ended {count} of {trials} trials")
        ours.append(span)
        theirs.append(int(c.ssh("--", f"sh /tmp/array.sh {trials}")) / 1000)
        print(f"   pair {pair + 1}: flambe {ours[-1]:.1f} s, whole {walls[-1]:.1f} s, array {theirs[-1]:.1f} s, "
              f"load {load:.1f}", flush=True)
    mine, array, whole = map(statistics.median, (ours, theirs, walls))
    row(f"{trials} × true through flambe | sbatch --array of true", s(mine), s(array), f"{mine / array:.2f}",
        mine <= SLURM_LIMIT * array)
    row("  the whole command", s(whole), s(array), f"{whole / array:.2f}")


# ---- a host that dies -----------------------------------------------------------------------------


def attempts(c):
    text = c.ssh("--", "cat /srv/flambe/results/output__doomed/began 2>/dev/null || true")
    return [line.split() for line in text.splitlines()]


def wait_for(what, seconds=180):
    end = time.time() + seconds
    while time.time() < end:
        found = what()
        if found:
            return found
        time.sleep(0.2)
    raise SystemExit("bench: it never came")


@on_cluster
def bench_dead(c):
    c.experiment("doomed", "[sh, -c, 'echo $(date +%s.%N) $(hostname) >> $FLAMBE_DIR/../../began; sleep 600']")
    os.chdir(c.lab)
    box = c.box
    follower = subprocess.Popen([harness.FLAMBE, "doomed.yaml", "-c", "bench", "--force"], env=box.env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.chdir("/")
    try:
        (_, where), = wait_for(lambda: attempts(c))
        names = json.loads(box.flambe("status", "bench", "-o", "json", check=True).stdout)["hosts"]
        on = {h["instance_id"]: h["private_ip"].replace(".", "-") for h in names}
        victim = next(i for i, address in on.items() if where.endswith(address))
        died = time.time()
        box.control("kill", victim)
        second = wait_for(lambda: attempts(c)[1:])[0]
        took = float(second[0]) - died
        row("a dead factory's trial has started elsewhere | limit", s(took), s(DEAD_LIMIT),
            f"{took / DEAD_LIMIT:.2f}", took < DEAD_LIMIT)
    finally:
        box.flambe("stop", "bench:doomed", "--now")
        follower.wait(60)
        box.flambe(next(box.home.glob("cluster-*.yaml")), "-y", check=True)


# ---- idle -----------------------------------------------------------------------------------------


def idle_now(c):
    """By host: pid -> (Rss, Pss, ns)."""
    found = {}
    for host in ("orchestrator", "factory_1"):
        text = c.box.flambe("exec", "bench", "--on", host, "--", f"sudo sh -c {shlex.quote(IDLE)}", check=True).stdout
        lines = [line.split(": ", 1)[1].split() for line in text.splitlines() if ": " in line]
        found[host] = {w[0]: list(map(int, w[1:])) for w in lines if len(w) == 4}
    return found


@on_cluster
def bench_idle(c):
    time.sleep(5)  # what was before has ended
    before = idle_now(c)
    time.sleep(IDLE_SECONDS)
    after = idle_now(c)
    for host, processes in after.items():
        same = [p for p in processes if p in before[host]]
        rss, pss = (sum(processes[p][i] for p in same) / 1024 for i in (0, 1))
        cpu = sum(processes[p][2] - before[host][p][2] for p in same) / 1e9 / IDLE_SECONDS
        row(f"flambe-node idle on {host}, {len(same)} process(es): RSS | limit", f"{rss:.1f} MiB", f"{IDLE_MIB} MiB",
            f"{rss / IDLE_MIB:.2f}", bool(same) and rss < IDLE_MIB)
        row("  PSS; processor | limit", f"{pss:.1f} MiB; {cpu * 100:.4f} %", f"{IDLE_CPU * 100:.1f} %",
            f"{cpu / IDLE_CPU:.2f}", cpu < IDLE_CPU)


PARTS = {"start": bench_start, "slurm": bench_slurm, "dead": bench_dead, "idle": bench_idle}
