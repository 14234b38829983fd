"""Selectors mean what they mean to a real server."""

import pytest

from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.selectors import field_test, label_test

OBJECT = {
    "metadata": {"name": "one", "namespace": "shop", "labels": {"app": "web", "penstock.dev/slot": "green"}},
    "involvedObject": {"uid": "u"},
}


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        ("app=web", True),
        ("app==web", True),
        ("app!=web", False),
        ("zone!=a", True),
        ("app in (web, api)", True),
        ("app notin (web)", False),
        ("zone notin (a)", True),
        ("app", True),
        ("!app", False),
        ("penstock.dev/slot=green,app=web", True),
        ("penstock.dev/slot=blue,app=web", False),
        ("app in (web,api),!zone", True),
    ],
)
def test_a_label_selector(selector, meant):
    assert label_test(selector)(OBJECT) is meant


def test_an_empty_selector_means_everything():
    assert label_test("") is None
    assert field_test("", "pods") is None


@pytest.mark.parametrize(
    ("selector", "meant"), [("metadata.name=one", True), ("metadata.name!=one", False), ("metadata.name=one,involvedObject.uid=u", True)]
)
def test_a_field_selector_of_events(selector, meant):
    assert field_test(selector, "events")(OBJECT) is meant


@pytest.mark.parametrize("selector", ["app in web", "=x", "a=b c"])
def test_a_label_selector_that_cannot_be_read_is_refused(selector):
    with pytest.raises(ApiError, match="unable to parse"):
        label_test(selector)


def test_a_field_without_an_index_is_refused():
    with pytest.raises(ApiError, match="field label not supported"):
        field_test("spec.size=1", "widgets")
