"""Search by Optuna against Optuna itself, driven from here: the same suggestions for the same seed,
through prunings and resumptions, and the best values that it is known for."""
import concurrent.futures
import math
import os
import pathlib
import statistics
import sys
import time

import pytest

from conftest import BUILD
from searching import FUNCTIONS, REFERENCE, Tool, ToolError, best_values, box, sampler_seed, tool_path

optuna = pytest.importorskip("optuna")
pytest.importorskip("cmaes")
optuna.logging.set_verbosity(optuna.logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore")
os.environ["FLAMBE_PYTHON"] = sys.executable

TOOL = tool_path(BUILD)
MIXED = [
    {"name": "lr", "kind": "float", "lo": 1e-5, "hi": 1.0, "log": True},
    {"name": "size", "kind": "int", "lo": 1, "hi": 1025, "log": True},
    {"name": "depth", "kind": "int", "lo": -3, "hi": 8},
    {"name": "model", "kind": "category", "count": 3},
    {"name": "heads", "kind": "int", "lo": 1, "hi": 9, "parent": 3, "element": 1},
    {"name": "drop", "kind": "float", "lo": 0.0, "hi": 0.5, "parent": 3, "element": 2},
    {"name": "kind", "kind": "category", "count": 2, "parent": 3, "element": 1},
    {"name": "deep", "kind": "float", "lo": 1.0, "hi": 2.0, "parent": 6, "element": 0},
]
SAMPLERS = [("RandomSampler", {}), ("TPESampler", {}),
            ("TPESampler", {"multivariate": True, "group": True}),
            ("TPESampler", {"n_startup_trials": 5, "constant_liar": True}),
            ("CmaEsSampler", {}), ("NSGAIISampler", {"population_size": 8})]
IDS = ["random", "tpe", "tpe-group", "tpe-options", "cmaes", "nsga2"]


def suggest(trial, dimensions):
    """As a user would write it in Python."""
    values, chosen = {}, {}
    for i, d in enumerate(dimensions):
        if "parent" in d and chosen.get(d["parent"]) != d["element"]:
            continue
        if d["kind"] == "category":
            v = trial.suggest_categorical(d["name"], range(d["count"]))
        elif d["kind"] == "int":
            v = trial.suggest_int(d["name"], d["lo"], d["hi"] - 1, log=d.get("log", False))
        else:
            v = trial.suggest_float(d["name"], d["lo"], d["hi"], log=d.get("log", False))
        values[d["name"]] = chosen[i] = v
    return values


def study(sampler, options, seed, direction="minimize", pruner=None):
    return optuna.create_study(
        direction=direction, pruner=pruner or optuna.pruners.NopPruner(),
        sampler=getattr(optuna.samplers, sampler)(seed=seed, **options))


def worth(values):
    """Some value that depends on all of them."""
    return sum(math.sin(3 * i + v) + math.log1p(abs(v)) for i, v in enumerate(values.values()))


def same(got, want):
    """Numbers are rounded to 15 decimals."""
    assert got.keys() == want.keys()
    assert all(got[k] == pytest.approx(want[k], abs=1e-14, rel=1e-14) for k in want)


def search(sampler, options, dimensions=MIXED, seed=5, trials=1000, **more):
    return {"search": {"sampler": sampler, "sampler_options": options, "dimensions": dimensions,
                       "seed": seed, "trials": trials, **more}}


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("sampler, options", SAMPLERS, ids=IDS)
def test_suggests_what_optuna_does(sampler, options, maximize):
    direct = study(sampler, options, sampler_seed(5), "maximize" if maximize else "minimize")
    with Tool(TOOL, search(sampler, options, maximize=maximize)) as t:
        for number in range(50):
            trial = direct.ask()
            want = suggest(trial, MIXED)
            same(t.ask(number), want)
            if number % 7 == 3:
                direct.tell(trial, state=optuna.trial.TrialState.FAIL)
                t.tell(number, None, "failed")
            else:
                direct.tell(trial, worth(want))
                t.tell(number, worth(want))


def test_trials_may_run_side_by_side():
    direct = study("TPESampler", {}, sampler_seed(5))
    with Tool(TOOL, search("TPESampler", {})) as t:
        under_way = []
        for number in range(40):
            trial = direct.ask()
            want = suggest(trial, MIXED)
            same(t.ask(number), want)
            same(t.ask(number), want)  # asked again, it is the same trial
            under_way.append((number, trial, worth(want)))
            if len(under_way) == 4:
                number, trial, value = under_way.pop(number % 3)
                direct.tell(trial, value)
                t.tell(number, value)


@pytest.mark.parametrize("name, options", [("MedianPruner", {"n_startup_trials": 3}),
                                           ("PercentilePruner", {"percentile": 25.0}),
                                           ("SuccessiveHalvingPruner", {}),
                                           ("HyperbandPruner", {"max_resource": 9})])
def test_prunes_what_optuna_does(name, options):
    direct = optuna.create_study(study_name="flambe", pruner=getattr(optuna.pruners, name)(**options),
                                 sampler=optuna.samplers.TPESampler(seed=sampler_seed(5)))
    stopped = 0
    with Tool(TOOL, search("TPESampler", {}, pruner=name, pruner_options=options)) as t:
        for number in range(30):
            trial = direct.ask()
            want = suggest(trial, MIXED)
            same(t.ask(number), want)
            for step in range(1, 10):
                value = worth(want) + 1 / step
                trial.report(value, step)
                stop = t.report(number, step, value)
                assert stop == trial.should_prune()
                if stop:
                    direct.tell(trial, state=optuna.trial.TrialState.PRUNED)
                    t.tell(number, None, "pruned")
                    stopped += 1
                    break
            else:
                direct.tell(trial, value)
                t.tell(number, value)
    assert 0 < stopped < 30


def test_values_that_are_no_numbers():
    with Tool(TOOL, search("TPESampler", {}, pruner="MedianPruner")) as t:
        for number in range(20):
            t.ask(number)
            t.report(number, 1, "nan")
            t.tell(number, "nan")
        t.ask(20)
        t.tell(20, None)


# ---- resumption ----------------------------------------------------------------------------------

def past_trials(sampler, options, dimensions, f, count):
    with Tool(TOOL, search(sampler, options, dimensions)) as t:
        past = []
        for number in range(count):
            values = t.ask(number)
            t.tell(number, f(values))
            past.append((values, f(values)))
    return past


def test_restored_tpe_knows_what_it_was_told():
    """As a study to which the trials were added, with a seed that does not begin anew."""
    state = optuna.trial.TrialState
    past = past_trials("TPESampler", {}, MIXED, worth, 30)
    direct = study("TPESampler", {}, sampler_seed(5) + 30)
    space = {}
    for d in MIXED:
        kinds = optuna.distributions
        space[d["name"]] = (
            kinds.CategoricalDistribution(range(d["count"])) if d["kind"] == "category" else
            kinds.IntDistribution(d["lo"], d["hi"] - 1, log=d.get("log", False)) if d["kind"] == "int"
            else kinds.FloatDistribution(d["lo"], d["hi"], log=d.get("log", False)))
    with Tool(TOOL, search("TPESampler", {})) as t:
        for number, (values, value) in enumerate(past):
            how = ["complete", "pruned", "failed"][number % 10 % 3 if number % 10 < 3 else 0]
            points = [[1, value + 2], [4, value + 1]]
            t.restore(number, values, value, how, points)
            direct.add_trial(optuna.trial.create_trial(
                state={"complete": state.COMPLETE, "pruned": state.PRUNED, "failed": state.FAIL}[how],
                value={"complete": value, "pruned": value + 1, "failed": None}[how], params=values,
                distributions={k: space[k] for k in values}, intermediate_values=dict(points)))
        for number in range(30, 45):
            trial = direct.ask()
            want = suggest(trial, MIXED)
            same(t.ask(number), want)
            direct.tell(trial, worth(want))
            t.tell(number, worth(want))


@pytest.mark.parametrize("sampler, options", [("CmaEsSampler", {}), ("NSGAIISampler", {"population_size": 10})])
def test_a_restored_population_goes_on(sampler, options):
    f, dimensions = FUNCTIONS["hartmann6"]
    past = past_trials(sampler, options, dimensions, f, 120)
    with Tool(TOOL, search(sampler, options, dimensions)) as t:
        for number, (values, value) in enumerate(past):
            t.restore(number, values, value)
        new = [f(t.ask(number)) for number in range(120, 128)]
    first, last = [v for _, v in past[:20]], [v for _, v in past[-20:]]
    assert statistics.mean(new) < (statistics.mean(first) + statistics.mean(last)) / 2


@pytest.mark.parametrize("sampler, options", SAMPLERS, ids=IDS)
def test_restored_trials_do_not_come_again(sampler, options):
    dimensions = box([(0, 1)] * 2)
    past = past_trials(sampler, options, dimensions, worth, 3)
    with Tool(TOOL, search(sampler, options, dimensions)) as t:
        for number, (values, value) in enumerate(past):
            t.restore(number, values, value)
        assert t.ask(3) not in [values for values, _ in past]


def test_a_trial_that_goes_on_is_told_later():
    past = past_trials("TPESampler", {}, MIXED, worth, 12)
    with Tool(TOOL, search("TPESampler", {}, pruner="MedianPruner")) as t:
        for number, (values, value) in enumerate(past):
            t.restore(number, values, value if number < 11 else None,
                      "complete" if number < 11 else "running", [[1, value]])
        same(t.ask(11), past[11][0])
        t.report(11, 2, 1.5)
        t.tell(11, 1.5)
        assert t.ask(12) and t.ask(999) and t.ask(1000) is None


# ---- the helper's surroundings -------------------------------------------------------------------

def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return {**os.environ, "FLAMBE_PYTHON": str(path)}


def test_a_missing_optuna_says_what_to_type(tmp_path):
    env = script(tmp_path / "bare", f'exec {sys.executable} -I -S "$@"\n')
    with pytest.raises(ToolError, match="not-found: .*apt install python3-optuna.*pip install optuna"):
        Tool(TOOL, search("TPESampler", {}), env=env)


def test_packages_may_print_and_read(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os\nprint('hello {')\nos.write(1, b'no end of line')\n"
        "atexit.register(print, 'bye')\n")
    (tmp_path / "cmaes.py").write_text(
        "print('{\"id\": 1, \"ok\": 0}')\nwas = open(0, closefd=False).read()\n"
        "CMA = SepCMA = CMAwM = get_warm_start_mgd = None\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with Tool(TOOL, search("TPESampler", {}), env=env) as t:
        assert t.ask(0)


def test_files_of_the_user_are_not_modules(tmp_path):
    for name in ["json", "random", "queue", "optuna", "numpy"]:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')\n")
    with Tool(TOOL, search("TPESampler", {}), cwd=tmp_path) as t:
        assert t.ask(0)


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_helper_ends_with_its_parent():
    t = Tool(TOOL, search("TPESampler", {}))
    helper, = children(t.process.pid)
    t.process.kill()
    t.process.wait()
    end = time.monotonic() + 20
    while pathlib.Path(f"/proc/{helper}/cmdline").exists() and \
            pathlib.Path(f"/proc/{helper}/cmdline").read_bytes():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_helper_that_dies_is_an_error():
    t = Tool(TOOL, search("TPESampler", {}))
    helper, = children(t.process.pid)
    os.kill(helper, 9)
    with pytest.raises(ToolError, match="remote: .*was ended by signal 9"):
        t.ask(0)
    assert t.process.wait(20) == 1


@pytest.mark.parametrize("more, message", [
    ({"sampler_options": {"multvariate": True}}, "file: .*'TPESampler'.*multvariate"),
    ({"pruner": "PercentilePruner"}, "file: .*'PercentilePruner'.*percentile"),
    ({"sampler": "NoSampler"}, "file: .*has no 'NoSampler'"),
    ({"dimensions": [{"name": "n", "kind": "int", "lo": 0, "hi": 2 ** 60}]}, "limit: .*too large for Optuna"),
])
def test_what_optuna_does_not_take(more, message):
    first = search("TPESampler", {})
    first["search"].update(more)
    with pytest.raises(ToolError, match=message):
        Tool(TOOL, first)


# ---- how good it is ------------------------------------------------------------------------------

SEEDS = range(10)


@pytest.fixture(scope="module")
def results():
    jobs = [(sampler, function, seed) for sampler, function in REFERENCE for seed in SEEDS]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        best = pool.map(lambda job: best_values(TOOL, *job, trials=100)[-1], jobs)
        return dict(zip(jobs, best))


@pytest.mark.parametrize("sampler, function", REFERENCE, ids=lambda x: x.replace(" ", "-"))
def test_finds_what_optuna_is_known_to(results, sampler, function):
    """Two means of samples of 30 and 10: four standard errors apart happens once in 10,000."""
    if sampler != "random" and not optuna.__version__.startswith("3.1."):
        pytest.skip("the figures are those of Optuna 3.1")
    mean, deviation = REFERENCE[sampler, function][100]
    got = statistics.mean(results[sampler, function, seed] for seed in SEEDS)
    room = 4 * deviation * math.sqrt(1 / 30 + 1 / len(SEEDS))
    print(f"{sampler} {function}: {got:.3f}, known: {mean:.3f} +- {deviation:.3f}")
    assert abs(got - mean) < room
