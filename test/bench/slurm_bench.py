#!/usr/bin/env python3
"""What the Slurm engine costs: programs that do nothing, through it and as one bare job array.

    test/bench/slurm_bench.py [--count N] [--rounds N] TOOL

TOOL is slurm_tool of a build without sanitizers. The two take turns on one lab (test/e2e/slurm_lab.py),
since the machine's other work is part of both numbers. A bare task is `true` alone: it writes no
record, has no limits and no bounded output.
"""
import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import slurm_lab  # noqa: E402

LIMIT_SECONDS = 900


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def bare(lab, count):
    before = lines(lab.ended)
    began = time.monotonic()
    lab.run("sbatch", "--output=/dev/null", "--chdir=/", f"--array=0-{count - 1}", "--wrap", "true")
    while lines(lab.ended) < before + count and time.monotonic() < began + LIMIT_SECONDS:
        time.sleep(0.02)
    return time.monotonic() - began


def engine(lab, count, tool):
    home = tempfile.mkdtemp(prefix="flambe-slurm-bench-")
    process = subprocess.Popen([tool, "engine", f"{home}/engine", tool, str(lab.ended)], env=lab.env, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=slurm_lab.die_with_parent)
    assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    process.stdin.write(f"many\t1\t{count}\t{home}\ttrue\n")
    process.stdin.flush()
    ended = 0
    while ended < count:
        words = process.stdout.readline().split("\t")
        if words[0] == "ended":
            assert words[2:4] == ["exited", "0"], words
            ended += 1
    span = time.monotonic() - began
    process.stdin.close()
    process.wait(60)
    shutil.rmtree(home)
    return span


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=8)
    parser.add_argument("tool")
    a = parser.parse_args()
    why = slurm_lab.missing()
    if why:
        sys.exit(why)
    lab = slurm_lab.Lab(nodes=a.nodes, cpus=a.cpus)
    rows = []
    try:
        lab.start()
        for i in range(a.rounds):
            rows.append((bare(lab, a.count), engine(lab, a.count, a.tool)))
            print(f"round {i + 1}: array {rows[-1][0]:.1f} s, engine {rows[-1][1]:.1f} s", flush=True)
    finally:
        lab.stop()
    array, ours = (statistics.median(r[i] for r in rows) for i in (0, 1))
    print(f"median of {a.rounds}: array {array:.1f} s, engine {ours:.1f} s: {ours / array:.2f} times")


if __name__ == "__main__":
    main()
