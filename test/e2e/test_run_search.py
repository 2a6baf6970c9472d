"""Searches and schedulers: the same draws from the same seed, early ends, and going on after a kill."""
import json
import math
import os
import random
import signal
import subprocess
import time

import pytest

from conftest import FLAMBE
from runs import essence, lab, names, points, told, wait_for  # noqa: F401 (a fixture)


def seed_of(lab, name):
    return json.loads((lab.dir(name) / "run.json").read_text())[0]["seed"]


def params(lab, name, stage):
    return [(r["number"], r["params"]) for r in sorted(lab.rows(name, stage), key=lambda r: r["number"])]


RANDOM = """
seed: {seed}
pipeline:
  a: !Command
    command: 'flambe log v {{x}} && echo {{x}} {{y}} {{z}}'
    params: {{x: !s [0.001, 10, 3], y: !s [1, 50, 2], z: !g [red, green, blue]}}
    objective: {{metric: v, mode: max}}
  b: !Command {{command: [cat, "{{of}}/console.out"], params: {{of: !@ a, k: !g [1, 2]}}}}
search: {{a: !random {{trials: 12, log: [x]}}}}
reduce: {{a: 3}}
"""


def test_random_is_the_same_with_the_same_seed(lab):
    for name, seed in (("one", 7), ("two", 7), ("three", 8), ("four", -1)):
        lab.file(name, RANDOM.format(seed=seed))
        lab.good(f"{name}.yaml")
    one = params(lab, "one", "a")
    assert len(one) == 12 and one == params(lab, "two", "a") and one != params(lab, "three", "a")
    assert len({json.dumps(p) for _, p in one}) == 12
    for _, p in one:
        assert 0.001 <= p["x"] <= 10 and 1 <= p["y"] < 50 and p["z"] in ("red", "green", "blue")
    assert sum(p["x"] < 0.3 for _, p in one) >= 3, "drawn by logarithm"
    assert len(lab.rows("one", "b")) == 6
    best = sorted((p["x"] for _, p in one), reverse=True)[:3]
    assert {r["params"]["x"] for r in lab.rows("one", "b")} == set(best)
    for row in lab.rows("one", "b"):
        said = lab.console("one", "b", row["name"]).split()
        assert float(said[0]) == row["params"]["x"]
    # a seed that was drawn is recorded, and gives the same again
    lab.file("five", RANDOM.format(seed=seed_of(lab, "four")))
    lab.good("five.yaml")
    assert params(lab, "four", "a") == params(lab, "five", "a")
    # and so does the resolved file
    text = (lab.dir("one") / "experiment.yaml").read_text()
    lab.write("again.yaml", text.replace("./out", "./again"))
    lab.good("again.yaml")
    assert essence(json.loads(lab.good("results", "again", "-o", "json").stdout)) == essence(lab.rows("one"))


def test_random_goes_on_after_kills(lab):
    lab.file("killed", RANDOM.format(seed=7).replace("echo", "sleep 0.03; echo"))
    lab.file("straight", RANDOM.format(seed=7))
    lab.good("straight.yaml")
    rng = random.Random(3)
    for _ in range(30):
        child = lab.start("killed.yaml")
        try:
            child.wait(timeout=rng.uniform(0.02, 0.3))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.returncode == 0:
            break
    else:
        lab.good("killed.yaml")
    assert essence(lab.rows("killed")) == essence(lab.rows("straight"))
    lab.gone()


# Each trial reports 27 steps, slowly; the loss is the better the smaller x is.
STEPS = """
import json, os, sys, time
x = float(sys.argv[1])
with open(os.environ["FLAMBE_METRICS"], "a") as f:
    for step in range(1, 28):
        print(json.dumps({"step": step, "loss": x + 1 / step, "epoch": step}), file=f, flush=True)
        time.sleep(0.05)
"""


def counts(lab, name):
    found = {}
    for _, number, tag, step, _ in points(lab, name):
        if tag == "loss":
            found[number] = max(found.get(number, 0), step)
    return found


