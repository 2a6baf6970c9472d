"""`flambe schema` judged by jsonschema, which nobody here wrote: it is a good JSON Schema, and it
takes and refuses the golden cluster files as flambe does, as far as a schema can say it."""
import json
import re

import pytest

from conftest import FLAMBE, ROOT, clean_env, run

jsonschema = pytest.importorskip("jsonschema")
yaml = pytest.importorskip("yaml")

GOLDEN = ROOT / "test" / "golden" / "cluster"
TAKEN = sorted(p.stem for p in GOLDEN.glob("ok*.yaml"))
# One rule of the schema each. What needs two keys at once, or the text's own form, is not here.
REFUSED = ["bidi", "choice", "choice-far", "ids", "misspelt-key", "missing-keys", "name-long", "names",
           "out-of-range", "placeholders", "region", "unknown-key", "wrong-types"]


class Loader(yaml.SafeLoader):
    """YAML 1.2's scalars, as in the files; any local tag is passed over."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in [
        ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
        ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
        ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
        ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""])]:
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))
Loader.add_multi_constructor("!", lambda loader, tag, node: loader.construct_mapping(node, deep=True))


def load(name):
    return yaml.load((GOLDEN / f"{name}.yaml").read_bytes(), Loader=Loader)


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    done = run([FLAMBE, "schema"], clean_env(tmp_path_factory.mktemp("home")), check=True)
    return json.loads(done.stdout)


def test_is_a_schema(schema):
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", TAKEN)
def test_takes(schema, name):
    jsonschema.Draft202012Validator(schema).validate(load(name))


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(schema, name):
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(load(name)))


def test_defaults_and_examples_are_taken(schema):
    assert [kind["title"] for kind in schema["anyOf"]] == [
        "a cluster on AWS", "a cluster of machines that exist already"]
    for name, rule in [item for kind in schema["anyOf"] for item in kind["properties"].items()]:
        for value in rule.get("examples", []) + ([rule["default"]] if "default" in rule else []):
            jsonschema.Draft202012Validator(rule).validate(value)


# ---- of an experiment's file ------------------------------------------------------------------------

EXPERIMENTS = ROOT / "test" / "golden" / "experiment"


class Tagged(Loader):
    """Options and links are tagged lists and scalars."""


def any_node(loader, tag, node):
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


Tagged.add_multi_constructor("!", any_node)


def load_experiment(name):
    return list(yaml.load_all((EXPERIMENTS / f"{name}.yaml").read_bytes(), Loader=Tagged))[-1]


@pytest.fixture(scope="module")
def experiment_schema(tmp_path_factory):
    done = run([FLAMBE, "schema", "experiment"], clean_env(tmp_path_factory.mktemp("home")), check=True)
    schema = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


@pytest.mark.parametrize("name", sorted(p.stem for p in EXPERIMENTS.glob("ok*.yaml")))
def test_takes_an_experiment(experiment_schema, name):
    jsonschema.Draft202012Validator(experiment_schema).validate(load_experiment(name))


@pytest.mark.parametrize("name", ["keys-missing", "keys-unknown", "stage-keys", "objective", "devices-zero",
                                  "pipeline-empty", "name"])
def test_refuses_an_experiment(experiment_schema, name):
    assert list(jsonschema.Draft202012Validator(experiment_schema).iter_errors(load_experiment(name)))
