"""Whatever stands in whatever field, the answer is a sentence for people: nothing of Python in it, and never a traceback."""

import re
import typing
from pathlib import Path

import orjson
import pytest

from controller.api.base import shown
from controller.api.validate import SPECS, validate_text
from controller.api.validate_words import _bare, _item, _model
from controller.cli.validate import scenario_rules
from controller.simulator.scenario import Scenario

FIRST = Path(__file__).resolve().parents[2] / "examples" / "first-release"
WRONG = (None, True, -1, "x y", [None], {"a": {"b": None}}, [[1]])
PYTHON = re.compile(
    r"\bNone\b|\bTrue\b|\bFalse\b|<class|\b(dict|str|int|float|tuple)\b|list\[|Input should|\{'|\['|ValueError|TypeError|instance of"
)
MODELS = [*SPECS.items(), ("Scenario", Scenario)]


def fields(model, above=()):
    """The path of every field below a model, lists by their first entry."""
    for name, field in model.model_fields.items():
        path = (*above, field.alias or name)
        yield path
        kind = _bare(field.annotation)
        below = _model(kind)
        if below is None and typing.get_origin(kind) is list:
            below, path = _model(_item(kind)), (*path, 0)
        if below is not None:
            yield from fields(below, path)


def document(kind, path, value):
    for part in reversed(path):
        value = [value] if isinstance(part, int) else {part: value}
    if kind == "Scenario":
        return {"name": "x", "expect": {"phase": "Succeeded"}, **value}
    spec = {"workload": "shop", "traffic": {"virtualService": "shop"}, **value} if kind == "ReleasePlan" else value
    return {"apiVersion": "penstock.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}


@pytest.mark.parametrize(("kind", "model"), MODELS, ids=[kind for kind, _ in MODELS])
def test_a_wrong_value_in_any_field_is_answered_in_words(kind, model):
    pythonic = []
    for path in fields(model):
        for value in WRONG:
            text = orjson.dumps(document(kind, path, value)).decode()
            pythonic += [str(one) for one in validate_text(text, folder=FIRST, scenarios=scenario_rules()) if PYTHON.search(str(one))]

    assert pythonic == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true"),
        ("a\\d", r"'a\d'"),
        ("it's", "'it's'"),
        ("two\nlines", r"'two\nlines'"),
        ({"a": None}, '{"a": null}'),
        (float("inf"), "inf"),
        ("x" * 100, f"'{'x' * 76}..."),
    ],
    ids=str,
)
def test_a_value_is_shown_as_it_was_written(value, words):
    assert shown(value) == words


class TestWhatIsOurs:
    @pytest.mark.parametrize("text", ["{}\n", "replicas: 3\n", "name: shop\nreplicas: 3\n"])
    def test_a_mapping_that_is_neither_object_nor_scenario_is_one_sentence(self, text):
        [one] = validate_text(text, scenarios=scenario_rules())

        assert one.expected == "an object (apiVersion: penstock.dev/v1alpha1, and kind) or a scenario (name, expect)"

    def test_a_scenario_without_its_outcome_is_still_one(self):
        found = validate_text("name: x\nplan: plan.yaml\n", folder=FIRST, scenarios=scenario_rules())

        assert [one.path for one in found] == ["expect"]

    def test_a_group_that_only_begins_like_ours_is_not_ours(self):
        [one] = validate_text("apiVersion: penstock.development/v1\nkind: Thing\n")

        assert one.found == "nothing of Penstock's"

    @pytest.mark.parametrize("name", ["checks[0]", "float", "int"])
    def test_an_unknown_field_is_named_whatever_it_looks_like(self, name):
        [one] = validate_text(orjson.dumps(document("ReleasePlan", (name,), 1)).decode())

        assert one.path == f"spec.{name}"
        assert one.found == f"the unknown field '{name}'"
