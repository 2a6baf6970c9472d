"""The parts of `make bench` that are about experiments. See bench.py.

runs    `true` 1000 times with all that flambe keeps of a trial, beside GNU parallel with a job log and beside
        xargs, which keeps nothing; all three on the same two processors, two at once. It is bound by the processor,
        so the processor time of all processes is shown beside.
plan    100,000 variants.
memory  one run of 100,000 × `true` (20,000 with --quick): the most that flambe and its supervisor ever held, by the
        number of trials that had ended (VmHWM of /proc/PID/status).
events  reading event files, beside TensorBoard's data server: see events_bench.py.
asha    early stopping, beside random search: see asha_bench.py.
optuna  only when it is named, as it takes minutes: see optuna_bench.py.

What is written stays until the end of the bench: for a minute after files were removed ext4 looks for numbers
of files that were not in use lately, which takes longer than to make the files.
"""
import atexit
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from measure import Run, built, harness, ms, over, row, s

TRIALS = 1000
TURNS = 5
PARALLEL, XARGS = 3, 2  # times as fast as the one, at most so many times as slow as the other
PLANNED, PLAN_SECONDS, PLAN_MIB = 100_000, 1, 100
RUN_TRIALS, QUICK_TRIALS = 100_000, 20_000
CACHE_MIB = 8  # of SQLite's pages, see store.c: it fills while a run's state grows to that
FLAT_MIB = 1.5  # all else that a run may take more at its end than at its first 1000 trials
ASHA_SEEDS, ASHA_BOUND = 30, 0.5

quick = False  # --quick
place = None


