"""The committed CRDs are those of the models, described to the last field, and shaped as `kubectl` needs them."""

import re

import pytest
import yaml

from controller.api.crd import FOLDER, definitions, render
from controller.api.validate_yaml import LOADER


@pytest.mark.parametrize("name", definitions())
def test_the_committed_crd_is_the_generated_one(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == render(definitions()[name])


def test_no_crd_lies_there_that_nobody_generates():
    assert {path.name for path in FOLDER.iterdir()} == set(definitions())


def fields(node, path):
    for name, below in (node.get("properties") or {}).items():
        yield f"{path}.{name}", below
        yield from fields(below, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(node.get(inner), dict):
            yield from fields(node[inner], f"{path}[]")


@pytest.mark.parametrize("name", definitions())
def test_every_field_has_a_description(name):
    schema = definitions()[name]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    bare = [path for path, node in fields(schema, "") if path.split(".")[1] in ("spec", "status") and not node.get("description")]

    assert bare == []


@pytest.mark.parametrize("name", definitions())
def test_nothing_that_a_field_may_hold_is_dropped_by_the_api_server(name):
    """An object without a schema of what is in it is stored empty."""
    schema = definitions()[name]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    kept = ("properties", "additionalProperties", "x-kubernetes-preserve-unknown-fields")
    empty = [path for path, node in fields(schema, "") if node.get("type") == "object" and not any(key in node for key in kept)]

    assert [path for path in empty if path.split(".")[1] in ("spec", "status")] == []


@pytest.mark.parametrize("name", definitions())
def test_what_a_rule_walks_over_is_bounded(name):
    """Without a bound the API server estimates the cost of a rule as too high and refuses the CRD."""
    spec = definitions()[name]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    unbounded = [path for path, node in fields(spec, "") if node.get("type") == "array" and "maxItems" not in node]

    assert unbounded == []


def test_get_releases_alone_tells_the_story():
    columns = definitions()["releases.yaml"]["spec"]["versions"][0]["additionalPrinterColumns"]

    assert [column["name"] for column in columns if not column.get("priority")] == ["Plan", "Revision", "Phase", "Weight", "Reason", "Age"]


def test_short_names_and_category():
    written = (yaml.load(render(one), Loader=LOADER) for one in definitions().values())
    names = {kind["spec"]["names"]["kind"]: kind["spec"]["names"] for kind in written}

    short = {kind: found["shortNames"] for kind, found in names.items()}

    assert short == {"ReleasePlan": ["rp"], "Release": ["rel"], "ReleaseRequest": ["rrq"]}
    assert {tuple(found["categories"]) for found in names.values()} == {("penstock",)}


FUNCTIONS_OF_1_28 = {"has", "size", "all", "exists_one"}
"""Macros of CEL itself. Not `map`: 1.28 estimates the cost of whatever is done with its result as endless, and refuses the CRD."""


def test_rules_use_only_what_kubernetes_1_28_knows():
    import re

    used = set()
    for crd in definitions().values():
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for _, node in [("", schema), *fields(schema, "")]:
            for part in (node, node.get("items") or {}):
                for rule in part.get("x-kubernetes-validations") or []:
                    used |= set(re.findall(r"([a-zA-Z_]+)\(", rule["rule"]))
                    assert set(rule) <= {"rule", "message"}  # `fieldPath` and `reason` came later

    assert used <= FUNCTIONS_OF_1_28


def test_no_key_is_a_boolean_to_kubectls_parser():
    """It takes a bare y or n for true or false: the field `n` was served as `false`, and what was written to it was lost."""
    bare = re.compile(r"^\s*(?:- )?[yYnN]:", re.MULTILINE)

    assert [name for name, crd in definitions().items() if bare.search(render(crd))] == []
    assert "'n':" in render(definitions()["releases.yaml"])
