"""Trials that fail, or report what cannot be read: what is kept, what is said, what goes on."""
import json
import os
import re
import sqlite3
import struct
import subprocess

import pytest

from conftest import FLAMBE
from runs import lab, names, points, told  # noqa: F401 (a fixture)

FAILING = """
max_failures: 0
stop_on_failure: {stop}
pipeline:
  train: !Command
    command: [sh, -c, "{{what}}"]
    params:
      what: !g ["exit 3", "kill -9 $$", "./nothing", "exec sleep 30", "echo fine", "exit 4", "kill -SEGV $$"]
    time_limit: 1 s
  test: !Command
    command: [cat, "{{dir}}/console.out"]
    params: {{dir: !@ train}}
"""


def test_a_stages_trials_all_end_then_it_stops(lab):
    lab.file("stop", FAILING.format(stop="true"))
    done = lab.flambe("stop.yaml")
    assert done.returncode == 1, told(done)
    assert done.stderr.endswith("flambe: 6 of 7 trials of 'train' failed\n"), told(done)
    assert "ended with failures after" in done.stdout
    assert "flambe stop.yaml, which goes on where it ended" in done.stdout
    for name, why in (("what=exit 3_0", "exit status 3"), ("what=kill -9 $$_1", "signal 9"),
                      ("what=exec sleep 30_3", "time limit"), ("what=kill -SEGV $$_6", "signal 11")):
        assert (f"train/{name}: failure ({why}): see out/output__stop/train/{name}/console.out\n"
                in done.stderr), done.stderr
    assert lab.states("stop") == {"success": 1, "failure": 6, "pending": 7}
    status = lab.status("stop")
    assert status["state"] == "failed" and [s["state"] for s in status["stages"]] == [
        "failure", "pending"]
    assert not (lab.dir("stop") / "test").exists()
    ends = {row["number"]: (row["end"], row["exit_status"], row["signal"]) for row in lab.rows("stop")}
    assert ends[0] == ("exited", 3, 0) and ends[1] == ("signal", -1, 9)
    assert ends[2][:2] == ("exited", 127) or ends[2][:2] == ("exited", 126)
    assert ends[3][0] == "time limit" and ends[4] == ("exited", 0, 0) and ends[6][2] == 11
    lab.gone()


def test_it_goes_on_without_the_failed_ones(lab):
    lab.file("on", FAILING.format(stop="false"))
    done = lab.flambe("on.yaml")
    assert done.returncode == 1 and done.stderr.endswith("flambe: 6 trials failed\n"), told(done)
    assert names(lab, "on", "test") == ["what=echo fine_4"]
    assert lab.console("on", "test", "what=echo fine_4") == "fine\n"
    assert lab.states("on") == {"success": 2, "failure": 6}
    status = lab.status("on")
    assert status["state"] == "failed" and status["stages"][1]["planned"] == 1
    # the same command tries the failed ones again, and keeps the others
    before = {r["number"]: r["started"] for r in lab.rows("on", "train")}
    again = lab.flambe("on.yaml")
    assert again.returncode == 1
    rows = {r["number"]: r for r in lab.rows("on", "train")}
    assert rows[4]["attempts"] == 1 and rows[4]["started"] == before[4]
    assert rows[0]["attempts"] == 2


def test_error_files(lab):
    lab.file("err", """
max_failures: 1
pipeline:
  a: !Command {command: "echo attempt $FLAMBE_ATTEMPT; echo to stderr >&2; exit 7"}
""")
    done = lab.flambe("err.yaml")
    assert done.returncode == 1
    assert "a/0: it is tried again (exit status 7): see" in done.stderr
    place = lab.dir("err") / "a" / "0"
    first, second = sorted((p for p in place.glob("error_*.txt")), key=lambda p: p.name[-5])
    assert re.fullmatch(r"error_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_1\.txt", first.name)
    assert first.read_text() == "attempt 1: exited with status 7\nattempt 1\nto stderr\n"
    assert second.read_text() == "attempt 2: exited with status 7\nattempt 2\nto stderr\n"
    result = json.loads((place / "result.json").read_text())
    assert (result["state"], result["attempts"], result["exit_status"]) == ("failure", 2, 7)


