"""Binary operators: arithmetic, comparison, sets, and the matching of labels.

Which elements meet is worked out per slot when new series appear. Only duplicates are looked at per
evaluation, since Prometheus complains about those that are present at the same time.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from analysis.model import Labels
from controller.simulator.promql import labels as lb
from controller.simulator.promql.errors import ExecutionError
from controller.simulator.promql.gomath import NAN, divide, modulo, power
from controller.simulator.promql.nodes import ScalarNode, Values, VectorNode

Operation = Callable[[float, float], float]

ARITHMETIC: dict[str, Operation] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "%": modulo,
    "^": power,
    "atan2": math.atan2,
}
COMPARISON: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
SETS = frozenset({"and", "or", "unless"})


class Cardinality(StrEnum):
    """How many elements of each side may meet."""

    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"


@dataclass(frozen=True, slots=True)
class Matching:
    """`on`/`ignoring` and `group_left`/`group_right`.

    Attributes:
        on: whether `names` are what to match on; otherwise what to ignore.
        names: as written.
        cardinality: one-to-one unless grouped.
        include: labels that the "one" side gives to the result.
    """

    on: bool = False
    names: tuple[str, ...] = ()
    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    include: tuple[str, ...] = ()

    def signature(self, labels: Labels) -> Labels:
        """What two elements must have in common."""
        return lb.keep(labels, self.names) if self.on else lb.drop(labels, {*self.names, lb.NAME})

    def result(self, many: Labels, one: Labels, *, drops_name: bool) -> Labels:
        """The labels of the element that comes out of a pair."""
        labels = lb.drop_name(many) if drops_name else many
        if self.cardinality is Cardinality.ONE_TO_ONE:
            labels = lb.keep(labels, self.names) if self.on else lb.drop(labels, self.names)
        for name in self.include:
            labels = lb.put(labels, name, lb.get(one, name))
        return labels


@dataclass(frozen=True, slots=True)
class Operator:
    """What is done to two numbers.

    Attributes:
        symbol: as written.
        returns_bool: a comparison with `bool`: 1 or 0 instead of filtering.
    """

    symbol: str
    returns_bool: bool = False

    @property
    def drops_name(self) -> bool:
        """Whether the result loses the metric name."""
        return self.returns_bool or (self.symbol in ARITHMETIC and self.symbol != "atan2")

    def function(self, *, keep_right: bool = False) -> Callable[[float, float], float | None]:
        """The operation; a comparison that does not hold gives None, one that holds the left (or right) number."""
        if self.symbol in ARITHMETIC:
            return ARITHMETIC[self.symbol]
        compare = COMPARISON[self.symbol]
        if self.returns_bool:
            return lambda a, b: 1.0 if compare(a, b) else 0.0
        if keep_right:
            return lambda a, b: b if compare(a, b) else None
        return lambda a, b: a if compare(a, b) else None


class ScalarOperation(ScalarNode):
    """Two scalars."""

    def __init__(self, op: Operator, left: ScalarNode, right: ScalarNode) -> None:
        self._function, self._left, self._right = op.function(), left, right

    def resolve(self) -> None:
        """Scalars may stand on vectors."""
        self._left.resolve()
        self._right.resolve()

    def value(self, now: int) -> float:
        """The result; a comparison of scalars always has `bool`."""
        result = self._function(self._left.value(now), self._right.value(now))
        return NAN if result is None else result


class WithScalar(VectorNode):
    """A vector and a scalar, either way round."""

    def __init__(self, op: Operator, vector: VectorNode, scalar: ScalarNode, *, scalar_left: bool) -> None:
        super().__init__()
        self._op, self._vector, self._scalar, self._scalar_left = op, vector, scalar, scalar_left
        self._function = op.function(keep_right=scalar_left)

    def resolve(self) -> None:
        """The vector's slots."""
        self._vector.resolve()
        self._scalar.resolve()
        drops = self._op.drops_name
        self.set_labels([lb.drop_name(labels) if drops else labels for labels in self._vector.labels])

    def values(self, now: int) -> Values:
        """The operation on each element."""
        function, scalar = self._function, self._scalar.value(now)
        vector = self._vector.values(now)
        if self._scalar_left:
            out = [None if value is None else function(scalar, value) for value in vector]
        else:
            out = [None if value is None else function(value, scalar) for value in vector]
        return self.checked(out) if self.clashes else out


