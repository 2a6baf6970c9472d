#!/usr/bin/env python3
"""flambe beside its peers, measured in one run: A B A B …, medians, and the ratio of medians.

Usage: FLAMBE_BUILD=BUILD test/bench/bench.py [--quick] [PART…]

A line reads: what, flambe's figure, the peer's or the limit, the ratio, and 'within' or 'MISSED' where
the project has promised a bound. Wall times drift with the machine; ratios of one run drift less.

Other programs on the machine must not decide a bound. The kernel counts for each process how long it
was ready to run and had no processor (/proc/PID/schedstat); 'own time' is wall time less that. Where a
bound is about many processes at once, that cannot be taken out, and the load is printed instead.
Memory comes from GNU time: asked of a child of this Python directly, the kernel's high-water mark
would begin with Python's own pages, from before the exec.
Parts that need real hosts need root and LXC, and say so when they are left out.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import time

import cluster_bench
import run_bench
import send_bench
from measure import TURNS, Run, harness, ms, row, s, scheduled, turns, verdicts

SERVER_LIMITS = 1.25  # a wall time this close to the server's busy time is limited by the server


# ---- the sandbox's side ---------------------------------------------------------------------------


def server_busy(box):
    """Seconds that the sandbox has run or was ready to run. One thread serves all."""
    pid = json.loads((box.dir / "control.json").read_text())["pid"]
    tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
    return sum(sum(scheduled(f"{pid}/task/{task.name}")) for task in tasks)


def finish(box):
    box.destroy()
    shutil.rmtree(box.home, ignore_errors=True)


def real_hosts():
    if os.geteuid() != 0 or not shutil.which("lxc-start"):
        print("   left out: real hosts need root and LXC", flush=True)
        return False
    return True


# ---- the parts ------------------------------------------------------------------------------------


def bench_version(env):
    ours, aws, empty = turns([([harness.FLAMBE, "--version"], env), (["aws", "--version"], env),
                              (["/bin/true"], env)], what="own")
    row("flambe --version, own time | limit", ms(ours), "5 ms", f"{ours / 0.005:.2f}", ours < 0.005)
    row("  | aws --version", ms(ours), ms(aws), f"1/{aws / ours:.0f}")
    row("  | an empty process", ms(ours), ms(empty), f"{ours / empty:.1f}")
    mib = Run([harness.FLAMBE, "--version"], env, memory=True).mib
    row("  peak memory | limit", f"{mib:.1f} MiB", "10 MiB", f"{mib / 10:.2f}", mib < 10)


def bench_status(env):
    box = harness.make_sandbox("ghost").start()
    try:
        box.flambe(box.cluster_file(name="hundred", factories_num=99), "-y", check=True)
        beyond = []
        since = len(box.requests())
        for turn in range(TURNS + 1):
            server = server_busy(box)
            run = Run([harness.FLAMBE, "status", "hundred", "-o", "json"], box.env)
            if turn:
                beyond.append(run.own - (server_busy(box) - server))
        calls = (len(box.requests()) - since) / (TURNS + 1)
        ours = statistics.median(beyond)
        row("status of 100 hosts, beyond the server's own time | limit", ms(ours), "50 ms",
            f"{ours / 0.05:.2f}", ours < 0.05)
        row("  calls", f"{calls:.0f}", "1", "", calls == 1)
        aws = ["aws", "ec2", "describe-instances", "--filters", "Name=tag:Cluster-Name,Values=hundred"]
        ours, theirs = turns([([harness.FLAMBE, "status", "hundred"], box.env), (aws, box.env)], 5)
        row("  all of it | aws ec2 describe-instances", ms(ours), ms(theirs), f"1/{theirs / ours:.0f}")
    finally:
        finish(box)


def bench_calls(env):
    for factories in (1, 20, 100):
        box = harness.make_sandbox("ghost").start()
        try:
            file = box.cluster_file(name="calls", factories_num=factories, orchestrator_timeout=1,
                                    factories_timeout=1)
            box.flambe(file, "-y", check=True)
            made = [r["action"] for r in box.requests()]
            launched = len(made) - 1 - made[::-1].index("RunInstances")
            polls = made[launched:].count("DescribeInstances")
            alarms = made.count("PutMetricAlarm")
            rest = len(made) - polls - alarms
            row(f"creating 1 + {factories}: calls besides polls and alarms | limit", str(rest), "9", "",
                rest <= 9 and "CreateTags" not in made)
            row("  polls, each of the whole cluster; alarms | hosts", f"{polls}; {alarms}",
                str(factories + 1), "", alarms <= factories + 1)
            since = len(box.requests())
            box.flambe(file, "-y", check=True)
            calls = len(box.requests()) - since
            row("  deciding that it is up: calls | limit", str(calls), "1", "", calls == 1)
        finally:
            finish(box)


def bench_ready(env):
    """A light host's own readiness is its sshd's: the time of the file that sshd writes once it listens."""
    if not real_hosts():
        return
    after, whole, hosts = [], [], []
    for _ in range(3):
        box = harness.make_sandbox("light").start()
        try:
            file = box.cluster_file(name="ready", factories_num=20, factories_type="t3.nano",
                                    orchestrator_type="t3.nano")
            start = time.time()
            run = Run([harness.FLAMBE, str(file), "-y"], box.env)
            end = time.time()
            if run.code:
                raise SystemExit("bench: the cluster did not come up")
            born = box.flambe("exec", "ready", "--", "stat -c %.9Y /run/sshd.pid", check=True).stdout
            slowest = max(float(line.split()[-1]) for line in born.splitlines() if line.strip())
            after.append(end - slowest)
            whole.append(end - start)
            hosts.append(slowest - start)
        finally:
            finish(box)
    late = statistics.median(after)
    row("1 + 20 light hosts: ready after the slowest host's own sshd", s(late), "1 s", f"{late:.2f}", late < 1)
    whole, hosts = statistics.median(whole), statistics.median(hosts)
    row("  from the command to the end | to the slowest sshd", s(whole), s(hosts), f"{whole / hosts:.1f}")


def bench_ghosts(env):
    box = harness.make_sandbox("ghost").start()
    try:
        file = box.cluster_file(name="thousand", factories_num=999)
        server = server_busy(box)
        run = Run([harness.FLAMBE, str(file), "-y"], box.env, memory=True)
        server = server_busy(box) - server
        launches = [r["action"] for r in box.requests()].count("RunInstances")
        row("1000 ghosts: RunInstances | limit", str(launches), "12", "", not run.code and launches <= 12)
        row("  peak memory | limit", f"{run.mib:.0f} MiB", "64 MiB", f"{run.mib / 64:.2f}", run.mib < 64)
        row("  until all are ready | the server was busy", s(run.wall), s(server), f"{run.wall / server:.2f}")
        walls, busy, cpus = [], [], []
        code = 0
        for _ in range(3):
            server = server_busy(box)
            run = Run([harness.FLAMBE, "exec", "thousand", "--", "true"], box.env)
            busy.append(server_busy(box) - server)
            walls.append(run.wall)
            cpus.append(run.cpu)
            code = code or run.code
        wall, server, cpu = map(statistics.median, (walls, busy, cpus))
        row("  exec true on all | the server was busy", s(wall), s(server), f"{wall / server:.2f}",
            not code and wall / server <= SERVER_LIMITS)
        mib = Run([harness.FLAMBE, "exec", "thousand", "--", "true"], box.env, memory=True).mib
        row("    its own CPU; memory | limit", f"{s(cpu)}; {mib:.0f}", "64 MiB", f"{mib / 64:.2f}", mib < 64)
    finally:
        finish(box)


def pins_by_address(box, name, hosts):
    """A known_hosts file for peers that know hosts by their addresses."""
    pins = {}
    for path in box.home.glob(f"state/flambe/clusters/*/*/{name}/known_hosts"):
        for line in path.read_text().splitlines():
            host, rest = line.split(" ", 1)
            pins[host] = rest.split(" #")[0]
    known = box.home / "known_hosts_by_address"
    known.write_text("".join(f"{h['public_ip']} {pins[h['instance_id']]}\n" for h in hosts))
    return known


def bench_exec(env):
    if not real_hosts():
        return
    box = harness.make_sandbox("light").start()
    try:
        box.flambe(box.cluster_file(name="fifty", factories_num=49, factories_type="t3.nano",
                                    orchestrator_type="t3.nano"), "-y", check=True)
        hosts = json.loads(box.flambe("status", "fifty", "-o", "json", check=True).stdout)["hosts"]
        known = pins_by_address(box, "fifty", hosts)
        addresses = ",".join(h["public_ip"] for h in hosts)
        key, user = box.dir / "flambe-key.pem", "ubuntu"
        options = (f"-F none -i {key} -o IdentitiesOnly=yes -o UserKnownHostsFile={known} "
                   "-o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o BatchMode=yes")
        pdsh_env = dict(box.env, PDSH_SSH_ARGS=f"{options} -l %u %h", PDSH_RCMD_TYPE="ssh")
        peers = {"pdsh": (["pdsh", "-R", "ssh", "-S", "-f", "64", "-l", user, "-w", addresses, "true"], pdsh_env),
                 "clush": (["clush", "-S", "-f", "64", "-l", user, "-o", options, "-w", addresses, "true"], box.env)}
        ours, *theirs = turns([([harness.FLAMBE, "exec", "fifty", "--", "true"], box.env), *peers.values()], 5)
        for name, wall in zip(peers, theirs):
            row(f"exec true on 50 light hosts | {name} over ssh", s(ours), s(wall), f"1/{wall / ours:.1f}",
                wall / ours >= 3)
    finally:
        finish(box)


PARTS = {"version": bench_version, "status": bench_status, "calls": bench_calls, "ready": bench_ready,
         "ghosts": bench_ghosts, "exec": bench_exec, **send_bench.PARTS, **cluster_bench.PARTS,
         **run_bench.PARTS}


def arguments():
    parser = argparse.ArgumentParser(prog="bench", description="flambe beside its peers, as ratios")
    parser.add_argument("--quick", action="store_true", help="the longest run has 20,000 trials, not 100,000, and one over Slurm 200, not 1000")
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help=f"one of {', '.join(PARTS)}, which are the default, or {', '.join(run_bench.SLOW)}")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS and part not in run_bench.SLOW]
    if unknown:
        parser.error(f"unknown part '{unknown[0]}'; there are: {' '.join([*PARTS, *run_bench.SLOW])}")
    return args


def main():
    args = arguments()
    run_bench.quick = cluster_bench.quick = args.quick
    env = harness.clean_env("/nonexistent")
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, load {load:.1f} at the start"
          f"{': wall times are too long while others work here' if load > 1 else ''}")
    print(f"{'':<62} {'flambe':>10} {'peer or limit':>16} {'ratio':>8}", flush=True)
    try:
        for name in args.parts or PARTS:
            {**PARTS, **run_bench.SLOW}[name](env)
    finally:
        cluster_bench.close()
    missed = sum(1 for v in verdicts if v is False)
    within = sum(1 for v in verdicts if v)
    print(f"\n{within} bounds within, {missed} missed; load {os.getloadavg()[0]:.1f} at the end")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
