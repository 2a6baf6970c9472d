"""Event files against programs that nobody here wrote: tensorboardX writes what we read, and
TensorBoard reads what we write. Needs FLAMBE_VENV (tensorboard and tensorboardX, PyPI)."""
import contextlib
import json
import math
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from conftest import BUILD, FLAMBE, clean_env

TOOL = BUILD / "test" / "conformance" / "events_tool"
SECONDS = 120


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Runs a program with the packages from PyPI; what it prints as JSON."""
    interpreter = os.environ.get("FLAMBE_VENV")
    if not interpreter:
        pytest.skip("tensorboard (from PyPI) is not there")
    env = clean_env(tmp_path_factory.mktemp("home"))

    def run(program, *argv):
        done = subprocess.run([interpreter, "-c", program, *map(str, argv)], env=env, capture_output=True,
                              text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    run.interpreter, run.env = interpreter, env
    return run


def tool(verb, path, **more):
    done = subprocess.run([TOOL, verb, path], capture_output=True, text=True, timeout=SECONDS, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trial(path):
    """What our reader makes of a trial's directory: {tag: [[step, wall in µs, value], …]}"""
    points = {}
    for line in tool("trial", path).splitlines():
        fields = line.split("\t")
        if fields[0] == "restart" and len(fields) == 2:
            step = int(fields[1])
            points = {tag: [p for p in series if p[0] < step] for tag, series in points.items()}
            continue
        assert len(fields) == 4, line
        points.setdefault(fields[0], []).append([int(fields[1]), int(fields[2]), float(fields[3])])
    return {tag: series for tag, series in points.items() if series}


# Everything that TensorBoard's own reader takes for a scalar, plain or as a tensor.
ACCUMULATE = """
import json, sys
from tensorboard.backend.event_processing import event_accumulator as ea
from tensorboard.util import tensor_util
a = ea.EventAccumulator(sys.argv[1], size_guidance=ea.STORE_EVERYTHING_SIZE_GUIDANCE)
a.Reload()
out = {t: [[e.step, round(e.wall_time * 1e6), e.value] for e in a.Scalars(t)] for t in a.Tags()["scalars"]}
for t in a.Tags()["tensors"]:
    points = [(e, tensor_util.make_ndarray(e.tensor_proto)) for e in a.Tensors(t)]
    if all(n.size == 1 and n.dtype.kind in "fiu" for e, n in points):
        out[t] = [[e.step, round(e.wall_time * 1e6), float(n.item())] for e, n in points]
print(json.dumps(out))
"""


def assert_same(ours, theirs):
    assert sorted(ours) == sorted(theirs)
    for tag, series in theirs.items():
        assert len(ours[tag]) == len(series), tag
        for one, other in zip(ours[tag], series):
            assert one[0] == other[0], tag
            assert abs(one[1] - other[1]) <= 1, tag
            assert one[2] == other[2] or math.isnan(one[2]) and math.isnan(other[2]), tag


# ---- what others write ------------------------------------------------------------------------------


def test_tensorboardx_scalars_and_everything_else(python, tmp_path):
    python("""
import sys
import numpy as np
from tensorboardX import SummaryWriter
w = SummaryWriter(sys.argv[1])
for i in range(500):
    w.add_scalar("train/loss", 1 / (i + 1), i)
    w.add_scalar("valid é", np.float64(i) ** 2, i * 3, walltime=1.5e9 + i / 7)
    if i % 50 == 0:
        w.add_histogram("weights", np.arange(100) * i, i)
        w.add_image("picture", np.zeros((3, 8, 8)), i)
        w.add_text("words", "some **text**", i)
        w.add_pr_curve("curve", np.array([0, 1, 1]), np.array([.1, .5, .9]), i)
for v in (float("nan"), float("inf"), float("-inf"), -0.0, 1e-45, 3e38):
    w.add_scalar("odd", v, 2 ** 40)
w.add_scalar("no step", 1.5)
w.close()
""", tmp_path)
    ours = trial(tmp_path)
    assert_same(ours, python(ACCUMULATE, tmp_path))
    assert len(ours["train/loss"]) == 500 and ours["train/loss"][1][2] == 0.5
    assert set(ours) == {"train/loss", "valid_é", "odd", "no_step"}