def test_asha_ends_bad_trials_early(lab):
    lab.write("steps.py", STEPS)
    lab.file("asha", """
pipeline:
  a: !Script
    script: steps.py
    args: [!g [0, 1, 2, 3, 4, 5, 6, 7]]
    objective: {metric: loss, mode: min}
  b: !Command {command: [echo, "{of}"], params: {of: !@ a}}
schedulers: {a: !asha {grace_period: 3, reduction_factor: 3, max_t: 27}}
reduce: {a: 3}
""")
    done = lab.good("asha.yaml")
    rows = {r["number"]: r for r in lab.rows("asha", "a")}
    # With two at a time, worse ones come later: none of the late ones gets through.
    stopped = [n for n, r in rows.items() if r["state"] == "stopped"]
    ended = [n for n, r in rows.items() if r["state"] == "success"]
    assert len(stopped) >= 4 and sorted(stopped + ended) == list(range(8)), rows
    far = counts(lab, "asha")
    for n in stopped:
        assert n < 2 or far[n] < 27, (n, far)  # the first two are at max_t, or near
        assert rows[n]["end"] == "stopped" and rows[n]["objective"] is not None
        text = (lab.dir("asha") / "a" / rows[n]["name"] / "result.json").read_text()
        assert json.loads(text)["state"] == "stopped"
        assert not list((lab.dir("asha") / "a" / rows[n]["name"]).glob("error_*"))
    assert far[0] == 27
    kept = {r["params"]["args_0"] for r in lab.rows("asha", "b")}
    assert len(kept) == 3 and 0 in kept, kept
    assert "stopped" in done.stdout and lab.status("asha")["state"] == "finished"


def test_max_t_ends_all(lab):
    lab.write("steps.py", STEPS)
    lab.file("max", """
pipeline:
  a: !Script {script: steps.py, args: [!g [0, 0]], objective: {metric: loss, mode: min}}
schedulers: {a: !ray.ASHAScheduler {max_t: 4, time_attr: epoch, grace_period: 4, metric: loss, mode: min}}
""")
    lab.good("max.yaml")
    assert lab.states("max") == {"success": 2}, "they came as far as they should"
    assert {r["end"] for r in lab.rows("max")} == {"stopped"}
    assert all(4 <= n < 20 for n in counts(lab, "max").values()), counts(lab, "max")


# ---- Optuna ----------------------------------------------------------------------------------

OPTUNA = """
seed: 5
pipeline:
  a: !Script
    script: quad.py
    kwargs: {x: !s [-5.0, 5.0, 1], k: !g [one, two], n: !s [1, 9, 1]}
    objective: {metric: loss, mode: min}
  b: !Command {command: [echo, "{x}"], params: {x: !@ "a[kwargs][x]"}}
search: {a: !optuna {trials: %d, sampler: %s, sampler_options: {n_startup_trials: 5}%s}}
reduce: {a: 2}
"""

QUAD = """
import json, os, sys, time
a = dict(zip(sys.argv[1::2], sys.argv[2::2]))
loss = float(a["--x"]) ** 2 + (a["--k"] == "two") + int(a["--n"]) / 10
with open(os.environ["FLAMBE_METRICS"], "a") as f:
    for step in range(STEPS):
        print(json.dumps({"step": step, "loss": loss + STEPS - 1 - step}), file=f, flush=True)
        time.sleep(PAUSE)
"""


@pytest.fixture
def optuna(lab):
    # Optuna is asked for by the python3 that trials have.
    lab.env["FLAMBE_PYTHON"] = "/usr/bin/python3"
    has = subprocess.run(["/usr/bin/python3", "-c", "import optuna"], capture_output=True, env=lab.env)
    if has.returncode != 0:
        pytest.skip("no python3-optuna")

    def put(name, trials, sampler="tpe", more="", steps=1, pause=0):
        lab.write("quad.py", QUAD.replace("STEPS", str(steps)).replace("PAUSE", str(pause)))
        lab.file(name, OPTUNA % (trials, sampler, more))
    lab.put = put
    return lab


