"""Take any one rule out of our server, and a conversation goes another way than with the real one."""

import inspect
from types import SimpleNamespace

import pytest

from controller import ports
from controller.simulator.apiserver import contents, patches, rules
from controller.simulator.apiserver.resources import BUILTIN
from tests.conformance.conftest import our_server
from tests.conformance.conversation import hold
from tests.conformance.test_same_answers import CASES, unexplained


def nothing(*_args, **_more):
    """A check that finds no fault."""


AS = {resource.kind: resource for resource in BUILTIN}
MUTATIONS = {
    # Checks are taken out; the others answer as a server without the rule would.
    "established": lambda resource, **_: resource or SimpleNamespace(),
    "fields_to_drop": lambda *_: frozenset(),
    "generated_name": lambda metadata, _suffix: metadata.get("name") or "",
    "generation_of": lambda _resource, old, *_: old["metadata"].get("generation"),
    "generation_when_deleted": lambda stored: stored["metadata"].get("generation"),
    "initial_events_end": lambda revision: {"resourceVersion": str(revision)},
    "names_are_qualified": lambda *_: [],
    "nothing_changed": lambda _old, _candidate: False,
    "page_of": lambda _snapshot, live, start, limit: live[start : start + limit] if limit else live[start:],
    "revision_number": lambda text, **_: int(text) if text.isdigit() else 0,
    "status_endpoint_writes_status_only": lambda _resource, _old, candidate: candidate,
    "stores_nothing": lambda **_: False,
    "strict_fields": lambda report, _validation: [f"unknown field {path}" for path in report.unknown],
    "system_metadata": lambda old, metadata: {**old["metadata"], **metadata},
    "uid_of_new_object": lambda fresh, body: body["metadata"].get("uid") or fresh,
    "unknown_fields": lambda _report, _pruned, given: given,
    "waits_for_finalizers": lambda _stored: False,
    "watch_starts_with_state": lambda _revision: False,
}
TOO_FAR = {
    # Each of these knows no exception: what the rule lets through is refused, or counts as changed, too.
    "data_is_small_enough": lambda _resource, name, body: CHECKS["data_is_small_enough"](
        AS[ports.CONFIG_MAP], name, {**body, "data": body.get("spec")}
    ),
    "generated_name": lambda metadata, suffix: f"{metadata['generateName']}{suffix}" if suffix else metadata.get("name", ""),
    "generation_of": lambda _resource, old, *_: (old["metadata"].get("generation") or 0) + 1,
    "generation_when_deleted": lambda stored: stored["metadata"].get("generation", 0) + 1,
    "immutable_parts": lambda _resource, old, candidate: CHECKS["immutable_parts"](AS[ports.DEPLOYMENT], old, candidate),
    "main_endpoint_keeps_status": lambda _resource, old, candidate: CHECKS["main_endpoint_keeps_status"](
        AS[ports.DEPLOYMENT], old, candidate
    ),
    "no_new_finalizers": lambda resource, old, metadata: CHECKS["no_new_finalizers"](resource, marked(old), metadata),
    "strict_fields": lambda _report, validation: CHECKS["strict_fields"](SimpleNamespace(unknown=["any"]), validation),
}
RULES = {
    name: module
    for module in (rules, contents)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and name[0] != "_"
}
"""Every rule, with the module that it is called by."""


CHECKS = {name: getattr(module, name) for name, module in RULES.items()}
"""The rules as they are."""


def marked(stored):
    """The same object as one that is being deleted."""
    return {**stored, "metadata": {**stored["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def conversations_of(rule):
    """The cases that name a rule as theirs."""
    return [name for name, case in CASES.items() if rule in case["rules"]]


def goes_as_before(server, name):
    """Whether a conversation still goes as with the real server; one that breaks off does not."""
    try:
        return unexplained(name, hold(server, CASES[name], prefix="mutant")) == []
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError):
        return False


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_server_without_the_rule_is_caught(rule, monkeypatch):
    with our_server() as server:
        monkeypatch.setattr(RULES[rule], rule, MUTATIONS.get(rule, nothing))
        kept = [name for name in conversations_of(rule) if goes_as_before(server, name)]
        monkeypatch.undo()

    assert conversations_of(rule), f"no case names the rule {rule}"
    assert kept == []


@pytest.mark.parametrize("rule", sorted(TOO_FAR))
def test_a_rule_without_its_exceptions_is_caught(rule, monkeypatch):
    with our_server() as server:
        monkeypatch.setattr(RULES[rule], rule, TOO_FAR[rule])
        caught = any(not goes_as_before(server, name) for name in CASES)
        monkeypatch.undo()

    assert caught


@pytest.mark.parametrize("operation", sorted(patches._OPERATIONS))
def test_a_server_without_one_json_patch_operation_is_caught(operation, monkeypatch):
    with our_server() as server:
        monkeypatch.setitem(patches._OPERATIONS, operation, lambda document, *_: document)
        caught = [name for name in CASES if name.startswith("patches: a JSON patch") and not goes_as_before(server, name)]
        monkeypatch.undo()

    assert caught


def test_cases_name_only_rules_that_exist():
    named = {rule for case in CASES.values() for rule in case["rules"] if not rule.startswith("patches.")}

    assert named <= RULES.keys()