def test_tensorboardx_hparams_are_no_metrics(python, tmp_path):
    python("""
import sys
from tensorboardX import SummaryWriter
w = SummaryWriter(sys.argv[1])
w.add_hparams({"lr": 0.1, "opt": "adam", "bias": True}, {"hparam/acc": 0.75}, name="run")
w.add_scalar("loss", 2.0, 1)
w.close()
""", tmp_path)
    ours = trial(tmp_path)
    assert [p[2] for p in ours.pop("run/hparam/acc")] == [0.75]
    assert_same(ours, python(ACCUMULATE, tmp_path))
    assert list(ours) == ["loss"]
    assert_same({"hparam/acc": trial(tmp_path / "run")["hparam/acc"]}, python(ACCUMULATE, tmp_path / "run"))


def test_tensorboardx_restarts(python, tmp_path):
    program = """
import sys
from tensorboardX import SummaryWriter
first, end, suffix = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
w = SummaryWriter(sys.argv[1], purge_step=first or None, filename_suffix=suffix)
for i in range(first, end):
    w.add_scalar("loss", i + first / 100, i)
    if first == 0:
        w.add_scalar("only_first", i, i)
w.close()
"""
    python(program, tmp_path, 0, 10, ".a")
    time.sleep(1.1)  # the files' names begin with the second
    python(program, tmp_path, 6, 9, ".b")
    ours = trial(tmp_path)
    assert_same(ours, python(ACCUMULATE, tmp_path))
    assert [p[0] for p in ours["loss"]] == list(range(9)) and abs(ours["loss"][6][2] - 6.06) < 1e-6
    assert [p[0] for p in ours["only_first"]] == list(range(6))


def test_tensors_as_tensorflow_writes_them(python, tmp_path):
    python("""
import sys
import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.scalar import metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util
w = EventFileWriter(sys.argv[1])
def add(tag, array, step):
    value = summary_pb2.Summary.Value(tag=tag, tensor=tensor_util.make_tensor_proto(array))
    if step == 0:
        value.metadata.CopyFrom(metadata.create_summary_metadata(display_name=tag, description=""))
    w.add_event(event_pb2.Event(step=step, wall_time=1.6e9 + step, summary=summary_pb2.Summary(value=[value])))
for step in range(3):
    for kind in ("float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64", "float16"):
        add(kind, np.array(step + 40, dtype=kind), step)
        add(kind + " one", np.full((1, 1), -step if kind[0] != "u" else step, dtype=kind), step)
        add(kind + " two", np.full(2, step, dtype=kind), step)
    add("text", np.array("text"), step)
    add("truth", np.array(True), step)
    add("tenth", np.array(0.1), step)
w.close()
""", tmp_path)
    ours = trial(tmp_path)
    theirs = python(ACCUMULATE, tmp_path)
    assert_same(ours, theirs)
    assert len(ours) == 19 and ours["tenth"][0][2] == 0.1 and ours["int64 one"][2][2] == -2


