"""What the tests of runs share: a directory to work in, programs, and looks at what a run left.

Every process of a lab has a mark in its environment, so that what is left alive can be found.
"""
import csv
import io
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import time
import uuid

import pytest

from conftest import FLAMBE, clean_env, run
from test_cli_terminal import Terminal

MARK = "E2E_MARK"
PATIENCE = 120  # seconds for what comes at once on an idle machine


def wait_for(condition, seconds=PATIENCE, what="it"):
    """Waits until condition() is true, and returns what it said."""
    limit = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < limit, f"{what} did not come"
        time.sleep(0.01)


class Lab:
    def __init__(self, home):
        self.home = pathlib.Path(home)
        self.out = self.home / "out"
        self.env = clean_env(home)
        self.mark = f"{MARK}={uuid.uuid4().hex}"
        self.env[MARK] = self.mark.split("=")[1]
        self.started = []

    def write(self, name, text, mode=0o644):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def file(self, name, text, head=""):
        """An experiment's file: the pipeline is given, the rest is filled in."""
        self.write(f"{name}.yaml", f"{head}!Experiment\nname: {name}\nsave_path: ./out\n{text}")
        return f"{name}.yaml"

    def dir(self, name):
        return self.out / f"output__{name}"

    def flambe(self, *argv, **more):
        done = run([FLAMBE, *map(str, argv)], more.pop("env", self.env), cwd=self.home, **more)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done

    def good(self, *argv, **more):
        done = self.flambe(*argv, **more)
        assert done.returncode == 0, told(done)
        return done

    def start(self, *argv, **more):
        child = subprocess.Popen([FLAMBE, *map(str, argv)], env=self.env, cwd=self.home, text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, **more)
        self.started.append(child)
        return child

    def terminal(self, *argv, **more):
        """On a terminal; the working directory is the lab's."""
        inside = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', self.home, FLAMBE, *map(str, argv)]
        terminal = Terminal(inside, self.env, **more)
        self.started.append(terminal.child)
        return terminal

    def rows(self, name, stage=None):
        """The trials as 'flambe results' has them."""
        more = ["--stage", stage] if stage else []
        return json.loads(self.good("results", self.dir(name), "-o", "json", *more).stdout)

    def by_name(self, name, stage):
        return {row["name"]: row for row in self.rows(name, stage)}

    def status(self, name):
        return json.loads(self.good("status", self.dir(name), "-o", "json").stdout)

    def states(self, name):
        """The sum of all trials, those that are none left out."""
        sums = {}
        for stage in self.status(name)["stages"]:
            for state, n in stage["trials"].items():
                sums[state] = sums.get(state, 0) + n
        return {state: n for state, n in sums.items() if n}

    def console(self, name, stage, variant):
        return (self.dir(name) / stage / variant / "console.out").read_text()

    def alive(self):
        """The lab's processes: numbers and command lines."""
        found = []
        for place in pathlib.Path("/proc").iterdir():
            if not place.name.isdigit():
                continue
            try:
                if self.mark.encode() in (place / "environ").read_bytes():
                    words = (place / "cmdline").read_bytes().replace(b"\0", b" ")
                    if words:
                        found.append((int(place.name), words.decode(errors="replace")))
            except OSError:
                pass
        return found

    def gone(self, seconds=PATIENCE):
        """Nothing of the lab lives, soon."""
        limit = time.monotonic() + seconds
        while self.alive():
            assert time.monotonic() < limit, self.alive()
            time.sleep(0.02)

    def close(self):
        for child in self.started:
            if child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdout, child.stderr):
                if stream:
                    stream.close()
        for pid, _ in self.alive():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def told(done):
    return f"status {done.returncode}\n{done.stdout}\n{done.stderr}"


def names(lab, name, stage):
    return sorted(p.name for p in (lab.dir(name) / stage).iterdir())


def essence(rows):
    """What has to be equal in two runs that came to the same."""
    keys = ("stage", "number", "name", "state", "objective", "params", "metrics", "exit_status")
    return sorted((tuple(json.dumps(row[k], sort_keys=True) for k in keys) for row in rows))


def points(lab, name):
    """Every point of every trial, from the state itself."""
    db = sqlite3.connect(f"file:{lab.dir(name)}/flambe.db?mode=ro", uri=True)
    try:
        return sorted(db.execute(
            "SELECT t.stage, t.number, g.name, p.step, p.value FROM metric p "
            "JOIN trial t ON t.id = p.trial JOIN tag g ON g.id = p.tag"))
    finally:
        db.close()


def table(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))
