"""An experiment from its file to its results: what programs get, what is said, what is left."""
import http.server
import json
import os
import re
import resource
import subprocess
import threading

import pytest

from conftest import FLAMBE
from runs import lab, names, table, told  # noqa: F401 (a fixture)

TRAIN = """
import argparse, json, os
p = argparse.ArgumentParser()
p.add_argument("dataset")
p.add_argument("speed")
p.add_argument("--lr", type=float)
p.add_argument("--size", type=int)
p.add_argument("--out")
a = p.parse_args()
names = ("FLAMBE", "CUDA", "OMP", "PYTHON", "PATH", "OTHER")
print(json.dumps({"args": vars(a), "cwd": os.getcwd(),
                  "env": {k: v for k, v in os.environ.items() if k.startswith(names)}}))
with open(os.environ["FLAMBE_METRICS"], "w") as f:
    for step in range(3):
        print(json.dumps({"step": step, "loss": a.lr * a.size * (3 - step)}), file=f)
with open(os.path.join(a.out, "model.bin"), "w") as f:
    f.write(f"{a.speed} {a.lr} {a.size}")
"""

SWEEP = """
seed: 1
resources: {data: data.txt}
pipeline:
  train: !Script
    script: train.py
    args: [!@ data, !g [fast, slow]]
    kwargs:
      lr: !g [0.5, 0.25]
      size: !g [8, 16]
    output_dir_arg: out
    outputs: {model: model.bin}
    objective: {metric: loss, mode: min}
  test: !Command
    command: [python3, -c, "import sys; print(sys.argv[1:], open(sys.argv[1]).read())",
              "{model}", "{lr}", "{data}", "{{brace}}", "{stage}/{variant}"]
    params:
      model: !@ train.model
      lr: !@ train[kwargs][lr]
      data: !@ data
  line: !Command
    command: "cat {model} && echo \\" {word}\\" && echo $TWICE && pwd && ls {dir}"
    params:
      model: !@ train.model
      word: "it's $HOME"
    env: {TWICE: !@ "train[kwargs][size]"}
reduce: {train: 2}
"""


@pytest.fixture
def sweep(lab):
    lab.write("train.py", TRAIN)
    lab.write("data.txt", "the data")
    lab.file("sweep", SWEEP)
    return lab


def test_a_sweep(sweep):
    done = sweep.good("sweep.yaml")
    assert re.match(r"finished after [\d.]+ m?s: 12 success\n"
                    r"  best of train: loss 2 of args_1=fast,lr=0.25,size=8_2\n"
                    r"    args_1=fast, lr=0.25, size=8\n", done.stdout), done.stdout
    assert done.stdout.endswith(
        "  results in out/output__sweep\nnext: flambe results out/output__sweep\n"
        "      tensorboard --logdir out/output__sweep\n")
    assert "stage 'train': 8 trials\n" in done.stderr
    assert "stage 'test': 2 trials\nstage 'test': success: 2 success\n" in done.stderr
    assert "best loss 2 of args_1=fast,lr=0.25,size=8_2\n" in done.stderr
    sweep.gone()

    top = sorted(p.name for p in sweep.dir("sweep").iterdir())
    assert top == ["experiment.yaml", "flambe.db", "line", "lock", "run.json", "test", "train"]
    want = [f"args_1={speed},lr={lr},size={size}_{i}" for i, (size, lr, speed) in enumerate(
        (size, lr, speed) for size in (8, 16) for lr in ("0.5", "0.25") for speed in ("fast", "slow"))]
    assert names(sweep, "sweep", "train") == sorted(want)
    kept = [want[2], want[3]]  # fast and slow, of lr 0.25 and size 8
    assert names(sweep, "sweep", "test") == names(sweep, "sweep", "line") == sorted(kept)
    for path in (sweep.dir("sweep") / "train").iterdir():
        assert sorted(p.name for p in path.iterdir()) == [
            "console.out", "events.out.tfevents.0.flambe", "metrics.jsonl", "model.bin",
            "params.json", "result.json"]


