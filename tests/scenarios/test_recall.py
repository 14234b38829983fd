"""What was made of objects is made again only where one of them has another version, whoever reads them."""

import pytest

from controller.ports import CONFIG_MAP, NotFoundError
from controller.recall import Recall
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.store import ApiServer


@pytest.fixture
def kube():
    made = InMemoryKube(ApiServer(lambda: 1_700_000_000.0))
    made.create(CONFIG_MAP, "default", {"metadata": {"name": "a"}, "data": {"word": "one"}})
    return made


def word_and_names(kube):
    """A view of one object and of a list, as a new object each time."""
    try:
        word = kube.get(CONFIG_MAP, "default", "a")["data"]["word"]
    except NotFoundError:
        word = "nothing"
    return [word, *(item["metadata"]["name"] for item in kube.list(CONFIG_MAP, "default").items)]


def test_a_view_of_the_same_versions_is_the_same_one_also_for_another_client(kube):
    recall = Recall()
    before = recall.view("r", kube, "asked", None, word_and_names)

    assert before == ["one", "a"]
    assert recall.view("r", InMemoryKube(kube.server), "asked", None, word_and_names) is before


def test_a_view_is_made_again_after_a_change_a_deletion_and_for_another_question(kube):
    recall = Recall()
    first = recall.view("r", kube, "asked", None, word_and_names)
    asked_otherwise = recall.view("r", kube, "asked otherwise", None, word_and_names)
    kube.patch(CONFIG_MAP, "default", "a", {"data": {"word": "two"}})
    changed = recall.view("r", kube, "asked otherwise", None, word_and_names)
    kube.delete(CONFIG_MAP, "default", "a", uid=kube.get(CONFIG_MAP, "default", "a")["metadata"]["uid"])
    deleted = recall.view("r", kube, "asked otherwise", None, word_and_names)

    assert asked_otherwise is not first
    assert (changed, deleted) == (["two", "a"], ["nothing"])
    assert list(recall.known) == ["r"]
