"""CEL rules evaluate as the API server evaluates them."""

import pytest

from controller.simulator.apiserver.cel import CelError, CelSyntaxError, compile_rule

SELF = {
    "weight": 5,
    "grant": 10,
    "name": "web-1",
    "wait": "1h30m",
    "stages": [{"weight": 5, "name": "a"}, {"weight": 25}, {"weight": 100}],
    "labels": {"app": "x", "my-key": "y"},
    "namespace": "shop",
    "ratio": 0.5,
}
TRUE = [
    "self.weight <= self.grant",
    "self == oldSelf",
    "has(self.weight) && !has(self.missing)",
    "has(self.stages[0].name) && !has(self.stages[1].name)",
    "self.stages.all(s, s.weight > 0)",
    "self.stages.exists(s, s.weight == 100)",
    "self.stages.exists_one(s, has(s.name))",
    "self.stages.map(s, s.weight) == [5, 25, 100]",
    "self.stages.map(s, s.weight > 5, s.weight) == [25, 100]",
    "self.stages.filter(s, s.weight > 5).size() == 2",
    "self.stages.all(i, self.stages.exists(j, j.weight == i.weight))",
    "size(self.stages) == 3 && self.stages[size(self.stages) - 1].weight == 100",
    "self.labels.all(k, size(self.labels[k]) == 1)",
    "'app' in self.labels && !('zone' in self.labels) && 5 in [1, 5]",
    "self.name.startsWith('web') && self.name.endsWith('-1') && self.name.contains('b-')",
    "self.name.matches('^[a-z]+-[0-9]$') && !self.name.matches('^b')",
    "duration(self.wait) > duration('5m') && duration('90m') == duration(self.wait)",
    "timestamp('2026-01-01T00:00:00Z') < timestamp('2026-01-02T00:00:00+00:00')",
    "self.weight > 100 ? false : true",
    "-7 / 2 == -3 && -7 % 2 == -1 && 7 / 2 == 3",
    "self.missing == 1 || true",
    "!(false && self.missing == 1)",
    "self.__namespace__ == 'shop'",
    "self.labels['my-key'] == 'y'",
    "self.?missing.orValue(3) == 3 && self.?weight.orValue(3) == 5 && !self.?missing.hasValue()",
    "int('5') == self.weight && string(5) == '5' && double('0.5') == self.ratio",
    "true != false && !(true == 1)",
    "[1, 2, 3].isSorted() && [1, 2].sum() == 3 && ['b', 'a'].join('+') == 'b+a'",
    "'a,b'.split(',') == ['a', 'b'] && 'abc'.indexOf('c') == 2 && 'AbC'.lowerAscii() == 'abc'",
    "{'a': 1}['a'] == 1 && {'a': 1}.size() == 1",
    r"""'it\'s' == "it's" && r'\d' == '\\d' && size('é') == 1""",
    "self.weight * 2 + 1 - 1 == 10 // a comment",
    "0x10 == 16 && 1.5e1 == 15.0",
]


@pytest.mark.parametrize("rule", TRUE)
def test_the_rule_holds(rule):
    assert compile_rule(rule)({"self": SELF, "oldSelf": dict(SELF)}) is True


@pytest.mark.parametrize(
    "rule",
    [
        "self.missing > 1",
        "self.name > 1",
        "self.stages[9].weight == 1",
        "1 / 0 == 1",
        "self.missing == 1 && true",
        "duration('soon') > duration('1s')",
        "self.weight ? true : false",
        "size(5) == 1",
    ],
)
def test_an_expression_that_makes_no_sense_for_the_values_is_an_error(rule):
    with pytest.raises(CelError):
        compile_rule(rule)({"self": SELF})


@pytest.mark.parametrize("rule", ["self.a <", "self.a = 1", "nosuch(1)", "self.nosuch(1)", "has(self)", "(1", "'open", "1 2"])
def test_a_text_that_is_no_expression_is_refused_when_it_is_compiled(rule):
    with pytest.raises(CelSyntaxError):
        compile_rule(rule)
