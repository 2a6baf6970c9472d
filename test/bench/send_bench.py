"""An experiment's files to a host, beside rsync by hand. See bench.py."""
import json
import os
import shutil
import statistics
import subprocess

from measure import built, harness, ms, row, s, turns

FILES = 50000
LIMIT = 1.2
TURNS = 7


def make_tree(directory):
    for number in range(FILES // 100):
        below = directory / f"pkg{number // 25}" / f"mod{number}"
        below.mkdir(parents=True)
        for file in range(100):
            (below / f"file{file}.py").write_text(f"x = {number * file}\n")
    (directory / "train.py").write_text("print(1)\n")
    (directory / ".gitignore").write_text("__pycache__\n*.o\n")
    (directory / "e.yaml").write_text("!Experiment\nname: big\npipeline:\n  train: !Script\n    script: train.py\n")
    subprocess.run("git init -q && git add . && git -c user.name=x -c user.email=x@x commit -qm x",
                   shell=True, check=True, cwd=directory)


def bench_send(env):
    if os.geteuid() != 0 or not shutil.which("lxc-start"):
        print("   left out: real hosts need root and LXC", flush=True)
        return
    tool, = built("test/conformance/send_tool")
    box = harness.make_sandbox("light").start()
    try:
        box.flambe(box.cluster_file(name="one", factories_num=0, orchestrator_type="t3.small"), "-y", check=True)
        host, = json.loads(box.flambe("status", "one", "-o", "json", check=True).stdout)["hosts"]
        known = shutil.copy(next(box.home.glob("state/flambe/clusters/*/*/one/known_hosts")), box.home / "known")
        ssh = ["ssh", "-F", "none", "-i", str(box.dir / "flambe-key.pem"), "-o", "IdentitiesOnly=yes", "-o",
               f"UserKnownHostsFile={known}", "-o", f"HostKeyAlias={host['instance_id']}", "-o",
               "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]
        place = f"ubuntu@{host['public_ip']}"
        tree = box.home / "tree"
        tree.mkdir()
        make_tree(tree)
        os.chdir(tree)
        by_hand = ["rsync", "-a", "--delete", "--exclude=.git", "--filter=:- .gitignore", "-e", " ".join(ssh), "./",
                   f"{place}:by-hand/"]
        sending = []

        def send():
            done = harness.run([str(tool), "one", "e.yaml"], box.env, check=True)
            sending.append(json.loads(done.stdout)["seconds"])

        shake, nothing, whole, theirs, names = turns(
            [([*ssh, place, "true"], box.env), (["/bin/true"], box.env),
             ([str(tool), "one", "e.yaml"], box.env), (by_hand, box.env),
             ([str(tool), "list", "e.yaml"], box.env)], TURNS, after=send)
        ours = statistics.median(sending[1:])
        row(f"{FILES} files, nothing changed: sent | rsync by hand", s(ours), s(theirs), f"{ours / theirs:.2f}",
            ours <= LIMIT * theirs)
        row("  with the cluster's lookup and flambe's own connection", s(whole), s(theirs), f"{whole / theirs:.2f}")
        row("  knowing what would be sent", ms(names), "", f"{names / theirs:.2f}")
        row("  one more SSH handshake and command", ms(shake - nothing), "", f"{(shake - nothing) / theirs:.2f}")
    finally:
        os.chdir("/")
        box.destroy()
        shutil.rmtree(box.home, ignore_errors=True)


PARTS = {"send": bench_send}
