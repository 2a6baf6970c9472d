#!/usr/bin/env python3
"""Early stopping by !asha beside random search without it, on tables of learning curves.

Usage: FLAMBE_BUILD=BUILD test/bench/asha_bench.py [SEEDS], with a build that has its tests. A seed is
a table: configurations with a final quality, a pace and noise of their own, drawn from nothing but
the seed; those that learn fast are not those that end high. Random search runs 100 of them to their end,
81 steps each. Asha gets the same ones in the same order on 4 workers of unlike speed, and more behind
them, until it has found as good a one; its steps to there are the figure. The last column has what
it is without a goal: its steps for the same 100, and whether it kept the best of them.
"""
import heapq
import os
import pathlib
import random
import statistics
import sys

root = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(root / "conformance")]
from searching import Tool, tool_path  # noqa: E402

STEPS, TRIALS, TABLE, WORKERS = 81, 100, 2000, 4
BOUND = 0.5
TOOL = tool_path(os.environ.get("FLAMBE_BUILD", root.parent / "build"))


def make_table(seed):
    """Curves q - b * t^-c + noise; larger is better. What counts is q, the quality without noise."""
    rng = random.Random(f"curves {seed}")
    table = []
    for _ in range(TABLE):
        q, b, c = rng.betavariate(4, 2), rng.uniform(0.2, 0.8), rng.uniform(0.3, 1.2)
        noise = rng.uniform(0.002, 0.02)
        table.append((q - b * STEPS ** -c, [q - b * t ** -c + rng.gauss(0, noise)
                                            for t in range(1, STEPS + 1)]))
    return table


def run_asha(table, seed, stop_at):
    """Yields (steps so far, configuration) for each that came to its end."""
    rng = random.Random(f"speeds {seed}")
    speeds = [rng.uniform(0.5, 2) for _ in range(WORKERS)]
    first = {"asha": {"maximize": True, "max_t": STEPS, "grace_period": 1, "reduction_factor": 3,
                      "brackets": 1}}
    spent, next_trial = 0, 0
    with Tool(TOOL, first) as t:
        queue = []
        for worker in range(WORKERS):
            queue.append((speeds[worker], worker, next_trial, 1))
            next_trial += 1
        heapq.heapify(queue)
        while queue:
            now, worker, trial, step = heapq.heappop(queue)
            spent += 1
            stop = t.say({"number": trial, "step": step, "value": table[trial][1][step - 1]})["stop"]
            if stop and step == STEPS:
                yield spent, trial
            if stop:
                if next_trial >= stop_at:
                    continue
                trial, step, next_trial = next_trial, 0, next_trial + 1
            heapq.heappush(queue, (now + speeds[worker], worker, trial, step + 1))
        yield spent, None


def one_seed(seed):
    table = make_table(seed)
    best = max(quality for quality, _ in table[:TRIALS])
    needed = STEPS * TABLE
    for spent, trial in run_asha(table, seed, TABLE):
        if trial is not None and table[trial][0] >= best:
            needed = spent
            break
    kept, all_steps = -1.0, 0
    for all_steps, trial in run_asha(table, seed, TRIALS):
        kept = max(kept, table[trial][0]) if trial is not None else kept
    return needed / (STEPS * TRIALS), all_steps / (STEPS * TRIALS), best, kept


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    rows = [one_seed(seed) for seed in range(seeds)]
    print("seed  best value  steps to it, of random's   steps for the same 100   best of them")
    for seed, (needed, all_steps, best, kept) in enumerate(rows):
        print(f"{seed:>4}  {best:>10.4f}  {needed:>24.3f}  {all_steps:>23.3f}  {kept:>13.4f}"
              f"{'' if kept == best else ' *'}")
    needed = [row[0] for row in rows]
    same = sum(row[3] == row[2] for row in rows)
    print(f"\nsteps to random's best: mean {statistics.mean(needed):.3f}, median "
          f"{statistics.median(needed):.3f}, largest {max(needed):.3f} of random's")
    print(f"the same 100: {statistics.mean(row[1] for row in rows):.3f} of the steps, the best found in "
          f"{same} of {seeds}, mean loss {statistics.mean(row[2] - row[3] for row in rows):.5f}")
    within = statistics.mean(needed) <= BOUND
    print(f"mean ratio at most {BOUND}: {'within' if within else 'MISSED'}")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