@pytest.mark.parametrize("form", ["{command: ['./tool', x]}", "{command: './tool x'}"])
def test_a_program_that_vanished(lab, form):
    lab.write("tool", "#!/bin/sh\necho run\n", 0o755)
    lab.file("gone", f"max_failures: 0\npipeline:\n  a: !Command {{command: 'rm tool'}}\n"
             f"  b: !Command {form}\n")
    done = lab.flambe("gone.yaml")
    assert done.returncode == 1, told(done)
    row = lab.rows("gone", "b")[0]
    if "[" in form:
        assert "b/0: failure (not started: no such program: './tool')\n" in done.stderr, told(done)
        assert row["end"] == "not started" and row["exit_status"] == -1
        assert "no such program: './tool'" in next(
            (lab.dir("gone") / "b" / "0").glob("error_*")).read_text()
    else:
        assert row["end"] == "exited" and row["exit_status"] == 127
    lab.write("early.yaml", f"!Experiment\nname: early\npipeline:\n  b: !Command {form}\n")
    early = lab.flambe("early.yaml")
    if "[" in form:
        assert early.returncode == 2 and "there is no './tool'" in early.stderr, told(early)


def test_what_cannot_be_started_fails_its_own_trial(lab):
    lab.file("start", f"""
max_failures: 0
stop_on_failure: false
pipeline:
  empty: !Command
    command: ["{{program}}", x]
    params: {{program: !g ["", echo]}}
  long: !Command
    command: [echo, !g ["{'{t}' * 100}", "{'{t}' * 2}", "{{t}}"]]
    params: {{t: {'x' * 100000}}}
  number: !Command
    command: 'echo $(({{n}} + 1))'
    params: {{n: !g [41, "a[$(touch ran)]"]}}
""")
    done = lab.flambe("start.yaml")
    assert done.returncode == 1 and done.stderr.endswith("flambe: 4 trials failed\n"), told(done)
    rows = {(r["stage"], r["number"]): r for r in lab.rows("start")}
    for key, message in ((("empty", 0), "'command' is empty"),
                         (("long", 0), "its arguments and its environment are longer than 8 MiB"),
                         (("long", 1), "are longer than this machine takes"),
                         (("number", 1), "within $((…)) only a whole number can stand")):
        assert rows[key]["end"] == "not started", rows[key]
        assert message in rows[key]["message"], rows[key]
        assert message in next(p for p in (lab.dir("start") / key[0]).glob("*/error_*")
                               if message in p.read_text()).read_text()
    assert lab.states("start") == {"success": 3, "failure": 4}
    assert lab.console("start", "number", "n=41_0") == "42\n"
    assert not (lab.home / "ran").exists()
    again = lab.flambe("start.yaml")  # the failed ones alone
    assert again.returncode == 1 and again.stderr.endswith("flambe: 4 trials failed\n"), told(again)
    lab.gone()


def test_limits(lab):
    lab.write("greedy.py", "import subprocess, sys, time\n"
              "if len(sys.argv) > 1: subprocess.run([sys.executable, sys.argv[0]])\n"
              "x = bytearray(200 << 20); time.sleep(600)\n")
    lab.write("stubborn.sh", "trap '' TERM\nsleep 600 &\nwhile :; do sleep 0.05; done\n")
    lab.file("limits", """
max_failures: 0
stop_on_failure: false
pipeline:
  memory: !Script {script: greedy.py, args: [child], memory_limit: 100 MB}
  time: !Command {command: [sh, stubborn.sh], time_limit: 1 s}
""")
    done = lab.flambe("limits.yaml")
    assert done.returncode == 1, told(done)
    assert "memory/0: failure (memory limit)" in done.stderr, told(done)
    assert "time/0: failure (time limit)" in done.stderr, told(done)
    rows = {r["stage"]: r for r in lab.rows("limits")}
    assert rows["memory"]["end"] == "memory limit" and rows["time"]["end"] == "time limit"
    assert rows["time"]["duration_s"] >= 1
    text = next((lab.dir("limits") / "time" / "0").glob("error_*")).read_text()
    assert text.startswith("attempt 1: time limit"), text
    lab.gone()


