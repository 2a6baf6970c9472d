"""What the benchmarks share: rows, and processes that are timed. See bench.py."""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import conftest as harness  # noqa: E402

TURNS = 9
verdicts = []


def row(what, ours, limit, ratio="", within=None):
    verdicts.append(within)
    verdict = "" if within is None else "within" if within else "MISSED"
    print(f"{what:<62} {ours:>10} {limit:>16} {ratio:>8} {verdict}".rstrip(), flush=True)


def ms(seconds):
    return f"{seconds * 1000:.1f} ms"


def s(seconds):
    return f"{seconds:.2f} s"


def over(ours, theirs):
    """The ratio as it is read best: '1/29' or '1.3'."""
    return f"{ours / theirs:.2f}" if ours * 2 > theirs else f"1/{theirs / ours:.1f}"


def built(*names):
    """Test programs of the build, which `make` leaves out: builds them."""
    done = subprocess.run(["ninja", "-C", harness.BUILD, *names], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: cannot build {' '.join(names)}:\n{done.stdout[-2000:]}")
    return [harness.BUILD / name for name in names]


# ---- one process ----------------------------------------------------------------------------------


def scheduled(pid):
    """Seconds that a process has run, and seconds that it was ready and had no processor."""
    ran, waited = pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[:2]
    return int(ran) / 1e9, int(waited) / 1e9


class Run:
    """One whole process: .wall, .own (wall less waiting for a processor), .cpu, .mib, .code"""

    def __init__(self, argv, env, memory=False):
        into = tempfile.NamedTemporaryFile("r") if memory else None
        if memory:
            argv = ["/usr/bin/time", "-f", "%M", "-o", into.name, *argv]
        errors = tempfile.TemporaryFile("w+")
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
        path = shutil.which(argv[0])
        ours = scheduled("self")[1]
        start = time.perf_counter()
        pid = os.posix_spawn(path, argv, env,
                             file_actions=[*null, (os.POSIX_SPAWN_DUP2, errors.fileno(), 2)])
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self.wall = time.perf_counter() - start
        waited = scheduled(pid)[1] + scheduled("self")[1] - ours
        _, status, usage = os.wait4(pid, 0)
        self.own = self.wall - waited
        self.cpu = usage.ru_utime + usage.ru_stime
        self.mib = int(into.read().split()[-1]) / 1024 if memory else None
        self.code = os.waitstatus_to_exitcode(status)
        if self.code:
            errors.seek(0)
            print(f"   '{' '.join(argv)[:100]}' ended with {self.code}: {errors.read()[-600:]}", flush=True)


def turns(sides, count=TURNS, what="wall", after=None):
    """Medians, side by side: each (argv, env) once to warm up, then turn by turn, after() behind each."""
    taken = [[] for _ in sides]
    for turn in range(count + 1):
        for side, (argv, env) in enumerate(sides):
            run = Run(argv, env)
            if run.code:
                raise SystemExit("bench: a program that is measured failed")
            if turn:
                taken[side].append(getattr(run, what))
        if after:
            after()
    return [statistics.median(t) for t in taken]