def test_what_a_script_gets(sweep):
    sweep.env.update(OTHER="kept", FLAMBE_VARIANT="not this one", CUDA_VISIBLE_DEVICES="5")
    sweep.good("sweep.yaml")
    name = "args_1=slow,lr=0.5,size=16_5"
    place = sweep.dir("sweep") / "train" / name
    have = json.loads(sweep.console("sweep", "train", name))
    assert have["args"] == {"dataset": str(sweep.home / "data.txt"), "speed": "slow", "lr": 0.5,
                            "size": 16, "out": str(place)}
    assert have["cwd"] == str(sweep.home)
    env = have["env"]
    assert env.pop("FLAMBE_PROGRAM") and env["PATH"].endswith(os.path.dirname(FLAMBE))
    assert {k: v for k, v in env.items() if not k.startswith(("PATH", "PYTHOND"))} == {
        "FLAMBE": FLAMBE, "FLAMBE_EXPERIMENT": "sweep", "FLAMBE_STAGE": "train",
        "FLAMBE_VARIANT": name, "FLAMBE_DIR": str(place), "FLAMBE_TRIAL": "5",
        "FLAMBE_ATTEMPT": "1", "FLAMBE_PARAMS": f"{place}/params.json",
        "FLAMBE_METRICS": f"{place}/metrics.jsonl", "FLAMBE_CHECKPOINT": f"{place}/checkpoint",
        "FLAMBE_CPUS": "1", "FLAMBE_GPUS": "0", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1",
        "CUDA_VISIBLE_DEVICES": "5", "OTHER": "kept"}
    assert json.loads((place / "params.json").read_text()) == {"lr": 0.5, "size": 16}
    result = json.loads((place / "result.json").read_text())
    assert result["state"] == "success" and result["objective"] == 8.0
    assert result["metrics"] == {"loss": 8.0} and result["exit_status"] == 0
    assert result["memory_peak"] > 1 << 20 and result["seconds"] > 0


def test_without_a_path_the_current_directory_is_not_looked_through(lab):
    lab.write("env", "#!/bin/sh\n/bin/echo of the current directory\n", 0o755)
    del lab.env["PATH"]
    lab.file("nowhere", "pipeline:\n  a: !Command {command: [env]}\n")
    lab.good("nowhere.yaml")
    path = f"PATH=/usr/local/bin:/usr/bin:/bin:{os.path.dirname(FLAMBE)}"
    assert path in lab.console("nowhere", "a", "0").splitlines()


def test_what_a_command_gets(sweep):
    sweep.good("sweep.yaml")
    name = "args_1=fast,lr=0.25,size=8_2"
    model = str(sweep.dir("sweep") / "train" / name / "model.bin")
    assert sweep.console("sweep", "test", name) == (
        f"{[model, '0.25', f'{sweep.home}/data.txt', '{brace}', f'test/{name}']} fast 0.25 8\n")
    assert json.loads((sweep.dir("sweep") / "test" / name / "params.json").read_text()) == {
        "model": model, "lr": 0.25, "data": f"{sweep.home}/data.txt"}
    assert sweep.console("sweep", "line", name).splitlines() == [
        "fast 0.25 8 it's $HOME", "8", str(sweep.home), "checkpoint", "console.out",
        "events.out.tfevents.0.flambe", "params.json"]


def test_results_status_and_logs_of_a_run(sweep):
    sweep.good("sweep.yaml")
    rows = table(sweep.good("results", "sweep.yaml", "-o", "csv").stdout)
    assert len(rows) == 12 and {row["state"] for row in rows} == {"success"}
    assert [row["loss"] for row in rows[:3]] == ["2", "2", "4"], "the best come first"
    assert rows[0]["lr"] == "0.25" and rows[0]["name"] == "args_1=fast,lr=0.25,size=8_2"
    said = sweep.good("status", "out").stdout.splitlines()
    assert said[0] == "experiment 'sweep': finished"
    assert said[3].split() == ["train", "success", "8", "loss", "2", "args_1=fast,lr=0.25,size=8_2"]
    logs = sweep.good("logs", "out", "line", "2").stdout
    assert logs.startswith("fast 0.25 8 it's $HOME\n")
    assert sweep.good("logs", "out", "line").stdout.count("it's $HOME") == 2


