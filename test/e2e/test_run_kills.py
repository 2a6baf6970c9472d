"""Kills at random moments: no trial is lost, none is recorded twice, and the results are those of
an undisturbed run.

FLAMBE_RANDOM_SEED makes a run again (it is printed), FLAMBE_RANDOM_KILLS makes it longer.
"""
import collections
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import time

import pytest

from conftest import FLAMBE
from runs import Lab, essence, lab, points, wait_for  # noqa: F401 (a fixture)

SEED = int(os.environ.get("FLAMBE_RANDOM_SEED", "20240607"))
KILLS = int(os.environ.get("FLAMBE_RANDOM_KILLS", "100"))
SECONDS = 0.5 * KILLS + 60  # at most

# The ledger is written at the very end, in one write: who stands in it has done all its work.
WORK = r"""
i=0
while [ $i -lt 4 ]; do
    echo "{\"step\": $i, \"loss\": $((($1 * 7919 + $2 * 31 + i * 17) % 1000)), \"n\": $i}"
    i=$((i + 1))
done >> "$FLAMBE_METRICS"
[ $(($1 % 5)) = 0 ] && sleep 0.02
echo "did $1 $2"
echo "$FLAMBE_STAGE/$FLAMBE_VARIANT" >> ledger
"""

# 120 + 60 (of the best 30, each twice) + 20 (of the best 20)
TEXT = """
pipeline:
  a: !Command
    command: [sh, work.sh, "{n}", "1"]
    params: {n: !g [%s]}
    objective: {metric: loss, mode: min}
  b: !Command
    command: [sh, work.sh, "{n}", "{k}"]
    params: {n: !@ "a[params][n]", k: !g [2, 3]}
    objective: {metric: loss, mode: max, value: best}
  c: !Command
    command: [sh, work.sh, "{n}", "{k}"]
    params: {n: !@ "a[params][n]", k: !@ "b[params][k]", from: !@ b}
reduce: {a: 30, b: 20}
""" % ", ".join(map(str, range(120)))
TRIALS = 200
SQLITES = ("flambe.db-shm", "flambe.db-wal")  # a reader leaves them


def ledger(lab):
    return collections.Counter((lab.home / "ledger").read_text().splitlines())


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """What an undisturbed run comes to."""
    lab = Lab(tmp_path_factory.mktemp("straight"))
    lab.write("work.sh", WORK)
    lab.file("kills", TEXT)
    began = time.monotonic()
    lab.good("kills.yaml")
    took = time.monotonic() - began
    rows = lab.rows("kills")
    assert len(rows) == TRIALS and {r["state"] for r in rows} == {"success"}
    assert set(ledger(lab).values()) == {1} and len(ledger(lab)) == TRIALS
    return {"rows": essence(rows), "points": points(lab, "kills"), "ledger": set(ledger(lab)),
            "seconds": took}


def supervisor_of(pid):
    """The children of flambe: the supervisor, and for moments what it asks."""
    try:
        return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def attempts(lab):
    """(endings of each trial, over all its attempts)"""
    db = sqlite3.connect(f"file:{lab.dir('kills')}/flambe.db?mode=ro", uri=True)
    found = collections.defaultdict(list)
    for trial, number, ending in db.execute("SELECT trial, number, ending FROM attempt"):
        found[trial].append((number, ending))
    db.close()
    return found


def kill_until(lab, rng, kills, both, seconds):
    """Kills runs, until one of them comes to its end; returns how many were killed, and whether the
    last one was killed behind its end."""
    done = 0
    limit = time.monotonic() + seconds
    while True:
        child = subprocess.Popen([FLAMBE, "kills.yaml"], env=lab.env, cwd=lab.home,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True)
        lab.started.append(child)
        # Every run gets a little further, so that it ends; when no more kills are due it is let be.
        wait = rng.uniform(0, rng.choice([0.05, 0.2, 0.4])) if done < kills else 60
        try:
            child.wait(timeout=wait)
        except subprocess.TimeoutExpired:
            victims = [child.pid] + (supervisor_of(child.pid) if both else [])
            for pid in victims:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            child.wait()
            done += 1
        said = child.stderr.read()
        child.stderr.close()
        assert "Sanitizer" not in said and "runtime error" not in said, said
        if child.returncode == 0:
            return done, False
        if child.returncode == 1 and "the experiment has run already" in said:
            return done, True
        assert child.returncode == -signal.SIGKILL, (done, child.returncode, said)
        assert time.monotonic() < limit, f"{done} kills, and not done"


