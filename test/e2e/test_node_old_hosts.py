"""flambe-node on a host that is older than the machine that built it: Debian 11, whose C library is
of 2020, and with no user, host or locale database but what such a host has.

The root is made once, from the package mirror that this machine's own apt uses, and kept in the cache;
the sanitizers' build has no static program, so the program is built here.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, ROOT

SUITE = "bullseye"
CACHE = pathlib.Path(os.environ.get("FLAMBE_TEST_CACHE", str(BUILD / "cache"))) / "old-host"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = "dash,bash,coreutils,libc-bin,base-passwd"

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"),
                                reason="needs root, for a chroot")


def mirror():
    """Debian's archive as apt has it here."""
    for path in [pathlib.Path("/etc/apt/sources.list"),
                 *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]:
        for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
            found = re.match(r"(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(https?://\S*/debian/?)(\s|$)", line)
            if found:
                return found[1]
    return None


@pytest.fixture(scope="module")
def root():
    place = CACHE / SUITE
    if not place.exists():
        source = mirror()
        if not shutil.which("mmdebstrap") or not source or not os.path.exists(KEYRING):
            pytest.skip("no mmdebstrap, or no mirror of Debian in apt's sources")
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = CACHE / f"{SUITE}.{os.getpid()}"
        try:
            done = subprocess.run(
                ["mmdebstrap", "--mode=root", "--variant=extract", f"--include={PACKAGES}",
                 f"--keyring={KEYRING}", SUITE, str(fresh), f"deb {source} {SUITE} main"],
                capture_output=True, text=True, timeout=600)
            if done.returncode:
                pytest.skip(f"Debian 11 cannot be had here: {done.stderr.strip().splitlines()[-1]}")
            fresh.rename(place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    assert (place / "etc/debian_version").read_text().startswith("11.")
    return place


@pytest.fixture(scope="module")
def node():
    program = BUILD / "flambe-node"
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True)
    if "not a dynamic executable" in done.stderr + done.stdout:
        return program
    if not shutil.which("meson"):
        pytest.skip("no meson, to build the static program")
    place = CACHE / "build"
    for argv in (["meson", "setup", str(place), str(ROOT), "-Dtests=disabled"],
                 ["ninja", "-C", str(place), "flambe-node"]):
        if argv[0] == "ninja" or not (place / "build.ninja").exists():
            built = subprocess.run(argv, capture_output=True, text=True, timeout=900)
            assert built.returncode == 0, built.stdout[-4000:] + built.stderr
    return place / "flambe-node"


@pytest.fixture
def old(root, node, tmp_path):
    """Runs the program in the old root, where a directory of the test's own is /t."""
    (tmp_path / "bin").mkdir()
    shutil.copy(node, tmp_path / "bin/flambe-node")
    (tmp_path / "bin/flambe").symlink_to("flambe-node")

    def run(*argv, status=0, **env):
        mounts = ('for d in proc dev; do mount --rbind /$d "$0/$d" || exit 99; done; '
                  'mkdir -p "$0/t" && mount --bind "$1" "$0/t" || exit 99; r=$0; shift; '
                  'exec chroot "$r" "$@"')
        words = {"PATH": "/usr/bin:/bin", "HOME": "/t", **env}
        done = subprocess.run(["unshare", "-m", "sh", "-c", mounts, str(root), str(tmp_path),
                               "/t/bin/flambe-node", *argv], env={**words, "PATH": os.environ["PATH"]},
                              capture_output=True, text=True, timeout=120, cwd="/")
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done
    run.home = tmp_path
    return run


def test_it_is_static_and_small(node):
    headers = subprocess.run(["readelf", "-lW", str(node)], capture_output=True, text=True).stdout
    assert "INTERP" not in headers and "DYNAMIC" not in headers
    assert node.stat().st_size < 10_000_000


def test_it_runs_where_the_c_library_is_older(old):
    assert old("--version").stdout.startswith("flambe-node ")
    for lang in ("C", "C.UTF-8", "en_US.UTF-8", "de_DE.ISO-8859-1"):
        assert "watch" in old("help", LANG=lang, LC_ALL=lang).stdout
    assert "FLAMBE_METRICS" in old("log", "loss", "1", status=2).stderr


def test_an_experiment_is_carried_out_there(old):
    (old.home / "x.yaml").write_text("""!Experiment
name: x
pipeline:
  s: !Command
    command: "flambe log loss {n}; cat /etc/debian_version; id -u"
    params: {n: !g [1, 2, 3]}
    objective: {metric: loss, mode: min}
""")
    (old.home / "x.json").write_text(json.dumps(
        {"version": 1, "name": "x", "file": "/t/x.yaml", "work": "/t", "save_path": "/t/results",
         "engine": "local", "by": "me@laptop", "submitted": 1}))
    os.chown(old.home, 12, 12)
    old("run", "/t/x.json", "--as", "12:12:12,4")
    results = old.home / "results/output__x"
    assert re.fullmatch(r"11\.\d+\n12\n", (results / "s/n=2_1/console.out").read_text())
    rows = json.loads(old("results", "/t/results/output__x", "-o", "json").stdout)
    assert [r["objective"] for r in rows] == [1, 2, 3]
    assert "3" in old("status", "/t/results/output__x", LC_ALL="de_DE.ISO-8859-1").stdout
    assert json.loads(old("attach", "/t/results/output__x").stdout.splitlines()[-1])["end"] == {
        "state": "finished", "exit": 0, "reason": None}