class Matched(VectorNode):
    """Two vectors, element by element where their signatures agree."""

    def __init__(self, op: Operator, matching: Matching, left: VectorNode, right: VectorNode) -> None:
        super().__init__()
        self._op, self._matching, self._left, self._right = op, matching, left, right
        self._function = op.function()
        self._swapped = matching.cardinality is Cardinality.ONE_TO_MANY
        self._many, self._one = (right, left) if self._swapped else (left, right)
        self._pairs: list[tuple[int, int]] = []
        self._one_duplicates: list[list[int]] = []
        self._many_duplicates = False
        self._signatures: list[Labels] = []

    def resolve(self) -> None:
        """One slot a pair that can meet."""
        self._left.resolve()
        self._right.resolve()
        signature = self._matching.signature
        ones: dict[Labels, list[int]] = {}
        for slot, labels in enumerate(self._one.labels):
            ones.setdefault(signature(labels), []).append(slot)
        self._signatures = [signature(labels) for labels in self._many.labels]
        self._pairs = [(many, one) for many, key in enumerate(self._signatures) for one in ones.get(key, ())]
        self._one_duplicates = [slots for slots in ones.values() if len(slots) > 1]
        self._many_duplicates = len(set(self._signatures)) < len(self._signatures)
        drops = self._op.drops_name
        self.set_labels(
            [self._matching.result(self._many.labels[many], self._one.labels[one], drops_name=drops) for many, one in self._pairs]
        )

    def values(self, now: int) -> Values:
        """The operation on each pair that is there.

        Raises:
            ExecutionError: a match group has several elements where one is allowed.
        """
        left, right = self._left.values(now), self._right.values(now)
        many, one = (right, left) if self._swapped else (left, right)
        if self._one_duplicates and any(value is not None for value in many):
            self._refuse_duplicates(one)
        function = self._function
        out: Values = []
        for many_slot, one_slot in self._pairs:
            a, b = many[many_slot], one[one_slot]
            if a is None or b is None:
                out.append(None)
            else:
                out.append(function(b, a) if self._swapped else function(a, b))
        if self._many_duplicates:
            self._refuse_many(out)
        return self.checked(out) if self.clashes else out

    def _refuse_duplicates(self, one: Values) -> None:
        """Raise where the "one" side has several elements of a match group."""
        for slots in self._one_duplicates:
            present = [slot for slot in slots if one[slot] is not None]
            if len(present) > 1:
                first, second = (self._one.labels[slot] for slot in present[:2])
                names = self._matching.names
                common = lb.keep(second, names) if self._matching.on else lb.drop(second, {*names, lb.NAME})
                side = "left" if self._swapped else "right"
                raise ExecutionError(
                    f"found duplicate series for the match group {lb.text(common)} on the {side} hand-side of the operation: "
                    f"[{lb.text(second)}, {lb.text(first)}];many-to-many matching not allowed: "
                    "matching labels must be unique on one side"
                )

    def _refuse_many(self, out: Values) -> None:
        """Raise where several elements met the same one, or would come out with the same labels."""
        grouped = self._matching.cardinality is not Cardinality.ONE_TO_ONE
        met: set[tuple[Labels, Labels]] = set()
        for value, (many, _), labels in zip(out, self._pairs, self.labels, strict=True):
            if value is None:
                continue
            key = (self._signatures[many], labels if grouped else ())
            if key in met:
                raise ExecutionError(
                    "multiple matches for labels: grouping labels must ensure unique matches"
                    if grouped
                    else "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                )
            met.add(key)


class SetOperation(VectorNode):
    """`and`, `or`, `unless`."""

    def __init__(self, symbol: str, matching: Matching, left: VectorNode, right: VectorNode) -> None:
        super().__init__()
        self._symbol, self._matching, self._left, self._right = symbol, matching, left, right
        self._partners: list[Sequence[int]] = []

    def resolve(self) -> None:
        """The left slots, and for `or` the right ones behind them."""
        self._left.resolve()
        self._right.resolve()
        left, right = self._left.labels, self._right.labels
        looking, looked_at = (right, left) if self._symbol == "or" else (left, right)
        slots: dict[Labels, list[int]] = {}
        for slot, labels in enumerate(looked_at):
            slots.setdefault(self._matching.signature(labels), []).append(slot)
        self._partners = [slots.get(self._matching.signature(labels), ()) for labels in looking]
        self.set_labels([*left, *right] if self._symbol == "or" else left)

    def values(self, now: int) -> Values:
        """Each left element with (or without) a partner; for `or` all left ones and the right ones without."""
        left, right = self._left.values(now), self._right.values(now)
        match self._symbol:
            case "and":
                out = [
                    value if any(right[slot] is not None for slot in partners) else None
                    for value, partners in zip(left, self._partners, strict=True)
                ]
            case "unless":
                out = [
                    None if any(right[slot] is not None for slot in partners) else value
                    for value, partners in zip(left, self._partners, strict=True)
                ]
            case _:
                out = left + [
                    None if any(left[slot] is not None for slot in partners) else value
                    for value, partners in zip(right, self._partners, strict=True)
                ]
        return self.checked(out) if self.clashes else out