def check_results(lab, straight):
    rows = lab.rows("kills")
    assert len(rows) == TRIALS
    assert essence(rows) == straight["rows"]
    assert points(lab, "kills") == straight["points"]
    assert set(ledger(lab)) == straight["ledger"]
    found = attempts(lab)
    assert len(found) == TRIALS
    for trial, list_ in found.items():
        numbers = [number for number, _ in list_]
        assert numbers == sorted(set(numbers)), (trial, list_)
        assert [e for _, e in list_].count("exited") == 1, (trial, list_)
    lab.gone()
    left = sorted(p.name for p in lab.dir("kills").iterdir() if p.name not in SQLITES)
    assert left == ["a", "b", "c", "experiment.yaml", "flambe.db", "lock", "run.json"], left


def campaign(tmp_path, straight, kills, both, salt):
    """Runs, one after another, until so many kills are done."""
    print(f"FLAMBE_RANDOM_SEED={SEED} FLAMBE_RANDOM_KILLS={KILLS}")
    rng = random.Random(SEED + salt)
    limit = time.monotonic() + SECONDS
    total = number = 0
    while total < kills:
        home = tmp_path / str(number)
        home.mkdir()
        lab = Lab(home)
        lab.write("work.sh", WORK)
        lab.file("kills", TEXT)
        try:
            done, behind = kill_until(lab, rng, kills - total, both, limit - time.monotonic())
            total += done
            if behind:
                (lab.dir("kills") / "ends").unlink(missing_ok=True)
            yield lab
        finally:
            lab.close()
        number += 1
        assert time.monotonic() < limit


def test_killed_runs_come_to_the_same(tmp_path, straight):
    """Whatever was killed, its trials that ended are told by the record: none ends twice."""
    for lab in campaign(tmp_path, straight, KILLS, False, 1):
        check_results(lab, straight)
        assert set(ledger(lab).values()) == {1}, ledger(lab).most_common(3)


def test_with_the_supervisor_none_is_lost(tmp_path, straight):
    """A trial may have ended that nobody lived to record: it is run again."""
    for lab in campaign(tmp_path, straight, max(1, KILLS // 3), True, 2):
        check_results(lab, straight)
        twice = sum(n - 1 for n in ledger(lab).values())
        assert twice <= max(1, KILLS // 3) * len(os.sched_getaffinity(0)), twice


def test_killed_with_programs_that_live_on(lab):
    """A killed flambe's programs are ended before the next one runs any."""
    lab.write("lock.sh", """
    mkdir busy || { echo "$FLAMBE_VARIANT $FLAMBE_ATTEMPT" >> clash; exit 9; }
    trap 'rmdir busy; exit 1' TERM
    n=0; while [ $n -lt 200 ]; do n=$((n + 1)); sleep 0.01; [ -e go ] && break; done
    rmdir busy
    """)
    cpus = len(os.sched_getaffinity(0))
    lab.file("lock", f"devices: {{cpu: {cpus}}}\nmax_failures: 0\npipeline:\n"
             "  a: !Command {command: [sh, lock.sh], params: {n: !g [1, 2]}}\n")
    for _ in range(5):
        child = lab.start("lock.yaml")
        wait_for(lambda: (lab.home / "busy").exists())
        child.kill()
        child.wait()
        lab.gone()
        if (lab.home / "busy").exists():  # it was killed, and did not get to it
            (lab.home / "busy").rmdir()
    (lab.home / "go").touch()
    lab.good("lock.yaml")
    assert not (lab.home / "clash").exists()
    assert lab.states("lock") == {"success": 2}