def test_the_answer_in_json_is_that_of_status(sweep):
    done = sweep.good("sweep.yaml", "-o", "json")
    answer = json.loads(done.stdout)
    assert answer == sweep.status("sweep")
    assert answer["state"] == "finished" and answer["pid"] is None
    assert [s["name"] for s in answer["stages"]] == ["train", "test", "line"]
    assert answer["stages"][0]["best"] == {
        "trial": "args_1=fast,lr=0.25,size=8_2", "objective": 2.0,
        "params": {"args_1": "fast", "lr": 0.25, "size": 8}}
    assert answer["stages"][1]["planned"] == 2 and not answer["stages"][1]["at_most"]
    again = sweep.flambe("sweep.yaml", "-o", "json")
    assert again.returncode == 1 and json.loads(again.stdout)["error"]["code"] == "exists"


def test_on_a_terminal(sweep):
    t = sweep.terminal("sweep.yaml", size=(24, 80))
    assert t.end() == 0, t.text
    screen = [line.rstrip() for line in t.screen()]
    assert screen[0].split() == ["stage", "state", "success", "best", "trial"], screen
    assert screen[1].split()[:5] == ["train", "success", "8", "loss", "2"]
    assert screen[4].startswith("finished after "), screen
    assert all(len(line) <= 80 for line in screen[:7]), screen
    t = sweep.terminal("-v", "-f", "sweep.yaml", size=(24, 80))
    assert t.end() == 0, t.text
    assert "train/args_1=fast,lr=0.5,size=8_0: success, objective 4" in "\n".join(t.screen())


def test_wide_names_do_not_break_the_table(lab):
    lab.file("wide", "pipeline:\n  a: !Command\n    command: [sleep, '0.3']\n    params:\n"
             "      text: !g ['数据数据数据数据数据数据数据数据数据', \"tab\\tand\\nline\", '"
             + "x" * 120 + "']\n")
    t = lab.terminal("wide.yaml", size=(10, 40))
    assert t.end() == 0, t.text
    assert "\t" not in t.text and [r.split() for r in t.screen()[:2]] == [
        ["stage", "state", "success"], ["a", "success", "3"]]


def test_gpus_are_handed_out(lab):
    lab.write("bin/nvidia-smi", "#!/bin/sh\ncase $* in\n*index*) printf '%s\\n' "
              "'0, GPU-aaaa, Fake, 80000' '1, GPU-bbbb, Fake, 80000' '2, GPU-cccc, Fake, 80000';;\n"
              "*) echo '80000, 1.0, Fake';;\nesac\n", 0o755)
    lab.env["PATH"] = f"{lab.home}/bin:{lab.env['PATH']}"
    lab.env["CUDA_VISIBLE_DEVICES"] = "2,GPU-bbbb"
    lab.write("look.sh", """
    seen=$CUDA_VISIBLE_DEVICES
    mkdir "busy.$seen" || exit 9
    echo "$seen $FLAMBE_GPUS"
    n=0; while [ $n -lt 30 ] && [ "$(ls -d busy.* 2>/dev/null | wc -l)" -lt 2 ]; do sleep 0.01; n=$((n + 1)); done
    rmdir "busy.$seen"
    """)
    lab.file("gpu", "pipeline:\n  a: !Command {command: [sh, look.sh], params: {n: !g [1,2,3,4,5,6]}}\n")
    lab.good("gpu.yaml")
    seen = [lab.console("gpu", "a", name).split() for name in names(lab, "gpu", "a")]
    assert {gpu for gpu, _ in seen} == {"2", "GPU-bbbb"} and {n for _, n in seen} == {"1"}
    assert json.loads((lab.dir("gpu") / "run.json").read_text())[0]["host"]["gpus"]
    lab.file("both", "devices: {gpu: 2}\n"
             "pipeline:\n  a: !Command {command: 'echo $CUDA_VISIBLE_DEVICES'}\n")
    lab.good("both.yaml")
    assert lab.console("both", "a", "0") == "2,GPU-bbbb\n"
    lab.file("none", "devices: {gpu: 0}\n"
             "pipeline:\n  a: !Command {command: 'echo =$CUDA_VISIBLE_DEVICES='}\n")
    lab.good("none.yaml")
    assert lab.console("none", "a", "0") == "==\n", "a trial without a GPU sees none"
    lab.file("more", "devices: {gpu: 3}\npipeline:\n  a: !Command {command: 'true'}\n")
    done = lab.flambe("more.yaml")
    assert done.returncode == 2 and "gpu" in done.stderr and not lab.dir("more").exists()


