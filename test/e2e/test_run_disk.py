"""A full disk: the run stops with a message that says so, and goes on when there is room."""
import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import FLAMBE
from runs import lab, told  # noqa: F401 (a fixture)

# In a mount namespace of its own: what is mounted goes with its last process.
INSIDE = r"""
import json, os, subprocess, sys
flambe, home, size = sys.argv[1:4]
os.chdir(home)
os.makedirs("out", exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", "out"], check=True)

def run(*argv):
    done = subprocess.run([flambe, *argv], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL)
    return {"status": done.returncode, "out": done.stdout, "err": done.stderr}

said = {}
exec(sys.argv[4])
json.dump(said, open("said.json", "w"))
"""


@pytest.fixture
def inside(lab):
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("mounting needs root and unshare")
    probe = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"],
                           capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip(f"no mount namespace here: {probe.stderr.strip()}")

    def go(size, body):
        done = subprocess.run(["unshare", "-m", "--propagation", "private", sys.executable, "-c",
                               INSIDE, FLAMBE, str(lab.home), size, body],
                              env=lab.env, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        lab.gone()
        return json.loads((lab.home / "said.json").read_text())
    return go


def full(done):
    assert done["status"] == 1, done
    last = done["err"].splitlines()[-1]
    assert last.startswith("flambe: ") and "disk is full" in last, done["err"]
    assert "what has ended is kept" in last, done["err"]
    assert "goes on where it ended" in done["out"] or done["out"] == "", done


def test_it_stops_and_goes_on(lab, inside):
    lab.file("full", """
max_failures: 0
seed: 3
pipeline:
  a: !Command {command: "echo {n} && echo {n} >> ledger", params: {n: !s [0, 1000000, 100]}}
""")
    said = inside("1600k", r"""
with open("out/ballast", "wb") as f: f.write(bytes(300000))
said["first"] = run("full.yaml")
said["status"] = run("status", "out/output__full", "-o", "json")
said["again"] = run("full.yaml")
subprocess.run(["mount", "-o", "remount,size=64m", "out"], check=True)
said["then"] = run("full.yaml")
said["rows"] = run("results", "out/output__full", "-o", "json")
""")
    full(said["first"])
    assert "running" not in said["first"]["out"], "nothing runs any more"
    assert said["again"]["status"] == 1 and "No space left" in said["again"]["err"], said["again"]
    ended = json.loads(said["status"]["out"])["stages"][0]["trials"]["success"]
    assert 0 < ended < 100, said["status"]
    assert said["then"]["status"] == 0 and "goes on" in said["then"]["err"], said["then"]
    rows = json.loads(said["rows"]["out"])
    assert len(rows) == 100 and {r["state"] for r in rows} == {"success"}
    # what had been recorded did not run again
    assert len((lab.home / "ledger").read_text().split()) <= 100 + 2 * (os.cpu_count() or 1) * 2


def test_no_room_at_all(lab, inside):
    lab.file("none", "pipeline:\n  a: !Command {command: 'true'}\n")
    said = inside("64k", r"""
with open("out/ballast", "wb", buffering=0) as f:
    try:
        while f.write(bytes(4096)) > 0: pass
    except OSError: pass
said["first"] = run("none.yaml")
said["left"] = [os.path.join(d, n) for d, _, names in os.walk("out") for n in names]
os.unlink("out/ballast")
subprocess.run(["mount", "-o", "remount,size=64m", "out"], check=True)
said["then"] = run("none.yaml")
""")
    assert said["first"]["status"] == 1 and "No space left" in said["first"]["err"] or \
        "disk is full" in said["first"]["err"], said["first"]
    assert len(said["first"]["err"].splitlines()) == 1, said["first"]
    assert said["then"]["status"] == 0, said


def test_a_trial_that_fills_the_disk(lab, inside):
    """The program's own failure is told as such; what it left makes room when it is run again."""
    lab.file("fill", """
max_failures: 0
pipeline:
  a: !Command {command: "head -c 100000000 /dev/zero > {dir}/big; echo status $? >&2; exit 3"}
""")
    said = inside("4m", 'said["first"] = run("fill.yaml")\nsaid["status"] = run("status", "out", "-o", "json")')
    first = said["first"]
    assert first["status"] == 1, first
    assert "disk is full" in first["err"] or "exit status 3" in first["err"], first