def test_a_cut_file_and_a_damaged_one(python, tmp_path):
    python("""
import sys
from tensorboardX import SummaryWriter
w = SummaryWriter(sys.argv[1])
for i in range(100):
    w.add_scalar("loss", i, i)
w.close()
""", tmp_path / "whole")
    whole = next((tmp_path / "whole").iterdir()).read_bytes()
    for name, data in (("cut", whole[:-5]), ("damaged", whole[:2000] + b"\xff\xfe" + whole[2002:])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.out.tfevents.1").write_bytes(data)
    assert_same(trial(tmp_path / "cut"), python(ACCUMULATE, tmp_path / "cut"))
    assert len(trial(tmp_path / "cut")["loss"]) == 99
    lines = tool("trial", tmp_path / "damaged").splitlines()
    said = re.fullmatch(r"damage\tevents\.out\.tfevents\.1: bad checksum(?: of a length)? at byte (\d+); "
                        r"the rest is left out", lines[-1])
    assert said and int(said[1]) <= 2000
    theirs = python(ACCUMULATE, tmp_path / "damaged")
    assert [float(line.split("\t")[3]) for line in lines[:-1]] == [p[2] for p in theirs["loss"]]
    assert 0 < len(theirs["loss"]) < 99


# ---- what we write ----------------------------------------------------------------------------------


def write(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    tool("write", path, input="".join(json.dumps(r) + "\n" for r in records))


def test_our_scalars_in_tensorboard(python, tmp_path):
    wall = 1_700_000_000_123_456
    write(tmp_path / "events.out.tfevents.1.flambe", {"what": "begin", "wall": wall},
          *({"what": "scalar", "wall": wall + i, "step": i - 2, "tag": f"a/é{i % 2}", "value": i / 4}
            for i in range(50)))
    theirs = python(ACCUMULATE, tmp_path)
    assert_same(trial(tmp_path), theirs)
    assert theirs["a/é1"][0] == [-1, wall + 1, 0.25] and len(theirs["a/é0"]) == 25


def start_server(python, logs, home):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with (home / "log").open("ab") as log:
        server = subprocess.Popen([python.interpreter, "-m", "tensorboard.main", "--logdir", str(logs), "--port",
                                   str(port), "--host", "127.0.0.1", "--load_fast", "false",
                                   "--reload_interval", "1"], env=python.env, stdout=log, stderr=log)

    def ask(path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/data/{path}",
                                         None if body is None else json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    return server, ask


def wait_for_runs(server, ask, runs, seconds):
    """Whether the server has found so many in time."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and server.poll() is None:
        try:
            if len(ask("runs")) == runs:
                return True
        except OSError:
            pass
        time.sleep(0.2)
    return False


@contextlib.contextmanager
def serving(python, logs, home, runs):
    """TensorBoard's own server over a directory, when it has found so many runs. On a busy machine one may
    come up and load nothing: it is started anew, and given longer."""
    for seconds in (40, 80, 160):
        server, ask = start_server(python, logs, home)
        try:
            if wait_for_runs(server, ask, runs, seconds):
                yield ask
                return
        finally:
            server.terminate()
            server.wait(30)
    pytest.fail((home / "log").read_text())


@pytest.fixture(scope="module")
def tensorboard(python, tmp_path_factory):
    """TensorBoard's own server over an experiment of three trials that we wrote."""
    logs = tmp_path_factory.mktemp("logs")
    domains = {"lr": {"min": 0.001, "max": 1}, "layers": [1, 2, 3], "opt": ["adam", "sgd"], "bias": [True, False],
               "mixed": [1, "auto", False, [1.5, 2]], "later": [], "one": [7]}
    trials = [
        ({"lr": 0.125, "layers": 1, "opt": "adam", "bias": True, "mixed": 1, "later": 0.5, "one": 7}, 1),
        ({"lr": 1, "layers": 2, "opt": "sgd", "bias": False, "mixed": "auto", "later": 1.5, "one": 7}, 2),
        ({"lr": 0.25, "layers": 3, "opt": "adam é", "bias": True, "mixed": [1.5, 2], "later": None, "one": 7}, 0),
    ]
    for i, (params, status) in enumerate(trials):
        wall = (1_600_000_000 + i) * 10 ** 6
        records = [{"what": "begin", "wall": wall},
                   {"what": "start", "wall": wall, "group": f"t{i}", "params": params, "domains": domains},
                   *({"what": "scalar", "wall": wall, "step": s, "tag": t, "value": i + s / 8}
                     for t in ("loss", "train/acc") for s in range(5))]
        if status:
            records.append({"what": "end", "wall": wall + 5_000_000, "status": status})
            records.append({"what": "end", "wall": wall + 9_000_000, "status": 3 - status})  # too late
        write(logs / "train" / f"lr={params['lr']}" / "events.out.tfevents.1.flambe", *records)
    with serving(python, logs, tmp_path_factory.mktemp("server"), 3) as ask:
        yield ask


def sessions(ask, **more):
    body = {"startIndex": 0, "sliceSize": 100, "colParams": [],
            "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"], **more}
    return ask("plugin/hparams/session_groups", body)["sessionGroups"]


def test_hparams_columns_in_tensorboard(tensorboard):
    """TensorBoard makes its columns from the trials; each has one type in all of them."""
    experiment = tensorboard("plugin/hparams/experiment", {})
    types = {i["name"]: i["type"] for i in experiment["hparamInfos"]}
    assert types["lr"] == types["layers"] == types["one"] == "DATA_TYPE_FLOAT64"
    assert types["opt"] == types["mixed"] == "DATA_TYPE_STRING"
    assert types["bias"] == "DATA_TYPE_BOOL"
    assert sorted(m["name"]["tag"] for m in experiment["metricInfos"]) == ["loss", "train/acc"]


def test_hparams_sessions_in_tensorboard(tensorboard):
    groups = {g["name"]: g for g in sessions(tensorboard)}
    assert sorted(groups) == ["t0", "t1", "t2"]
    assert groups["t0"]["hparams"] == {"lr": 0.125, "layers": 1, "opt": "adam", "bias": True, "mixed": "1",
                                       "later": 0.5, "one": 7}
    assert groups["t1"]["hparams"]["mixed"] == "auto" and groups["t1"]["hparams"]["bias"] is False
    assert groups["t2"]["hparams"]["opt"] == "adam é" and groups["t2"]["hparams"]["later"] == "null"
    status = {name: g["sessions"][0]["status"] for name, g in groups.items()}
    assert status == {"t0": "STATUS_SUCCESS", "t1": "STATUS_FAILURE", "t2": "STATUS_UNKNOWN"}
    first = groups["t0"]["sessions"][0]
    assert first["startTimeSecs"] == 1_600_000_000 and first["endTimeSecs"] == 1_600_000_005
    assert first["name"] == "train/lr=0.125"
    metrics = {m["name"]["tag"]: (m["value"], m["trainingStep"]) for m in groups["t1"]["metricValues"]}
    assert metrics == {"loss": (1.5, 4), "train/acc": (1.5, 4)}


@pytest.mark.parametrize("name,filters,expected", [
    ("lr", {"filterInterval": {"minValue": 0.2, "maxValue": 2}}, ["t2", "t1"]),
    ("mixed", {"filterDiscrete": ["1", "auto"]}, ["t0", "t1"]),
    ("bias", {"filterDiscrete": [True]}, ["t0", "t2"]),
])
def test_hparams_filters_and_order_in_tensorboard(tensorboard, name, filters, expected):
    """One type each: what a column mixes, TensorBoard can neither filter nor sort."""
    groups = sessions(tensorboard, colParams=[{"hparam": name, "order": "ORDER_ASC", **filters}])
    assert [g["name"] for g in groups] == expected


# ---- a whole run ------------------------------------------------------------------------------------

RUN = """\
!Experiment
name: shown
pipeline:
  train: !Command
    command: |
      for i in 1 2 3; do flambe log loss $(({size} * 10 / i)) $i; done
      [ {size} != 3 ]
    params: {size: !g [1, 2, 3], how: !g [fast, slow]}
    objective: {metric: loss, mode: min, value: best}
max_failures: 0
"""


def test_a_run_in_tensorboard(python, tmp_path):
    """The HPARAMS tab has each trial's parameters, state and numbers, and the curves are there."""
    (tmp_path / "e.yaml").write_text(RUN)
    done = subprocess.run([FLAMBE, "e.yaml"], cwd=tmp_path, env=python.env, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=SECONDS)
    assert done.returncode == 1, done.stderr  # two trials fail
    logs = tmp_path / "flambe-output" / "output__shown"
    (tmp_path / "server").mkdir()
    with serving(python, logs, tmp_path / "server", 6) as ask:
        groups = {(g["hparams"]["size"], g["hparams"]["how"]): g for g in sessions(ask)}
        assert len(groups) == 6
        status = {key: g["sessions"][0]["status"] for key, g in groups.items()}
        assert {s for (size, _), s in status.items() if size == 3} == {"STATUS_FAILURE"}
        assert {s for (size, _), s in status.items() if size != 3} == {"STATUS_SUCCESS"}
        metrics = {m["name"]["tag"]: m["value"] for m in groups[2, "slow"]["metricValues"]}
        assert metrics["loss"] == 6 and metrics["objective"] == 6
        run = next(r for r in ask("runs") if "size=2" in r and "how=fast" in r)
        curve = ask(f"plugin/scalars/scalars?run={urllib.parse.quote(run)}&tag=loss")
        assert [p[1:] for p in curve] == [[1, 20], [2, 10], [3, 6]]
