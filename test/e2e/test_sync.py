"""An experiment's files to real hosts, and its results home. Needs root and LXC."""
import base64
import json
import os
import shutil
import sqlite3
import subprocess

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


# ---- the way home ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(cluster):
    """A real run's results, put where a cluster's experiment has them."""
    lab = cluster.home / "lab"
    lab.mkdir()
    (lab / "e.yaml").write_text("!Experiment\nname: sweep\npipeline:\n  train: !Command\n"
                                "    command: [sh, -c, 'echo hello; echo x > $FLAMBE_DIR/model']\n"
                                "    params: {a: !g [1, 2, 3]}\n")
    run([FLAMBE, "e.yaml"], cluster.env, check=True, cwd=lab)
    on(cluster, "orchestrator", "sudo install -d -o $(id -un) /srv/flambe /srv/flambe/results")
    cluster.flambe("cp", "-r", lab / "flambe-output/output__sweep", "near/orchestrator:/srv/flambe/results", check=True)
    cluster.lab = lab
    return cluster


def fetch(box, *more, check=True, cwd=None):
    done = run([FLAMBE, "fetch", "near", *map(str, more)], box.env, cwd=cwd or box.home)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def down(box, *more):
    return box.flambe("down", "-y", "near", *more)


def trials(db):
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as state:
        assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return state.execute("SELECT count(*) FROM trial").fetchone()[0]


def test_down_keeps_what_was_never_fetched(results):
    done = down(results)
    assert done.returncode == 1 and "the results of sweep" in done.stderr, done.stderr
    assert "flambe fetch near" in done.stderr and "--lose-results" in done.stderr
    assert len(json.loads(results.flambe("status", "near", "-o", "json", check=True).stdout)["hosts"]) == 3


def test_results_come_home(results):
    done = fetch(results, "-o", "json")
    said = json.loads(done.stdout)["fetched"][0]
    home = results.home / "flambe-output/output__sweep"
    assert said["experiment"] == "sweep" and said["files"] > 10
    assert trials(home / "flambe.db") == 3
    assert len(list(home.glob("train/*/model"))) == 3
    assert not list(home.glob(".flambe.db*")) and not (home / "lock").exists()
    shown = run([FLAMBE, "status", str(home)], results.env, check=True).stdout
    assert "3 success" in shown, shown
    left = on(results, "orchestrator", "cd /srv/flambe/results/output__sweep && ls -A")
    assert ".fetching" not in left and "fetched" not in left


def test_again_brings_what_is_new_alone(results):
    fetch(results, "sweep")
    on(results, "orchestrator", "echo more > /srv/flambe/results/output__sweep/train/new")
    said = json.loads(fetch(results, "sweep", "-o", "json").stdout)["fetched"][0]
    assert said["files"] <= 2
    assert (results.home / "flambe-output/output__sweep/train/new").read_text() == "more\n"


def test_what_was_written_just_before_counts_as_fetched(results):
    """A run's last files are a moment old when its user fetches them and takes the cluster down."""
    on(results, "orchestrator", "echo last > /srv/flambe/results/output__sweep/train/last")
    fetch(results, "sweep")
    done = results.flambe("down", "near")
    assert done.returncode != 0 and "not fetched" not in done.stderr and "-y" in done.stderr, done.stderr
    on(results, "orchestrator", "echo later > /srv/flambe/results/output__sweep/train/last")
    done = results.flambe("down", "near")
    assert done.returncode == 1 and "not fetched" in done.stderr, done.stderr


def test_a_state_that_is_being_written_comes_whole(results):
    """A writer commits without end while the state is copied; what comes is one moment of it."""
    writer = ("import sqlite3, time\n"
              "db = sqlite3.connect('/srv/flambe/results/output__sweep/flambe.db', isolation_level=None)\n"
              "db.execute('PRAGMA journal_mode=WAL')\n"
              "db.execute('CREATE TABLE a(n INTEGER)'); db.execute('CREATE TABLE b(n INTEGER)')\n"
              "end = time.time() + 40\n"
              "while time.time() < end:\n"
              "    db.execute('BEGIN'); db.execute('INSERT INTO a VALUES(1)'); db.execute('INSERT INTO b VALUES(1)')\n"
              "    db.execute('COMMIT')\n")
    on(results, "orchestrator", f"cat > w.py <<'E'\n{writer}E\nsetsid python3 w.py >/dev/null 2>&1 & echo $! > w.pid; sleep 1")
    for _ in range(3):
        fetch(results, "sweep")
        with sqlite3.connect(results.home / "flambe-output/output__sweep/flambe.db") as state:
            assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            a, b = (state.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in "ab")
        assert a == b and a > 0
    done = down(results)
    assert done.returncode == 1 and "not fetched" in done.stderr
    on(results, "orchestrator", "kill $(cat w.pid); sleep 3")


def test_other_results_are_not_written_over(results):
    done = fetch(results, "--to", results.lab / "flambe-output", check=False)
    assert done.returncode == 1 and "holds other results" in done.stderr and "--to" in done.stderr
    done = fetch(results, "e.yaml", cwd=results.lab, check=False)
    assert done.returncode == 1 and "holds other results" in done.stderr
    assert fetch(results, "nothing", check=False).returncode == 1


def test_down_knows_a_run_that_waits(results):
    fetch(results)
    on(results, "orchestrator", "sudo install -d -o $(id -un) /var/lib/flambe/queue; echo '{}' > /var/lib/flambe/queue/1.json")
    done = down(results)
    assert done.returncode == 1 and "1 experiment there runs or waits" in done.stderr
    on(results, "orchestrator", "rm /var/lib/flambe/queue/1.json")


def test_down_takes_what_was_fetched_and_says_what_it_cannot_ask(results):
    host = next(h for h in json.loads(results.flambe("status", "near", "-o", "json").stdout)["hosts"]
                if h["role"] == "Orchestrator")
    results.control("partition", host["instance_id"])
    done = down(results)
    assert done.returncode == 0, done.stderr
    assert "cannot be asked" in done.stderr