COUNTING = """
import json, os, pathlib, sys
place = pathlib.Path(os.environ["FLAMBE_CHECKPOINT"])
mark = place / "step"
first = int(mark.read_text()) if mark.exists() else 0
assert (first > 0) == (os.environ["FLAMBE_ATTEMPT"] != "1"), first
(pathlib.Path(os.environ["FLAMBE_DIR"]) / f"seen.{first}").touch()
with open(os.environ["FLAMBE_METRICS"], "a") as f:
    for step in range(first, 10):
        print(json.dumps({"step": step, "loss": 10 - step}), file=f, flush=True)
        if step in (3, 7):
            print(json.dumps({"step": step + 1, "loss": -100}), file=f, flush=True)
            mark.write_text(str(step + 1))
            sys.exit(5)
"""


def test_a_checkpoint_is_gone_on_from(lab):
    lab.write("count.py", COUNTING)
    lab.file("check", """
max_failures: 2
pipeline:
  a: !Script {script: count.py, objective: {metric: loss, mode: min}}
""")
    done = lab.good("check.yaml")
    assert done.stderr.count("it is tried again (exit status 5)") == 2
    place = lab.dir("check") / "a" / "0"
    assert sorted(p.name for p in place.glob("seen.*")) == ["seen.0", "seen.4", "seen.8"]
    assert [(step, value) for _, _, _, step, value in points(lab, "check")] == [
        (step, 10 - step) for step in range(10)]
    assert lab.rows("check")[0]["objective"] == 1 and lab.rows("check")[0]["attempts"] == 3


def test_without_a_checkpoint_nothing_of_the_last_attempt_is_left(lab):
    lab.write("again.py", """
import os
print("attempt", os.environ["FLAMBE_ATTEMPT"])
last = os.environ["FLAMBE_ATTEMPT"] == "2"
with open(os.environ["FLAMBE_METRICS"], "w") as f:
    f.write('{"step": 5, "kept": 2}\\n' if last else '{"step": 1, "kept": 1, "lost": 1}\\n')
if not last:
    open(os.environ["FLAMBE_DIR"] + "/left", "w").write("x")
    raise SystemExit(1)
""")
    lab.file("anew", "pipeline:\n  a: !Script {script: again.py}\n")
    lab.good("anew.yaml")
    assert not (lab.dir("anew") / "a" / "0" / "left").exists()
    assert lab.console("anew", "a", "0") == "attempt 2\n"
    assert lab.rows("anew")[0]["metrics"] == {"kept": 2}
    assert points(lab, "anew") == [(0, 0, "kept", 5, 2.0)]


def test_a_flood_of_output_is_bounded_and_said(lab):
    lab.write("flood.py", "import sys\nsys.stdout.write('first line\\n')\n"
              "for i in range(40): sys.stdout.write('x' * ((1 << 20) - 1) + '\\n')\n"
              "sys.stdout.write('last line\\n')\n")
    lab.file("flood", "pipeline:\n  a: !Script {script: flood.py}\n")
    done = lab.good("flood.yaml")
    path = lab.dir("flood") / "a" / "0" / "console.out"
    assert path.stat().st_size < 20 << 20
    text = path.read_text()
    assert text.startswith("first line\n") and text.endswith("last line\n")
    warning = json.loads((path.parent / "result.json").read_text())["warning"]
    assert re.fullmatch(r"\d+ bytes of its output were left out", warning), warning
    assert f"flambe: warning: a/0: {warning}\n" in done.stderr
    # what is in the file says where something is missing
    assert "left out" in "".join(line for line in text.splitlines() if len(line) < 200), text[-300:]


# ---- metrics ---------------------------------------------------------------------------------


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xa282ead8) & 0xffffffff


