#!/usr/bin/env python3
"""flambe beside its peers, measured in one run: A B A B …, medians, and the ratio of medians.

A line reads: what, flambe's figure, the peer's or the limit, the ratio, and 'within' or 'MISSED' where
the project has promised a bound. Wall times drift with the machine; ratios of one run drift less.
Parts that need real hosts need root and LXC, and say so when they are left out.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import conftest as harness  # noqa: E402

RUNS = 9
rows = []


def row(what, ours, limit, ratio, within=None):
    verdict = "" if within is None else "within" if within else "MISSED"
    rows.append(within)
    print(f"{what:<58} {ours:>12} {limit:>22} {ratio:>9} {verdict}", flush=True)


def timed(argv, env):
    """Wall seconds, CPU seconds and peak MiB of one whole process."""
    start = time.perf_counter()
    child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, child.returncode


def pair(ours, theirs, env, runs=RUNS, theirs_env=None):
    """Medians of wall seconds, turn by turn, after one warm-up of each."""
    walls = ([], [])
    for turn in range(runs + 1):
        for side, (argv, e) in enumerate(((ours, env), (theirs, theirs_env or env))):
            wall, _, _, code = timed(argv, e)
            if code != 0:
                raise SystemExit(f"bench: {argv} ended with {code}")
            if turn:
                walls[side].append(wall)
    return statistics.median(walls[0]), statistics.median(walls[1])


def ms(seconds):
    return f"{seconds * 1000:.1f} ms"


def bench_version(env):
    ours, theirs = pair([harness.FLAMBE, "--version"], ["aws", "--version"], env)
    empty, _ = pair(["/bin/true"], ["/bin/true"], env)
    row("flambe --version | aws --version", ms(ours), ms(theirs), f"1/{theirs / ours:.0f}", ours < 0.005)
    row("  beyond starting an empty process", ms(ours - empty), ms(empty), "")
    mib = peak_mib([harness.FLAMBE, "--version"], env)
    row("  peak memory", f"{mib:.1f} MiB", "10 MiB", f"{mib / 10:.2f}", mib < 10)


def peak_mib(argv, env):
    """Peak memory of one process. A small shell execs it: started from this Python directly, the
    kernel's high-water mark would be Python's own pages from before the exec."""
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", 'exec "$0" "$@" >/dev/null 2>&1', *argv], env)
    _, _, usage = os.wait4(pid, 0)
    return usage.ru_maxrss / 1024


def server_seconds(box, since):
    return sum(r["took_us"] for r in box.requests()[since:]) / 1e6


def bench_status(env):
    box = harness.make_sandbox("ghost").start()
    try:
        file = box.cluster_file(name="hundred", factories_num=99)
        box.flambe(file, "-y", check=True)
        beyond, walls = [], []
        for turn in range(RUNS + 1):
            since = len(box.requests())
            wall = timed([harness.FLAMBE, "status", "hundred", "-o", "json"], box.env)[0]
            if turn:
                beyond.append(wall - server_seconds(box, since))
                walls.append(wall)
        ours = statistics.median(beyond)
        row("status of 100 hosts, beyond the server's own time", ms(ours), "50 ms", f"{ours / 0.05:.2f}",
            ours < 0.05)
        aws = ["aws", "ec2", "describe-instances", "--filters", "Name=tag:Cluster-Name,Values=hundred"]
        our_wall, aws_wall = pair([harness.FLAMBE, "status", "hundred"], aws, box.env)
        row("  status | aws ec2 describe-instances", ms(our_wall), ms(aws_wall), f"1/{aws_wall / our_wall:.0f}")
    finally:
        finish(box)


def bench_calls(env):
    for factories in (2, 100):
        box = harness.make_sandbox("ghost").start()
        try:
            box.flambe(box.cluster_file(name="calls", factories_num=factories), "-y", check=True)
            made = [r["action"] for r in box.requests()]
            launched = len(made) - 1 - made[::-1].index("RunInstances")
            polls = made[launched:].count("DescribeInstances")
            rest = [a for a in made if a not in ("PutMetricAlarm", "GetProducts")]
            row(f"creating 1 + {factories}: calls besides polls", str(len(rest) - polls), "9", "",
                len(rest) - polls <= 9)
            row("  polls; alarms (CloudWatch takes one a host)", str(polls),
                str(made.count("PutMetricAlarm")), "")
            since = len(box.requests())
            box.flambe(box.cluster_file(name="calls", factories_num=factories), "-y", check=True)
            row("  deciding that it is up: calls", str(len(box.requests()) - since), "1", "",
                len(box.requests()) - since == 1)
        finally:
            finish(box)


def bench_ghosts(env):
    box = harness.make_sandbox("ghost").start()
    try:
        file = box.cluster_file(name="thousand", factories_num=999)
        wall, cpu, mib, code = timed([harness.FLAMBE, str(file), "-y"], box.env)
        made = [r["action"] for r in box.requests()]
        row("1000 ghosts: RunInstances", str(made.count("RunInstances")), "12", "",
            code == 0 and made.count("RunInstances") <= 12)
        row("  peak memory of flambe", f"{mib:.0f} MiB", "64 MiB", f"{mib / 64:.2f}", mib < 64)
        row("  until all are ready", f"{wall:.1f} s", f"{cpu:.1f} s of its CPU", "")
        server = server_cpu(box)
        wall, cpu, mib, code = timed([harness.FLAMBE, "exec", "thousand", "--", "true"], box.env)
        server = server_cpu(box) - server
        row("  exec true on all | the server's CPU seconds", f"{wall:.2f} s", f"{server:.2f} s",
            f"{wall / server:.2f}", code == 0 and cpu < server)
        row("  its own CPU and memory", f"{cpu:.2f} s", f"{mib:.0f} MiB", "", mib < 64)
    finally:
        finish(box)


def server_cpu(box):
    pid = json.loads((box.dir / "control.json").read_text())["pid"]
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def real_hosts():
    if os.geteuid() != 0 or not shutil.which("lxc-start"):
        print("   left out: real hosts need root and LXC", flush=True)
        return False
    return True


def bench_ready(env):
    if not real_hosts():
        return
    box = harness.make_sandbox("light").start()
    try:
        file = box.cluster_file(name="ready", factories_num=20, factories_type="t3.nano",
                                orchestrator_type="t3.nano")
        start = time.time()
        box.flambe(file, "-y", check=True)
        end = time.time()
        born = box.flambe("exec", "ready", "--", "stat -c %.9Y /run/sshd.pid", check=True).stdout
        slowest = max(float(line.split()[-1]) for line in born.splitlines() if line.strip())
        row("1 + 20 light hosts: ready after the slowest host's own sshd", f"{end - slowest:.2f} s", "1 s",
            f"{end - slowest:.2f}", end - slowest < 1)
        row("  from the command to the end", f"{end - start:.2f} s", f"{slowest - start:.2f} s", "")
    finally:
        finish(box)


def bench_exec(env):
    if not real_hosts():
        return
    box = harness.make_sandbox("light").start()
    try:
        box.flambe(box.cluster_file(name="fifty", factories_num=49, factories_type="t3.nano",
                                    orchestrator_type="t3.nano"), "-y", check=True)
        hosts = json.loads(box.flambe("status", "fifty", "-o", "json", check=True).stdout)["hosts"]
        known = box.home / "known_hosts_by_address"
        pins = {}
        for path in box.home.glob("state/flambe/clusters/*/*/fifty/known_hosts"):
            for line in path.read_text().splitlines():
                name, rest = line.split(" ", 1)
                pins[name] = rest
        known.write_text("".join(f"{h['public_ip']} {pins[h['instance_id']]}\n" for h in hosts))
        addresses = ",".join(h["public_ip"] for h in hosts)
        record = (box.dir / "aws-cluster.yaml").read_text()
        key = next(line.split(":", 1)[1].strip() for line in record.splitlines() if line.startswith("key:"))
        user = next((line.split(":", 1)[1].strip() for line in record.splitlines()
                     if line.startswith("username:")), "ubuntu")
        options = (f"-F none -i {key} -o IdentitiesOnly=yes -o UserKnownHostsFile={known} "
                   "-o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o BatchMode=yes")
        ours = [harness.FLAMBE, "exec", "fifty", "--", "true"]
        pdsh_env = dict(box.env, PDSH_SSH_ARGS=f"{options} -l %u %h", PDSH_RCMD_TYPE="ssh")
        pdsh = ["pdsh", "-R", "ssh", "-f", "64", "-l", user, "-w", addresses, "true"]
        clush = ["clush", "-f", "64", "-l", user, "-o", options, "-w", addresses, "true"]
        for name, argv, other in (("pdsh", pdsh, pdsh_env), ("clush", clush, box.env)):
            a, b = pair(ours, argv, box.env, 5, other)
            row(f"exec true on 50 light hosts | {name} over ssh", f"{a:.2f} s", f"{b:.2f} s", f"1/{b / a:.1f}",
                b / a >= 3)
    finally:
        finish(box)


def finish(box):
    box.destroy()
    shutil.rmtree(box.home, ignore_errors=True)


PARTS = {"version": bench_version, "status": bench_status, "calls": bench_calls, "ready": bench_ready,
         "ghosts": bench_ghosts, "exec": bench_exec}


def main():
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [w for w in wanted if w not in PARTS]
    if unknown:
        raise SystemExit(f"bench: unknown part '{unknown[0]}'; there are: {' '.join(PARTS)}")
    env = harness.clean_env("/nonexistent")
    print(f"{'':<58} {'flambe':>12} {'peer or limit':>22} {'ratio':>9}", flush=True)
    for name in wanted:
        PARTS[name](env)
    missed = sum(1 for r in rows if r is False)
    print(f"\n{sum(1 for r in rows if r)} bounds within, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
