"""The pages agree with the code: generated parts, YAML, links, and tables of words that belong to the code."""

import re
from typing import get_args

import pytest
import yaml

from controller.adapters.prometheus_config import PrometheusConfig
from controller.api.plan import PlanSpec
from controller.api.plan_checks import BuiltIn
from controller.api.release import Phase
from controller.api.validate import validate_text
from controller.cli.documents import BLOCKS, MARKED, chosen_defaults, filled
from controller.cli.documents_models import below
from controller.cli.documents_words import BUILTINS, DEFAULTS, FAULTS, PHASES, PLAN_EXAMPLES
from controller.cli.exits import ExitCode
from controller.cli.validate import scenario_rules
from controller.runtime.config import ControllerConfig
from controller.simulator.scenario import Fault
from tests.bed import binaries
from tests.docs.pages import ROOT, agrees, anchors, blocks, links, pages

SPEC_FIELDS = {info.alias or name for name, info in PlanSpec.model_fields.items()}
YAML = sorted({text for page in pages() for text in blocks(page, "yaml")})
ALL = pages("docs/**/*.md")


def name_of(value):
    return str(value.relative_to(ROOT)) if hasattr(value, "relative_to") else str(value).strip().splitlines()[0][:40]


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_generated_parts_are_what_the_code_says(page):
    """Written again by `make docs`."""
    text = page.read_text(encoding="utf-8")

    assert filled(text) == text


def test_every_generated_part_stands_in_some_page():
    used = {found["name"] for page in pages() for found in MARKED.finditer(page.read_text(encoding="utf-8"))}

    assert used == set(BLOCKS)


@pytest.mark.parametrize("text", YAML, ids=name_of)
def test_yaml_of_a_page_is_valid(text):
    """Whole objects and scenarios as they are; a part of a plan's spec within the simplest plan; settings by their model."""
    data = yaml.safe_load(text)
    if "apiVersion" in data or "expect" in data:
        findings = validate_text(text, folder=ROOT / "examples" / "first-release" / "scenarios", scenarios=scenario_rules())
        assert [f for f in findings if f.severity == "error"] == []
    elif set(data) <= SPEC_FIELDS:
        assert errors_of(data) == []
    elif "providers" in data and isinstance(data["providers"], list):
        assert PrometheusConfig.model_validate(data).providers
    else:
        assert ControllerConfig.model_validate(data)


def errors_of(part):
    """Errors of a part of `spec` within the simplest plan."""
    simplest = {"traffic": {"virtualService": "shop"}} | ({} if "members" in part or "workload" in part else {"workload": "shop"})
    plan = {"apiVersion": "penstock.dev/v1alpha1", "kind": "ReleasePlan", "metadata": {"name": "shop"}, "spec": {**simplest, **part}}
    return [finding for finding in validate_text(yaml.safe_dump(plan)) if finding.severity == "error"]


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_every_link_leads_somewhere(page):
    broken = []
    for target in links(page):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)

    assert broken == []


def test_every_phase_built_in_check_and_fault_is_explained():
    kinds = get_args(Fault.model_fields["kind"].annotation)

    assert set(PHASES) == set(Phase)
    assert set(BUILTINS) == set(BuiltIn)
    assert set(FAULTS) == set(kinds)


def test_every_variable_that_the_command_reads_is_explained():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "controller").rglob("*.py"))
    read = set(re.findall(r"\bPENSTOCK_[A-Z_]+", sources))

    assert {"PENSTOCK_DEBUG", "PENSTOCK_TIME_DIVISOR"} <= read
    assert not [name for name in read if f"`{name}`" not in (ROOT / "docs" / "cli-reference.md").read_text(encoding="utf-8")]


def test_every_default_has_its_reason():
    assert set(DEFAULTS) == {f"{model.__name__}.{name}" for model, name, _ in chosen_defaults()}


def test_every_model_of_the_plan_has_an_example():
    schema = PlanSpec.model_json_schema(by_alias=True)

    assert set(PLAN_EXAMPLES) == {"PlanSpec", *below(schema, schema["$defs"])}


def test_the_decision_on_exit_codes_names_those_there_are():
    text = (ROOT / "docs/decisions/0006-phases-verbs-exit-codes.md").read_text(encoding="utf-8")
    rows = text.partition("| exit code | meaning |")[2].splitlines()[2:]

    assert [int(row.split("|")[1]) for row in rows if row.startswith("|")] == [int(code) for code in ExitCode]


def test_the_plan_of_the_readme_is_the_one_of_the_example():
    plan = (ROOT / "examples/first-release/plan.yaml").read_text(encoding="utf-8")

    assert plan in blocks(ROOT / "README.md", "yaml")


def test_the_readme_names_the_versions_that_the_tests_run_on():
    go_mod = (ROOT / "tests/bed/go.mod").read_text(encoding="utf-8")
    istio = re.search(r"istio\.io/api v(\S+)", go_mod)[1]
    tested = (ROOT / "README.md").read_text(encoding="utf-8").partition("Tested with:")[2].partition("\n\n")[0]

    assert binaries.versions()["kubernetes"].removeprefix("v") in tested
    assert istio in tested


@pytest.mark.parametrize(
    ("expected", "same"),
    [(("a", "b", "c"), True), (("a", "...", "c"), True), (("...",), True), (("a", "b"), False), (("...", "b"), False), ((), False)],
)
def test_an_output_agrees_line_by_line_and_three_dots_stand_for_any(expected, same):
    assert agrees(expected, ["a", "b", "c"]) is same


def test_the_first_screen_of_the_readme_is_ten_lines():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").partition("# Penstock\n")[2].partition("\n## ")[0].strip().splitlines()

    assert len(lines) == 10
