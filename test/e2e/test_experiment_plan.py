"""`flambe plan experiment.yaml`: what it says, and that it needs nobody and leaves nothing."""
import json
import textwrap
import time

import pytest

from conftest import FLAMBE, clean_env, run

SWEEP = """\
!Experiment
name: sweep
seed: 5
resources:
  data: data.txt
reduce: {train: 2}
pipeline:
  model: !Command
    command: "make-model {hidden} {layers} > {dir}/model"
    params: {hidden: !g [1, 2, 3], layers: !g [10, 20]}
    outputs: {file: model}
  train: !Script
    script: train.py
    args: [!@ data]
    kwargs:
      model: !@ model.file
      lr: !s [0.001, 0.1, 2, 4]
    objective: {metric: loss, mode: min}
  test: !Script
    script: package.test
    kwargs: {of: !@ train.dir, hidden: !@ 'model[params][hidden]'}
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "train.py").write_text("print('hello')\n")
    (tmp_path / "data.txt").write_text("1 2 3\n")
    return tmp_path


def flambe(home, *argv, **more):
    return run([FLAMBE, *map(str, argv)], clean_env(home), cwd=home, **more)


def plan(home, text, *argv):
    (home / "exp.yaml").write_text(textwrap.dedent(text))
    return flambe(home, "plan", "exp.yaml", *argv)


def test_text(home):
    done = plan(home, SWEEP)
    assert done.returncode == 0 and done.stderr == ""
    out = done.stdout
    assert out.startswith("experiment 'sweep': 3 stages, at most 20 trials\n")
    assert "results in ./flambe-output/output__sweep" in out
    assert "stage 'model': 6 trials of make-model" in out
    assert "stage 'train': 12 trials of train.py" in out
    assert "stage 'test': at most 2 trials of package.test" in out
    assert "option  model[params][hidden]: 1, 2, 3\n" in out
    assert "link    train[kwargs][model]: model.file\n" in out
    assert "after   model, train\n" in out
    assert "keeps   the best 2\n" in out
    assert "hidden=1,layers=10_0\n          hidden=2,layers=10_1\n" in out
    assert "seed 5\n" in out


def test_json(home):
    done = plan(home, SWEEP, "-o", "json")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer["experiment"] == "sweep" and answer["trials"] == 20 and answer["at_most"]
    model, train, test = answer["stages"]
    assert (model["trials"], train["trials"], test["trials"]) == (6, 12, 2)
    assert test["variants"] == 12 and test["after"] == ["model", "train"]
    lr = train["options"][0]
    assert lr["path"] == "train[kwargs][lr]" and lr["drawn"] and lr["count"] == 2
    assert all(0.001 <= v < 0.1 and round(v, 4) == v for v in lr["values"])
    assert model["first_trials"][:2] == ["hidden=1,layers=10_0", "hidden=2,layers=10_1"]
    assert answer["random"] == {"seed": 5, "generator": "xoshiro256**"}


SEARCHED = SWEEP + """\
search:
  train: !optuna {trials: 40, sampler: cmaes, log: [lr]}
schedulers:
  train: !asha {metric: loss, mode: min, grace_period: 2, max_t: 50}
