"""An experiment's files to real hosts, and its results home. Needs root and LXC."""
import base64
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import time

import pytest

from conftest import BUILD, FLAMBE, run

TOOL = str(BUILD / "test/conformance/send_tool")
HOSTILE = ["-rf", "two\nlines", "a b", "it's", '"q"', "$(touch z)", "#c", ";c", "*", "back\\slash", "d/-x", "d/\x01x"]
FILES = "/var/lib/flambe/files/sweep"


@pytest.fixture(scope="module")
def cluster(light):
    """1 + 2 light hosts, up; the tests below share them in order."""
    light.file = light.cluster_file(name="near", factories_num=2, factories_type="t3.small",
                                    orchestrator_type="t3.small")
    up = light.flambe(light.file, "-y")
    assert up.returncode == 0, up.stdout + up.stderr
    light.tree = light.home / "tree"
    light.tree.mkdir()
    (light.tree / "train.py").write_text("print(1)\n")
    (light.home / "vectors.txt").write_text("1 2 3\n")
    (light.tree / "e.yaml").write_text(
        "!Experiment\nname: sweep\npipeline:\n  train: !Script\n    script: train.py\n"
        f"resources:\n  vectors: {light.home}/vectors.txt\n  there: !cluster /scratch\n")
    for name in HOSTILE:
        path = light.tree / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    (light.tree / os.fsdecode(b"\xff\xfe raw")).write_text("raw")
    subprocess.run(["git", "init", "-q", light.tree], check=True)
    return light


def send(box, *more, env=None, check=True):
    done = run([TOOL, "near", "e.yaml", *map(str, more)], env or box.env, cwd=box.tree)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def on(box, where, command, check=True):
    done = box.flambe("exec", "near", "--on", where, "--", command)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lines(text):
    """Each host's lines, without its name."""
    hosts = {}
    for line in text.splitlines():
        host, _, rest = line.partition(": ")
        hosts.setdefault(host, []).append(rest)
    return hosts


def listing(box, where="all"):
    """The files in work/ of each host."""
    out = on(box, where, f"cd {FILES}/work && find . -type f -printf '%P\\0' | base64 -w0; echo")
    return {host: sorted(name for name in base64.b64decode("".join(rows)).split(b"\0") if name)
            for host, rows in lines(out).items()}


def here(box):
    return sorted(os.fsencode(p.relative_to(box.tree)) for p in box.tree.rglob("*")
                  if p.is_file() and ".git" not in p.parts)


def test_every_host_gets_every_file(cluster):
    done = send(cluster)
    said = json.loads(done.stdout)
    assert said["resources"] == {"vectors": f"{FILES}/resources/vectors/vectors.txt", "there": "/scratch"}
    found = listing(cluster)
    assert len(found) == 3
    for names in found.values():
        assert names == here(cluster)
    assert on(cluster, "all", f"cat {FILES}/resources/vectors/vectors.txt").count("1 2 3") == 3
    assert "sent 16 new or changed files" in done.stderr, done.stderr


def test_what_is_the_same_is_not_sent_again(cluster):
    assert "sent 0 new or changed files" in send(cluster).stderr


def test_what_is_gone_goes_and_what_trials_wrote_stays(cluster):
    on(cluster, "all", f"mkdir -p {FILES}/work/d {FILES}/work/cache && touch {FILES}/work/d/made {FILES}/work/cache/x")
    shutil.rmtree(cluster.tree / "d")
    (cluster.tree / "a b").unlink()
    (cluster.tree / "a b").mkdir()
    (cluster.tree / "a b" / "now a directory").write_text("x")
    send(cluster)
    expected = sorted(here(cluster) + [b"d/made", b"cache/x"])
    assert all(names == expected for names in listing(cluster).values())
    on(cluster, "factory_2", f"touch {FILES}/work/back")
    (cluster.tree / "back").write_text("x")
    send(cluster)
    (cluster.tree / "back").unlink()
    shutil.rmtree(cluster.tree / "a b")
    (cluster.tree / "a b").write_text("a file again")
    send(cluster)
    expected = sorted(here(cluster) + [b"d/made", b"cache/x"])
    assert all(names == expected for names in listing(cluster).values())


def test_a_host_that_lost_all_gets_it_again(cluster):
    on(cluster, "factory_1", "sudo rm -rf /var/lib/flambe/files")
    send(cluster)
    assert set(here(cluster)) <= set(listing(cluster)["factory_1"])


def test_resources_that_are_no_more_are_removed(cluster):
    text = (cluster.tree / "e.yaml").read_text()
    (cluster.tree / "e.yaml").write_text(text.replace("  vectors: ", "  words: "))
    send(cluster)
    assert set(on(cluster, "all", f"ls {FILES}/resources").split()) == {"orchestrator:", "factory_1:", "factory_2:", "words"}


def test_secrets_are_the_users_alone(cluster):
    secret = cluster.home / "secrets.ini"
    secret.write_text("[a]\nb = c0ffee\n")
    send(cluster, secret)
    out = on(cluster, "all", "stat -c '%a %U' /var/lib/flambe/secrets/sweep.ini; cat /var/lib/flambe/secrets/sweep.ini")
    assert out.count("600 ") == 3 and out.count("c0ffee") == 3
    assert "c0ffee" not in on(cluster, "all", f"grep -r c0ffee {FILES}; ls -ld /var/lib/flambe/secrets")


def test_a_host_that_fails_is_named_and_the_others_go_on(cluster):
    on(cluster, "factory_1", "sudo mv /usr/bin/rsync /usr/bin/rsync.away")
    try:
        (cluster.tree / "late").write_text("x")
        done = send(cluster, check=False)
        assert done.returncode == 1, done.stderr
        assert "factory_1 has no rsync" in done.stderr and "1 of 2 hosts" in done.stderr
        assert b"late" in listing(cluster)["factory_2"]
    finally:
        on(cluster, "factory_1", "sudo mv /usr/bin/rsync.away /usr/bin/rsync")
    send(cluster)
    assert b"late" in listing(cluster)["factory_1"]


def test_a_full_disk_is_a_sentence(cluster):
    on(cluster, "orchestrator", f"sudo mount -t tmpfs -o size=64k,uid=$(id -u) none {FILES}/work")
    try:
        (cluster.tree / "large").write_bytes(os.urandom(300000))
        done = send(cluster, check=False)
        assert done.returncode == 1 and "the disk of near_orchestrator is full" in done.stderr, done.stderr
    finally:
        on(cluster, "orchestrator", f"sudo umount {FILES}/work")
        (cluster.tree / "large").unlink()