def test_cpus_bound_how_many_run(lab):
    cpus = len(os.sched_getaffinity(0))
    lab.write("count.sh", "mkdir on.$$; ls -d on.* | wc -l; sleep 0.05; rmdir on.$$\n")
    lab.file("one", f"devices: {{cpu: {cpus}}}\n"
             "pipeline:\n  a: !Command {command: [sh, count.sh], params: {n: !g [1,2,3,4]}}\n")
    lab.good("one.yaml")
    assert {lab.console("one", "a", n).strip() for n in names(lab, "one", "a")} == {"1"}
    lab.file("more", f"devices: {{cpu: {cpus + 1}}}\npipeline:\n  a: !Command {{command: 'true'}}\n")
    done = lab.flambe("more.yaml")
    assert done.returncode == 2 and f"asks for {cpus + 1} CPUs; this machine has {cpus}" in done.stderr, told(done)


def test_seeds_and_the_resolved_file(lab):
    text = """
pipeline:
  a: !Command
    command: [echo, "{x}", "{y}", "{z}"]
    params:
      x: !s [0.1, 3, 2]
      y: !s [0, 1000, 2]  # whole
      z: !g [a, b]
"""
    lab.file("drawn", text)
    lab.good("drawn.yaml")
    first = lab.rows("drawn")
    assert len(first) == 8
    seed = json.loads((lab.dir("drawn") / "run.json").read_text())[0]["seed"]
    resolved = (lab.dir("drawn") / "experiment.yaml").read_text()
    assert f"with the seed {seed}." in resolved and "!s" not in resolved and "# whole" in resolved
    for row in first:  # each number as short as it can be
        assert re.search(rf"\b{re.escape(repr(row['params']['x']))}\b", resolved), resolved
    lab.write("again.yaml", resolved.replace("./out", "./again"))
    lab.good("again.yaml")
    lab.write("seeded.yaml", f"!Experiment\nname: drawn\nsave_path: ./seeded\nseed: {seed}{text}")
    lab.good("seeded.yaml")
    for other in ("again", "seeded"):
        answer = lab.good("results", f"{other}/output__drawn", "-o", "json").stdout
        assert [(r["name"], r["params"]) for r in json.loads(answer)] == [
            (r["name"], r["params"]) for r in first], other


# ---- extensions, secrets, provenance ---------------------------------------------------------


def test_extensions_by_path(lab):
    lab.write("ext/helper/__init__.py", "")
    lab.write("ext/helper/more.py", "WORD = 'from the extension'")
    lab.write("ext/helper/go.py", "import sys\nfrom helper.more import WORD\nprint(WORD, sys.argv[1:])")
    lab.write("train.py", "from helper.more import WORD\nprint(WORD)\n")
    lab.file("ext", "pipeline:\n  a: !Script {script: train.py}\n"
             "  b: !Script {script: helper.go, args: [1, two]}\n", head="helper: ./ext/helper\n---\n")
    lab.good("ext.yaml")
    assert lab.console("ext", "a", "0") == "from the extension\n"
    assert lab.console("ext", "b", "0") == "from the extension ['1', 'two']\n"
    lab.file("pip", "pipeline:\n  a: !Script {script: train.py}\n", head="nothing: no-such-package\n---\n")
    done = lab.flambe("pip.yaml")
    assert done.returncode == 2 and "-i" in done.stderr, told(done)


def test_secrets_are_in_no_file(lab):
    value = "hunter2-" + "q" * 20
    secrets = lab.write("secrets.ini", f"[SERVICE]\nkey = {value}\n", 0o600)
    lab.write("use.py", """
import configparser, os
c = configparser.ConfigParser()
c.read(os.environ["FLAMBE_SECRETS"])
print(len(c["SERVICE"]["key"]))
""")
    lab.file("secret", "pipeline:\n  a: !Script {script: use.py}\n")
    done = lab.good("secret.yaml", "-s", "secrets.ini", "-v")
    assert lab.console("secret", "a", "0") == "28\n"
    assert value not in done.stdout + done.stderr
    found = [p for p in lab.out.rglob("*") if p.is_file() and value.encode() in p.read_bytes()]
    assert not found, found
    lab.write("bad.ini", f"[SERVICE]\n{value}\n", 0o600)
    done = lab.flambe("secret.yaml", "-f", "-s", "bad.ini")
    assert done.returncode == 2 and "bad.ini:2" in done.stderr and value not in done.stderr, told(done)
    assert lab.rows("secret"), "nothing was removed"
    done = lab.flambe("secret.yaml", "-f", "-s", "missing.ini")
    assert done.returncode == 2 and "missing.ini" in done.stderr, told(done)
    secrets.chmod(0o644)
    done = lab.good("secret.yaml", "-f", "-s", "secrets.ini")
    assert "warning" in done.stderr and "chmod 600" in done.stderr, told(done)