"""


def test_searched_stages(home):
    done = plan(home, SEARCHED)
    assert done.returncode == 0 and done.stderr == ""
    out = done.stdout
    assert out.startswith("experiment 'sweep': 3 stages, at most 48 trials\n")
    assert "stage 'train': 40 trials of train.py" in out
    assert "option  train[kwargs][lr]: from 0.001 to 0.1, on a logarithmic scale\n" in out
    assert "search  each trial's values are drawn by Optuna's CmaEsSampler\n" in out
    assert "early   trials are stopped by asha: loss, from step 2 on, one in 4 goes on, to step 50\n" in out
    assert "trials  which ones is known when they are drawn\n" in out
    assert "trials  which ones is known when the searched stage has run\n" in out
    train = json.loads(plan(home, SEARCHED, "-o", "json").stdout)["stages"][1]
    assert (train["search"], train["sampler"], train["scheduler"]) == ("optuna", "CmaEsSampler", "asha")
    assert train["trials"] == 40 and train["first_trials"] == []
    assert train["options"][0]["range"] == [0.001, 0.1] and train["options"][0]["log"]


def test_it_leaves_nothing(home):
    before = sorted(home.rglob("*"))
    plan(home, SWEEP)
    assert sorted(home.rglob("*")) == sorted({*before, home / "exp.yaml"})


def test_draws_are_repeated_by_the_seed_that_is_shown(home):
    text = SWEEP.replace("seed: 5\n", "")
    first = json.loads(plan(home, text, "-o", "json").stdout)
    other = json.loads(plan(home, text, "-o", "json").stdout)
    assert first["random"]["seed"] != other["random"]["seed"]
    shown = plan(home, text).stdout
    seed = shown.split("add the line 'seed: ")[1].split("'")[0]
    again = json.loads(plan(home, text + f"seed: {seed}\n", "-o", "json").stdout)
    assert str(again["random"]["seed"]) == seed
    assert again["stages"] == json.loads(
        plan(home, text + f"seed: {seed}\n", "-o", "json").stdout)["stages"]


def test_all_errors_at_once(home):
    done = plan(home, SWEEP.replace("train.py", "gone.py").replace("!@ data", "!@ dta")
                .replace("train: 2", "trian: 2").replace("seed: 5", "sead: 5"))
    assert done.returncode == 2 and done.stdout == ""
    for words in ["there is no 'gone.py'", "did you mean 'data'?", "did you mean 'train'?",
                  "did you mean 'seed'?", "4 errors", "exp.yaml:3:1:", "^~~~"]:
        assert words in done.stderr, words


def test_errors_as_json(home):
    done = plan(home, SWEEP.replace("train.py", "gone.py"), "-o", "json")
    assert done.returncode == 2
    listed = json.loads(done.stdout)["diagnostics"]
    assert [d["problem"] for d in listed] == ["there is no 'gone.py'"]


def test_python_components_are_refused_with_the_way_out(home):
    done = plan(home, "!Experiment\nname: x\npipeline:\n  b: !Trainer\n    x: !torch.Adam\n")
    assert done.returncode == 2
    assert "'!Trainer' is a Python component" in done.stderr
    assert "wrap it as a script" in done.stderr


def test_a_misspelt_tag_is_an_experiment_still(home):
    done = plan(home, SWEEP.replace("!Experiment", "!Experimnt"))
    assert done.returncode == 2 and "did you mean '!Experiment'?" in done.stderr


def test_control_characters_do_not_reach_the_terminal(home):
    done = plan(home, '!Experiment\nname: x\npipeline:\n  s: !Script\n    script: m\n'
                      '    kwargs: {"k\\e[31m": !g ["a\\e[2J", b]}\n')
    assert done.returncode == 0 and "\033" not in done.stdout


def test_more_devices_than_there_are(home):
    done = plan(home, "devices: {cpu: 8000}\n".join(["!Experiment\n", SWEEP[12:]]))
    assert done.returncode == 2
    assert "each trial asks for 8000 CPUs; this machine has " in done.stderr


def test_a_hundred_thousand_variants(home):
    options = "".join(f"      k{i}: !g [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n" for i in range(5))
    began = time.monotonic()
    done = plan(home, "!Experiment\nname: x\npipeline:\n  s: !Script\n    script: m\n    kwargs:\n"
                + options)
    assert done.returncode == 0 and "100000 trials" in done.stdout
    assert time.monotonic() - began < 1


def test_up_takes_clusters_alone(home):
    (home / "exp.yaml").write_text(SWEEP)
    done = flambe(home, "up", "exp.yaml")
    assert done.returncode == 2
    assert "'exp.yaml' is an experiment, not a cluster" in done.stderr
    assert "flambe run exp.yaml" in done.stderr


def test_a_file_that_is_no_yaml_is_told_as_an_experiment_s(home):
    done = plan(home, "!Experiment\nname: [x\n")
    assert done.returncode == 2 and "error" in done.stderr and "exp.yaml:" in done.stderr
    assert "exp.yaml:2:7: error" in flambe(home, "exp.yaml").stderr


def test_a_cluster_that_speaks_of_experiments_is_a_cluster(home):
    done = plan(home, "!AWSCluster\n# for the !Experiment of today\nname: [x\n")
    assert done.returncode == 2
    assert "is an experiment" not in flambe(home, "exp.yaml").stderr
