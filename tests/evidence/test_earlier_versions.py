"""What an earlier version recorded is read and judged as it was; the bundles here were written by versions before this one."""

import re
from pathlib import Path

import pytest

from controller.evidence.bundle import read
from controller.evidence.replay import replay
from controller.evidence.worlds import first_difference

EARLIER = sorted((Path(__file__).parent / "earlier").glob("*.penstock"))

TOLD_OTHERWISE = frozenset({"imagesReady", "conditions", "records", "commands", "warnings", "checkpointAt"})
"""What versions say in other words, or note down besides: which images green is held to, how a query is put, when a status is due."""

COUNTED_BESIDES = re.compile(r"sequential\[\d+\]\.state\.shown")
"""What a state of a sequential check keeps besides since a pass asks for scrapes (`analysis.passing`)."""


class TestBundlesOfEarlierVersions:
    @pytest.mark.parametrize("path", EARLIER, ids=[path.stem for path in EARLIER])
    def test_every_look_is_read_and_comes_to_the_same_phase_weight_and_evidence(self, path):
        with path.open("rb") as file:
            steps = list(replay(read(file, path.name).looks))

        assert len(steps) > 30
        assert all(step.decision is not None for step in steps)
        paths = {step.difference.path.removeprefix("status.") for step in steps if step.difference}
        parted = {path.partition(".")[0].partition("[")[0] for path in paths if not COUNTED_BESIDES.fullmatch(path)}
        assert parted <= TOLD_OTHERWISE


class TestFirstDifference:
    def test_a_field_that_an_earlier_version_did_not_have_and_that_says_nothing_is_none(self):
        assert first_difference({"hold": {"reason": "a"}}, {"hold": {"reason": "a", "check": "", "armed": False, "names": []}}) is None

    def test_a_zero_says_something(self):
        assert first_difference({"stage": {}}, {"stage": {"index": 0}}) == ("stage.index", None, 0)

    def test_a_field_that_both_name_differs_even_where_one_side_is_blank(self):
        assert first_difference({"check": "errors"}, {"check": ""}) == ("check", "errors", "")

    def test_texts_of_json_are_compared_as_what_they_say(self):
        assert first_difference(['{"a":1}'], ['{"a":1,"b":null}']) is None
        assert first_difference(['{"a":{"b":1}}'], ['{"a":{"b":2}}']) == ("[0].a.b", 1, 2)

    def test_a_query_that_begins_with_a_brace_is_no_json(self):
        before, after = '{__name__=~"a|b"}', '{__name__=~"a|c"}'

        assert first_difference(before, after, "query", near=1e-9) == ("query", before, after)