def test_where_the_results_come_from(lab):
    def git(*argv):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *argv],
                       cwd=lab.home, env=lab.env, check=True, capture_output=True)
    lab.write("train.py", "print(1)\n")
    lab.file("git", "pipeline:\n  a: !Script {script: train.py}\n")
    lab.write(".gitignore", "out/\nstate/\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    lab.good("git.yaml")
    (entry,) = json.loads((lab.dir("git") / "run.json").read_text())
    assert re.fullmatch("[0-9a-f]{40}", entry["git"]["commit"]) and entry["git"]["dirty"] is False
    assert not (lab.dir("git") / "git.diff").exists()
    assert entry["command"][1:] == ["git.yaml"] and entry["directory"] == str(lab.home)
    lab.write("train.py", "print(2)\n")
    lab.write("new.txt", "")
    lab.good("git.yaml", "--reuse")
    first, second = json.loads((lab.dir("git") / "run.json").read_text())
    assert first == entry and second["git"]["dirty"] is True
    assert second["git"]["untracked"] == ["new.txt"] and second["git"]["commit"] == entry["git"]["commit"]
    assert "+print(2)" in (lab.dir("git") / "git.diff").read_text()


class Files(http.server.BaseHTTPRequestHandler):
    asked = []

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("Authorization")))
        missing = "missing" in self.path
        self.send_response(404 if missing else 200)
        body = b"" if missing else b"what was fetched\n"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *words):
        pass


def test_passwords_of_resources_are_not_kept(lab):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://me:hunter22@127.0.0.1:{server.server_port}/FILE?token=s3cr3t&v=1"
    text = "resources: {r: URL}\npipeline:\n  a: !Command {command: [cat, !@ r]}\n"
    lab.file("web", text.replace("URL", url.replace("FILE", "data.txt")))
    try:
        shown = lab.good("plan", "web.yaml").stdout
        done = lab.good("-v", "web.yaml", "-o", "json")
        said = shown + done.stdout + done.stderr
        assert lab.console("web", "a", "0") == "what was fetched\n"
        assert Files.asked[-1] == ("/data.txt?token=s3cr3t&v=1", "Basic bWU6aHVudGVyMjI=")
        # another password is the same experiment
        lab.file("web", text.replace("URL", url.replace("FILE", "data.txt").replace("22", "33")))
        assert "the experiment has run already" in lab.flambe("web.yaml").stderr
        lab.file("web", text.replace("URL", url.replace("FILE", "missing")))
        done = lab.flambe("web.yaml", "-f")
        assert done.returncode != 0 and "the resource 'r'" in done.stderr, told(done)
        said += done.stdout + done.stderr
    finally:
        server.shutdown()
        server.server_close()
    assert "hunter22" not in said and "s3cr3t" not in said, said
    for path in lab.dir("web").rglob("*"):
        if path.is_file():
            kept = path.read_bytes()
            assert b"hunter22" not in kept and b"s3cr3t" not in kept, path
    assert "me:***@127.0.0.1" in (lab.dir("web") / "experiment.yaml").read_text()


# ---- options of the command ------------------------------------------------------------------


def test_debug_shows_what_a_trial_prints(lab):
    lab.write("talk.sh", "echo one $1; printf '\\033[2Jtwo\\n'; printf 'no end'; echo err >&2\n")
    lab.file("talk", "pipeline:\n  a: !Command {command: [sh, talk.sh, '{n}'], params: {n: !g [1, 2, 3]}}\n")
    done = lab.good("-d", "talk.yaml")
    text = done.stderr
    order = [text.index(f"a/n={n}_{n - 1}:\none {n}\n") for n in (1, 2, 3)]
    assert order == sorted(order), text
    assert "\x1b[2J" not in text and "two\nno end" in text and "err" in text
    assert lab.console("talk", "a", "n=1_0") == "one 1\n\x1b[2Jtwo\nno enderr\n", "it is kept as it came"