def test_tpe_finds_the_good_ones(optuna):
    lab = optuna
    lab.put("tpe", 30)
    done = lab.good("-d", "tpe.yaml")  # one at a time: the draws do not depend on the machine
    rows = lab.rows("tpe", "a")
    assert len(rows) == 30 and {r["state"] for r in rows} == {"success"}
    assert rows[0]["objective"] < 1.5, rows[0]
    early = [r["objective"] for r in rows if r["number"] < 10]
    late = [r["objective"] for r in rows if r["number"] >= 20]
    assert sorted(late)[len(late) // 2] < sorted(early)[len(early) // 2]
    kept = sorted(r["params"]["x"] for r in lab.rows("tpe", "b"))
    assert kept == sorted(r["params"]["x"] for r in rows[:2])
    assert "best of a: loss" in done.stdout
    lab.gone()


def test_one_at_a_time_it_draws_the_same(optuna):
    lab = optuna
    for name in ("one", "two"):
        lab.put(name, 8)
        lab.good("-d", f"{name}.yaml")
    assert params(lab, "one", "a") == params(lab, "two", "a")


def test_a_pruned_search_is_killed_and_goes_on(optuna):
    lab = optuna
    lab.put("pruned", 16, more=", pruner: MedianPruner, pruner_options: {n_startup_trials: 3, "
            "n_warmup_steps: 1}", steps=6, pause=0.06)
    kills = 0
    while kills < 3:
        child = lab.start("pruned.yaml")
        before = kills * 3
        place = lab.dir("pruned") / "a"

        def ended():
            return len(list(place.glob("*/result.json"))) > before or child.poll() is not None
        wait_for(ended, 60)
        if child.poll() is not None:
            break
        child.kill()
        child.wait()
        kills += 1
    assert kills == 3
    lab.gone()
    kept = {r["number"]: r for r in lab.rows("pruned", "a") if r["state"] in ("success", "stopped")}
    done = lab.good("pruned.yaml")
    assert "goes on" in done.stderr
    rows = {r["number"]: r for r in lab.rows("pruned", "a")}
    assert sorted(rows) == list(range(16))
    assert {n: rows[n] for n in kept} == kept, "what had ended is as it was"
    states = [r["state"] for r in rows.values()]
    assert set(states) <= {"success", "stopped"} and states.count("stopped") >= 1, states
    for n, far in counts(lab, "pruned").items():
        assert rows[n]["state"] == "stopped" or far == 5, (n, far)
    lab.gone()


def test_where_optuna_is_missing(lab):
    lab.env["FLAMBE_PYTHON"] = "/usr/bin/python3"
    lab.write("optuna.py", "raise ModuleNotFoundError(\"No module named 'optuna'\", name='optuna')\n")
    lab.env["PYTHONPATH"] = str(lab.home)
    lab.write("quad.py", QUAD)
    lab.file("none", OPTUNA % (3, "tpe", ""))
    done = lab.flambe("none.yaml")
    assert done.returncode != 0 and "pip install optuna" in done.stderr, told(done)
    lab.gone()


def test_a_search_without_an_objective(lab):
    lab.write("quad.py", QUAD)
    lab.file("none", (OPTUNA % (3, "tpe", "")).replace("    objective: {metric: loss, mode: min}\n", ""))
    done = lab.flambe("none.yaml")
    assert done.returncode == 2 and "objective" in done.stderr and not lab.dir("none").exists(), told(done)


# ---- many metrics ----------------------------------------------------------------------------


def test_a_chatty_trial_keeps_its_objective(lab):
    lab.write("chatty.py", """
import json, os
with open(os.environ["FLAMBE_METRICS"], "a") as out:
    for i in range(12000):
        print(json.dumps({f"layer/{i}": i}), file=out)
    for step in range(1, 5):
        print(json.dumps({"step": step, "epoch": step, "loss": 0.5 / step}), file=out)
""")
    lab.file("chatty", """
pipeline:
  a: !Script {script: chatty.py, args: [!g [0, 0]], objective: {metric: loss, mode: min}}
schedulers: {a: !asha {max_t: 4, time_attr: epoch, metric: loss, mode: min}}
reduce: {a: 1}
""")
    done = lab.good("chatty.yaml")
    rows = lab.rows("chatty")
    assert [r["objective"] for r in rows] == [0.125, 0.125], rows
    assert all(len(r["metrics"]) == 10000 and r["metrics"]["epoch"] == 4 for r in rows)
    assert done.stderr.count("more metrics than are read") == 2, "once for each trial"
