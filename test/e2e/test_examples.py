"""The experiments of examples/: each runs as its comment says, and something is really learned.

They run in copies, the sweeps shortened, with the user's environment but a home of their own."""
import json
import shutil
import statistics

import pytest

from conftest import BUILD, FLAMBE, ROOT, clean_env, run

EVENTS = str(BUILD / "test/conformance/events_tool")


@pytest.fixture
def example(tmp_path):
    def prepare(name, *changes, file="experiment.yaml"):
        place = tmp_path / name
        shutil.copytree(ROOT / "examples" / name, place,
                        ignore=shutil.ignore_patterns("flambe-output", "__pycache__"))
        text = (place / file).read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} is not once in {name}/{file}"
            text = text.replace(old, new)
        (place / file).write_text(text)
        return place

    return prepare


def flambe(place, *argv, status=0):
    done = run([FLAMBE, *argv], clean_env(place.parent), cwd=place)
    assert done.returncode == status, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def rows(place, file="experiment.yaml", stage=None):
    options = ["--stage", stage] if stage else []
    return json.loads(flambe(place, "results", file, "-o", "json", *options))


def curve(directory, tag):
    """The metric's values by rising step, of the file as the program wrote it."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return [line[tag] for line in lines]


SHORT = (("epochs: 20", "epochs: 6"), ("trials: 24", "trials: 9"), ("[4, 32, 128]", "[4, 32]"))


def test_digits_are_learned(example):
    place = example("digits", *SHORT)
    flambe(place, "experiment.yaml")
    trials = rows(place, stage="train")
    assert len(trials) == 9 and all(t["state"] == "success" for t in trials)
    values = [t["objective"] for t in trials]
    assert values == sorted(values, reverse=True), "the best come first"
    assert values[0] > 0.85, "guessing reads 0.1"
    assert values[0] - values[-1] > 0.1, "the options make a difference"
    large, small = ([t["objective"] for t in trials if t["params"]["hidden"] == n] for n in (32, 4))
    assert statistics.mean(large) > statistics.mean(small)
    best = place / "flambe-output/output__digits/train" / trials[0]["name"]
    losses = curve(best, "val_loss")
    assert len(losses) == 6 and losses[-1] < losses[0] / 2
    # TensorBoard reads no JSON lines: it finds the same curves in an event file.
    events = run([EVENTS, "read", str(best / "events.out.tfevents.0.flambe")], clean_env(place), check=True)
    points = [line.split("\t") for line in events.stdout.splitlines()]
    shown = {int(step): float(value) for tag, step, _, value in points if tag == "val_loss"}
    assert shown == pytest.approx(dict(enumerate(losses, 1)), rel=1e-6)


def test_digits_go_on_from_their_checkpoints(example):
    """Two runs of one trial, one of them killed by its time limit again and again: the same curve."""
    one = (("!random {trials: 24, log: [lr]}", "!random {trials: 1, log: [lr]}"),
           ("[4, 32, 128]", "[128]"), ("name: digits", "name: digits\nmax_failures: -1"))
    place = example("digits", *one)
    flambe(place, "experiment.yaml")
    whole = rows(place, stage="train")[0]
    assert whole["attempts"] == 1
    text = (place / "experiment.yaml").read_text()
    limit = max(0.7, whole["duration_s"] / 4)  # on a busy machine an attempt has to get somewhere, too
    (place / "killed.yaml").write_text(
        text.replace("name: digits", "name: killed").replace("time_limit: 5 min",
                                                             f"time_limit: {limit:.1f} s"))
    flambe(place, "killed.yaml")
    pieces = rows(place, "killed.yaml", "train")[0]
    assert pieces["attempts"] > 1
    assert pieces["metrics"] == whole["metrics"]


def test_early_stopping_saves_steps(example):
    short = (SHORT[1], SHORT[2], ("grace_period: 2", "grace_period: 1"), ("epochs: 20", "epochs: 120"))
    place = example("digits", *short, file="asha.yaml")
    flambe(place, "asha.yaml")
    trials = rows(place, "asha.yaml", "train")
    stopped = [t for t in trials if t["state"] == "stopped"]
    stage = place / "flambe-output/output__digits-asha/train"
    steps = sum(len(curve(stage / t["name"], "val_loss")) for t in trials)
    assert stopped and trials[0]["state"] == "success"
    assert steps < 9 * 120 * 0.9
    assert trials[0]["objective"] > 0.85


def test_the_pipeline_tests_the_best_two(example):
    place = example("pipeline")
    flambe(place, "experiment.yaml")
    trained, tested = rows(place, stage="train"), rows(place, stage="evaluate")
    assert len(trained) == 6 and len(tested) == 2
    best = {(t["params"]["size"], t["params"]["waves"])
            for t in sorted(trained, key=lambda t: t["objective"])[:2]}
    assert {(t["params"]["size"], t["params"]["waves"]) for t in tested} == best
    assert min(t["objective"] for t in tested) > 0.9, "a coin would tell half of them"
    stage = place / "flambe-output/output__pipeline/train"
    for t in trained:
        if t["params"]["size"] == 400:  # of 20 points, 32 waves learn what the others do not have
            losses = curve(stage / t["name"], "valid/loss")
            assert losses[-1] < losses[0]
    # What has changed runs again, and what builds on it, and nothing else.
    (place / "evaluate.py").write_text((place / "evaluate.py").read_text() + "print('changed')\n")
    said = flambe(place, "experiment.yaml", "--reuse")
    best = trained[0]["name"]
    assert f"best of train: valid/loss {trained[0]['objective']:.6g} of {best}" in said
    assert rows(place, stage="train") == trained, "with their times"
    assert flambe(place, "logs", "experiment.yaml", "evaluate").count("changed") == 2


def test_the_originals_style(example):
    place = example("migrate")
    flambe(place, "experiment.yaml")
    fits, shown = rows(place, stage="fit"), rows(place, stage="show")
    assert len(fits) == 8 and len(shown) == 1
    assert fits[0]["params"]["degree"] == 7 and fits[0]["objective"] > 0.7
    assert shown[0]["params"] == fits[0]["params"]
    assert "degree 7\n" in flambe(place, "logs", "experiment.yaml", "show")