def record(data):
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def chunk(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


def event(step, tag, value):
    one = chunk(1, chunk(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
    return record(b"\x09" + struct.pack("<d", 1000.0 + step) + bytes([2 << 3, step]) + chunk(5, one))


def test_the_checksum():
    assert crc32c(bytes(32)) == 0x8a9136aa and masked(struct.pack("<Q", 24)) == 0x224b7fa3


@pytest.fixture
def events(lab):
    begin = record(b"\x09" + struct.pack("<d", 1000.0) + chunk(3, b"brain.Event:2"))
    good = begin + b"".join(event(s, "loss", 8 / (s + 1)) for s in range(4))
    bad = bytearray(begin + b"".join(event(s, "acc", s) for s in range(4)))
    bad[-6] ^= 1
    (lab.home / "good").write_bytes(good)
    (lab.home / "bad").write_bytes(bad)
    (lab.home / "cut").write_bytes(good[:-3])
    return lab


def test_event_files_by_hand(events):
    events.file("tb", """
pipeline:
  a: !Command
    command: "mkdir {dir}/sub && cp good {dir}/events.out.tfevents.1 && cp {kind} {dir}/sub/my.tfevents.2"
    params: {kind: !g [bad, cut]}
    objective: {metric: loss, mode: min, value: best}
""")
    done = events.good("tb.yaml")
    rows = events.by_name("tb", "a")
    assert rows["kind=bad_0"]["metrics"] == {"loss": 2, "sub/acc": 2}, "up to the damage"
    assert rows["kind=cut_1"]["metrics"] == {"loss": 2, "sub/loss": pytest.approx(8 / 3)}
    said = [line for line in done.stderr.splitlines() if "warning" in line]
    assert len(said) == 1 and re.search(
        r"a/kind=bad_0: sub/my\.tfevents\.2: bad checksum at byte \d+; the rest is left out", said[0]), said
    text = (events.dir("tb") / "a" / "kind=bad_0" / "result.json").read_text()
    assert "my.tfevents.2: bad checksum" in json.loads(text)["warning"]


def test_metrics_each_way(lab):
    lab.write("log.sh", """
"$FLAMBE" log loss 3
flambe log loss 2.5
"$FLAMBE" log acc 0.5 10
"$FLAMBE" log loss nonsense; echo status $?
printf '{"step": 7, "lines": 1.5, "text": "no", "flag": true}\\n{"tag": "one", "value": 9, "step": 1}' >> "$FLAMBE_METRICS"
printf 'not json\\n' >> elsewhere
""")
    lab.write("other.sh", "printf '{\"mine\": 4}\\n{\"mine\": NaN}\\nrubbish\\n{\"mine\": 5}\\n' > $FLAMBE_METRICS\n")
    lab.file("log", """
pipeline:
  a: !Command {command: [sh, log.sh], objective: {metric: loss, mode: max, value: best}}
  b: !Command {command: [sh, other.sh], metrics: sub.jsonl, objective: {metric: mine, mode: min, value: best}}
  c: !Command {command: 'true', params: {n: !g [1, 2]}, objective: {metric: nothing, mode: min}}
""")
    done = lab.good("log.yaml")
    a, b, c, _ = lab.rows("log")
    assert a["metrics"] == {"loss": 2.5, "acc": 0.5, "lines": 1.5, "one": 9} and a["objective"] == 3
    assert "status 2" in lab.console("log", "a", "0") and "nonsense" in lab.console("log", "a", "0")
    assert ("acc", 10, 0.5) in [p[2:] for p in points(lab, "log")]
    assert b["metrics"] == {"mine": 5} and b["objective"] == 4
    assert "sub.jsonl" in done.stderr and "line 3" in done.stderr, told(done)
    assert c["objective"] is None
    warning = json.loads((lab.dir("log") / "c" / "n=1_0" / "result.json").read_text())["warning"]
    assert warning == "it reported no 'nothing'"
    assert re.search(r"flambe: warning: c/n=(1_0|2_1): it reported no 'nothing'\n", done.stderr)
    assert done.stderr.count("reported no") == 1, "once a stage"


@pytest.mark.skipif("FLAMBE_VENV" not in os.environ, reason="FLAMBE_VENV names no Python")
def test_tensorboardx(lab):
    python = os.environ["FLAMBE_VENV"]
    has = subprocess.run([python, "-c", "import tensorboardX"], capture_output=True)
    if has.returncode != 0:
        pytest.skip("no tensorboardX")
    lab.write("tb.py", """
import os
from tensorboardX import SummaryWriter
with SummaryWriter(os.environ["FLAMBE_DIR"]) as w:
    for step in range(100):
        w.add_scalar("train/loss", 100 - step, step)
    w.add_histogram("h", [1, 2, 3], 1)
    w.add_text("t", "text", 1)
    w.add_hparams({"lr": 0.1}, {"hp": 1.0}, name="hp")
""")
    lab.env["PATH"] = f"{os.path.dirname(python)}:{lab.env['PATH']}"
    lab.file("tbx", "pipeline:\n  a: !Script {script: tb.py, objective: {metric: train/loss, mode: min}}\n")
    done = lab.good("tbx.yaml")
    assert lab.rows("tbx")[0]["objective"] == 1 and "warning" not in done.stderr, told(done)
    assert len([p for p in points(lab, "tbx") if p[2] == "train/loss"]) == 100


@pytest.mark.parametrize("mode, kept", [("min", [0, 1]), ("max", [3, 4])])
def test_reduce_keeps_the_best(lab, mode, kept):
    lab.file(mode, f"""
stop_on_failure: false
max_failures: 0
pipeline:
  a: !Command
    command: '[ {{n}} != 5 ] && flambe log v {{n}} && [ {{n}} != {6 if mode == "max" else -1} ]'
    params: {{n: !g [0, 1, 2, 3, 4, 5, {6 if mode == "max" else -1}]}}
    objective: {{metric: v, mode: {mode}}}
  b: !Command {{command: 'true', params: {{of: !@ a}}}}
reduce: {{a: 2}}
""")
    done = lab.flambe(f"{mode}.yaml")
    assert done.returncode == 1, "two trials failed, of which one reported the best value"
    assert [n.split("_")[0] for n in names(lab, mode, "b")] == [f"n={n}" for n in kept]
    assert f"best of a: v {kept[0] if mode == 'min' else kept[1]} of" in done.stdout


def test_reduce_where_nothing_was_reported(lab):
    lab.file("none", """
pipeline:
  a: !Command {command: 'true', params: {n: !g [1, 2]}, objective: {metric: v, mode: min}}
  b: !Command {command: 'true', params: {of: !@ a}}
reduce: {a: 1}
""")
    done = lab.flambe("none.yaml")
    assert done.returncode == 1 and "no trial of 'a' reported 'v'" in done.stderr, told(done)
    assert lab.status("none")["state"] == "failed"


# ---- programs that damage their own directory -------------------------------------------------------


@pytest.mark.parametrize("damage", ['rm -rf "$FLAMBE_DIR"', 'mkdir "$FLAMBE_DIR/result.json"',
                                    'mkfifo "$FLAMBE_DIR/result.json"', 'ln -s nowhere "$FLAMBE_DIR/result.json"',
                                    'rm "$FLAMBE_DIR/console.out"; mkfifo "$FLAMBE_DIR/console.out"; exit 1'])
def test_a_trial_that_damages_its_directory_costs_no_other(lab, damage):
    (lab.home / "own.yaml").write_text(
        "!Experiment\nname: own\nsave_path: out\nmax_failures: 0\nstop_on_failure: false\npipeline:\n"
        "  a: !Command\n    command: |\n      [ {n} = 2 ] || exit 0\n      " + damage + "\n"
        "    params: {n: !g [1, 2, 3]}\n")
    lab.flambe("own.yaml")
    db = sqlite3.connect(f"file:{lab.dir('own')}/flambe.db?mode=ro", uri=True)
    states = [row[0] for row in db.execute("SELECT state FROM trial ORDER BY number")]
    assert states[0] == states[2] == 2 and states[1] in (2, 3)
    assert json.loads((lab.dir("own") / "a" / "n=1_0" / "result.json").read_text())["state"] == "success"


@pytest.mark.parametrize("plant", ['rm -rf "$FLAMBE_DIR"; ln -s "$VICTIM" "$FLAMBE_DIR"',
                                   'touch "$FLAMBE_CHECKPOINT/x"; '
                                   'ln -sf "$VICTIM/kept" "$FLAMBE_DIR/console.out"'])
def test_the_next_attempt_follows_no_link_out(lab, plant):
    victim = lab.home / "victim"
    victim.mkdir()
    (victim / "kept").write_text("kept")
    (lab.home / "own.yaml").write_text(
        "!Experiment\nname: own\nsave_path: out\npipeline:\n  a: !Command\n"
        "    command: |\n      echo out; [ $FLAMBE_ATTEMPT = 2 ] && exit 0\n      " + plant + "\n      exit 1\n"
        f"    env: {{VICTIM: {victim}}}\n")
    lab.good("own.yaml")
    assert [p.name for p in victim.iterdir()] == ["kept"] and (victim / "kept").read_text() == "kept"
    assert lab.console("own", "a", "0") == "out\n"
