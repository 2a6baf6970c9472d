#!/usr/bin/env python3
"""Best values of !random and !optuna on Branin and Hartmann6, beside what Optuna 3.1.0 by itself has.

Usage: FLAMBE_BUILD=BUILD test/bench/optuna_bench.py [SEEDS], with a build that has its tests. The
Python that runs this has to have optuna and cmaes.
"""
import concurrent.futures
import math
import os
import pathlib
import statistics
import sys
import time

root = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(root / "conformance")]
from searching import REFERENCE, best_values, tool_path  # noqa: E402

TOOL = tool_path(os.environ.get("FLAMBE_BUILD", root.parent / "build"))
os.environ.setdefault("FLAMBE_PYTHON", sys.executable)


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    missed = 0
    print(f"{'sampler':<18} {'function':<10} {'trials':>6} {'mean':>8} {'sd':>7} {'known':>8} {'sd':>7} "
          f"{'z':>6} {'s a run':>8}")
    for (sampler, function), known in REFERENCE.items():
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            runs = list(pool.map(lambda s: best_values(TOOL, sampler, function, s, 200), range(seeds)))
        seconds = (time.monotonic() - start) / seeds
        for trials, (mean, deviation) in known.items():
            got = [values[trials - 1] for values in runs]
            error = deviation * math.sqrt(1 / 30 + 1 / seeds)
            z = (statistics.mean(got) - mean) / error
            missed += z > 4
            print(f"{sampler:<18} {function:<10} {trials:>6} {statistics.mean(got):>8.3f} "
                  f"{statistics.stdev(got):>7.3f} {mean:>8.3f} {deviation:>7.3f} {z:>6.1f} {seconds:>8.2f}",
                  flush=True)
    print(f"worse than known by 4 standard errors: {missed}")
    return 1 if missed else 0


sys.exit(main())