def test_debug_waits_for_a_lines_end(lab):
    lab.write("slow.sh", "for word in one two three four; do printf '%s ' $word; sleep 0.4; done\n"
                         "echo five; printf 'no new line'\n")
    lab.file("slow", "pipeline:\n  a: !Command {command: [sh, slow.sh]}\n")
    text = lab.good("-d", "slow.yaml").stderr
    assert "a/0:\none two three four five\nno new line\n" in text, text


def test_force_removes_nothing_before_a_trial_begins(lab):
    pipeline = "pipeline:\n  a: !Command {command: [echo, hello]}\n"
    lab.file("x", pipeline)
    lab.good("x.yaml")
    before = lab.rows("x")
    (lab.dir("x") / "notes.txt").write_text("mine")
    (lab.home / "modules").mkdir()
    lab.file("x", pipeline.replace("hello", "again"), head="mod: ./modules\n---\n")
    done = lab.flambe("x.yaml", "--force")
    assert done.returncode != 0 and "the module 'mod' is not at" in done.stderr, told(done)
    assert "the earlier results are kept" in done.stderr, told(done)
    assert lab.rows("x") == before and lab.console("x", "a", "0") == "hello\n"
    assert lab.status("x")["state"] == "finished"
    (lab.home / "modules" / "mod.py").touch()
    done = lab.good("x.yaml", "--force")
    assert "'notes.txt' stays in" in done.stderr, told(done)
    assert lab.console("x", "a", "0") == "again\n" and len(lab.rows("x")) == 1
    assert (lab.dir("x") / "notes.txt").read_text() == "mine"
    assert not list(lab.dir("x").glob(".re*"))


def test_the_command_line(lab):
    lab.file("x", "pipeline:\n  a: !Command {command: 'true'}\n")
    lab.good("run", "x.yaml")
    lab.good("-f", "x.yaml")
    lab.good("x.yaml", "--force")
    assert lab.flambe("-c", "x.yaml", "-d").returncode == 2
    assert lab.flambe("missing.yaml").returncode == 2
    assert lab.flambe("run").returncode == 2
    assert "did you mean" in lab.flambe("x.yaml", "--reus").stderr


def test_the_originals_way_of_scripts(lab):
    """As the original's tutorial has it: args, kwargs and output_dir_arg of a Script."""
    lab.write("scripts/__init__.py", "")
    lab.write("scripts/train.py", TRAIN.replace("import argparse", "import sys, argparse"))
    lab.file("tutorial", """
pipeline:
  stage_0: !Script
    script: scripts.train
    args: ['arg1', 'arg2']
    kwargs:
      lr: !g [1e-5, 0.1]
      size: 010
    output_dir_arg: out
resources: {}
devices: {cpu: 1}
max_failures: 0
merge_plot: True
""")
    lab.good("tutorial.yaml")
    assert names(lab, "tutorial", "stage_0") == ["lr=0.1_1", "lr=1e-05_0"]
    have = json.loads(lab.console("tutorial", "stage_0", "lr=1e-05_0"))
    assert have["args"]["lr"] == 1e-5 and have["args"]["size"] == 10, "numbers are YAML 1.2's"


def test_components_are_refused(lab):
    lab.file("old", """
pipeline:
  dataset: !SSTDataset {}
  train: !Trainer
    model: !TextClassifier {}
""")
    done = lab.flambe("old.yaml")
    assert done.returncode == 2 and "2 errors" in done.stderr, told(done)
    assert "'!Trainer' is a Python component; a stage of flambe runs a program" in done.stderr
    assert "fix: wrap it as a script" in done.stderr and not lab.out.exists()


def test_the_tables_speed(lab):
    """A trial costs little: 200 of them are done in seconds of a CPU."""
    lab.file("many", "pipeline:\n  a: !Command {command: ['true'], params: {n: !s [0, 1000000, 200]}}\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    lab.good("many.yaml")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert lab.states("many") == {"success": 200}
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20