def scratch(name):
    """A new directory."""
    global place
    if not place:
        place = pathlib.Path(tempfile.mkdtemp(prefix="flambe-bench-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
    path = place / f"{name}-{len(list(place.iterdir()))}"
    path.mkdir()
    return path


def experiment(name, trials):
    """A file whose trials run `true`; 1000 of them an option."""
    where = scratch(name)
    options = {"a": range(min(trials, 1000)), "b": range(-(-trials // 1000))}
    params = ", ".join(f"{key}: !g {list(values)}" for key, values in options.items())
    (where / "exp.yaml").write_text(f"!Experiment\nname: {name}\nsave_path: {where}\npipeline:\n  run: !Command\n"
                                    f"    command: ['true']\n    params: {{{params}}}\n")
    return where


# ---- runs -----------------------------------------------------------------------------------------


def flambe_run(env, _):
    where = experiment("runs", TRIALS)
    run = Run([harness.FLAMBE, str(where / "exp.yaml")], env)
    kept = len(list((where / "output__runs" / "run").glob("*/result.json")))
    return run, kept


def parallel_run(env, numbers):
    log = scratch("parallel") / "joblog"
    run = Run(["parallel", "-N0", "-j2", "--joblog", str(log), "-a", str(numbers), "true"], env)
    return run, len(log.read_text().splitlines()) - 1


def xargs_run(env, numbers):
    return Run(["xargs", "-a", str(numbers), "-P2", "-n1", "true"], env), TRIALS


def bench_runs(env):
    home = scratch("home")
    numbers = home / "numbers"
    numbers.write_text("".join(f"{i}\n" for i in range(TRIALS)))
    env = dict(env, HOME=str(home), XDG_STATE_HOME=str(home / "state"), XDG_CACHE_HOME=str(home / "cache"))
    sides = {"flambe": flambe_run, "xargs": xargs_run, "parallel": parallel_run}
    taken = {name: [] for name in sides}
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(processors)[:2])
    try:
        for turn in range(TURNS + 1):
            for name, side in sides.items():
                run, kept = side(env, numbers)
                if run.code or kept != TRIALS:
                    raise SystemExit(f"bench: {name} kept {kept} of {TRIALS}")
                if turn:
                    taken[name].append(run)
    finally:
        os.sched_setaffinity(0, processors)
    wall = {name: statistics.median(r.wall for r in runs) for name, runs in taken.items()}
    cpu = {name: statistics.median(r.cpu for r in runs) for name, runs in taken.items()}
    row(f"{TRIALS} × true, all kept | GNU parallel --joblog", s(wall["flambe"]), s(wall["parallel"]),
        over(wall["flambe"], wall["parallel"]), wall["parallel"] >= PARALLEL * wall["flambe"])
    row("  | xargs, which keeps nothing", s(wall["flambe"]), s(wall["xargs"]), over(wall["flambe"], wall["xargs"]),
        wall["flambe"] <= XARGS * wall["xargs"])
    for name in ("parallel", "xargs"):
        row(f"  processor time | {name}", s(cpu["flambe"]), s(cpu[name]), over(cpu["flambe"], cpu[name]))


# ---- plan -----------------------------------------------------------------------------------------


def bench_plan(env):
    argv = [harness.FLAMBE, "plan", str(experiment("plan", PLANNED) / "exp.yaml")]
    own = statistics.median(Run(argv, env).own for _ in range(TURNS))
    row(f"plan of {PLANNED} variants, own time | limit", ms(own), s(PLAN_SECONDS), f"{own / PLAN_SECONDS:.2f}",
        own < PLAN_SECONDS)
    mib = Run(argv, env, memory=True).mib
    row("  peak memory | limit", f"{mib:.1f} MiB", f"{PLAN_MIB} MiB", f"{mib / PLAN_MIB:.2f}", mib < PLAN_MIB)


# ---- memory ---------------------------------------------------------------------------------------


def peak_mib(pid):
    """None where the process is gone."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None


def supervisor_of(pid):
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return next((c for c in children if pathlib.Path(f"/proc/{c}/comm").read_text() == "flambe-engine\n"), None)
    except OSError:
        return None


class Lines:
    """How many lines a growing file has."""

    def __init__(self, path):
        self.path, self.file, self.count = path, None, 0

    def now(self):
        if not self.file and self.path.exists():
            self.file = self.path.open("rb")
        while self.file and (block := self.file.read(1 << 20)):
            self.count += block.count(b"\n")
        return self.count


def bench_memory(env):
    trials = QUICK_TRIALS if quick else RUN_TRIALS
    where = experiment("memory", trials)
    marks = [1000, 10_000, trials // 2, trials]
    at, supervisor, both = {}, None, (None, None)
    ends = Lines(where / "output__memory" / "ends")
    start = time.perf_counter()
    process = subprocess.Popen([harness.FLAMBE, str(where / "exp.yaml")], env=env, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while process.poll() is None:
        supervisor = supervisor or supervisor_of(process.pid)
        now = peak_mib(process.pid), peak_mib(supervisor) if supervisor else None
        both = now if None not in now else both
        count = ends.now()
        for mark in marks:
            if count >= mark and both[0]:
                at.setdefault(mark, both)
        time.sleep(0.02)
    wall = time.perf_counter() - start
    at[trials] = both
    if process.returncode or len(at) != len(marks):
        raise SystemExit(f"bench: {trials} trials ended with {process.returncode}")
    first = at[marks[0]]
    row(f"{trials} × true: peak memory of flambe, supervisor: at {marks[0]}", *(f"{mib:.1f} MiB" for mib in first))
    for mark in marks[1:]:
        row(f"  at {mark}", *(f"{mib:.1f} MiB" for mib in at[mark]))
    row(f"  at the end | at {marks[0]}, and SQLite's cache of {CACHE_MIB} MiB", f"{both[0]:.1f} MiB",
        f"{first[0] + CACHE_MIB:.1f} MiB", "", both[0] <= first[0] + CACHE_MIB + FLAT_MIB)
    row(f"  supervisor at the end | at {marks[0]}", f"{both[1]:.1f} MiB", f"{first[1]:.1f} MiB", "",
        both[1] <= first[1] + FLAT_MIB)
    row("  trials a second", f"{trials / wall:.0f}", "")


# ---- events, asha, optuna -------------------------------------------------------------------------


def bench_events(_):
    import events_bench
    import packages
    events_tool, = built("test/conformance/events_tool")
    python = packages.venv(harness.BUILD / "venv")
    if not python:
        print("   left out: events, as TensorBoard comes from the Python package index, which cannot be reached",
              flush=True)
        return
    size, times = events_bench.measure(events_tool.parents[2], python)
    wall, cpu = (events_bench.medians(times, which) for which in (0, 1))
    scalars = events_bench.FILES * events_bench.TAGS * events_bench.STEPS
    fastest = min(wall[name] for name in wall if name != "flambe")
    for i, name in enumerate(name for name in wall if name != "flambe"):
        what = f"loading {scalars / 1e6:.1f} million scalars, {size / 1e6:.0f} MB" if i == 0 else " "
        row(f"{what} | data {name}", s(wall["flambe"]), s(wall[name]), over(wall["flambe"], wall[name]),
            wall["flambe"] <= wall[name] if wall[name] == fastest else None)
        row("    processor time", s(cpu["flambe"]), s(cpu[name]), over(cpu["flambe"], cpu[name]))


def bench_asha(_):
    built("test/conformance/search_tool")
    import asha_bench
    rows = [asha_bench.one_seed(seed) for seed in range(ASHA_SEEDS)]
    steps = asha_bench.STEPS * asha_bench.TRIALS
    needed = statistics.mean(r[0] for r in rows)
    row(f"asha: steps to the best value of random's {asha_bench.TRIALS} | random's", f"{needed * steps:.0f}", f"{steps}",
        f"{needed:.2f}", needed <= ASHA_BOUND)
    row(f"  the most over {ASHA_SEEDS} seeds", f"{max(r[0] for r in rows) * steps:.0f}", f"{steps}",
        f"{max(r[0] for r in rows):.2f}")
    same = sum(r[3] == r[2] for r in rows)
    row(f"  the same {asha_bench.TRIALS} trials: finds their best | seeds", f"{same}", f"{ASHA_SEEDS}",
        f"{statistics.mean(r[1] for r in rows):.2f}")


def bench_optuna(env):
    built("test/conformance/search_tool")
    script = pathlib.Path(__file__).with_name("optuna_bench.py")
    done = subprocess.run([sys.executable, script], env=dict(env, FLAMBE_BUILD=str(harness.BUILD)))
    row("optuna: no sampler is worse than Optuna alone (30 seeds)", "", "", "", done.returncode == 0)


PARTS = {"runs": bench_runs, "plan": bench_plan, "memory": bench_memory, "events": bench_events, "asha": bench_asha}
SLOW = {"optuna": bench_optuna}
