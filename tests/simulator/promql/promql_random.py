"""Random queries over the dataset, from a seed.

Left out is what the real Prometheus itself answers by chance or by another library: ties of `topk`, `@` within
subqueries, trigonometry.
"""

RANGED = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "deriv",
    "changes",
    "resets",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "last_over_time",
    "present_over_time",
    "absent_over_time",
]
MAPPED = ["abs", "ceil", "floor", "round", "ln", "sqrt", "sgn", "absent"]
AGGREGATED = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"]
OPERATORS = ["+", "-", "*", "/", "%", ">", "<", ">=", "<=", "==", "!=", "and", "or", "unless"]
LABELS = ["namespace", "pod", "code", "le", "room", "queue", "job", "instance", "x", "version", "node"]
SELECTORS = [
    "http_requests_total",
    "latency_bucket",
    "falling_bucket",
    "temperature",
    "queue_length",
    "up",
    "memory_usage_bytes",
    "memory_limit_bytes",
    "pod_info",
    "edge",
    "single",
    "lookback",
    "twin_a",
    "twin_b",
    "fraction",
    "tiny",
    "edge_reset_total",
    '{__name__=~"twin_.|up"}',
    'http_requests_total{namespace="green"}',
    'http_requests_total{code=~"5.."}',
    'temperature{room="odd"}',
]
SCALARS = ["0", "1", "0.5", "0.9", "2", "-1", "3.7", "1e3", "time()", "NaN", "Inf", "scalar(fraction)", "scalar(up)"]


class RandomQueries:
    """Queries up to a depth; `dice` is a seeded `random.Random`, `without` aggregators that are left out."""

    def __init__(self, dice, without=()):
        self.dice = dice
        self.aggregators = [name for name in AGGREGATED if name not in without]

    def labels(self):
        return ", ".join(self.dice.sample(LABELS, self.dice.randrange(3)))

    def selector(self, suffix=""):
        moved = self.dice.choice(["", "", "", " offset 1m", " offset 7m", " offset -45s"])
        return self.dice.choice(SELECTORS) + suffix + moved

    def ranged(self, depth):
        if depth and self.dice.random() < 0.25:
            return f"({self.vector(depth - 1)})[{self.dice.choice(['2m', '5m'])}:{self.dice.choice(['', '15s', '37s'])}]"
        return self.selector(f"[{self.dice.choice(['15s', '1m', '5m', '14m', '1h'])}]")

    def vector(self, depth):
        if not depth:
            return self.selector()
        kind = self.dice.choice([self.over_range, self.aggregated, self.mapped, self.with_scalar, self.matched])
        return kind(depth)

    def over_range(self, depth):
        return f"{self.dice.choice(RANGED)}({self.ranged(depth)})"

    def aggregated(self, depth):
        grouping = self.dice.choice(["", f" by ({self.labels()}) ", f" without ({self.labels()}) "])
        return f"{self.dice.choice(self.aggregators)}{grouping}({self.vector(depth - 1)})"

    def mapped(self, depth):
        inner, scalar = self.vector(depth - 1), self.dice.choice(SCALARS)
        calls = [f"{self.dice.choice(MAPPED)}({inner})", f"clamp({inner}, {scalar}, 7)", f"quantile({scalar}, {inner})"]
        calls += [f"histogram_quantile({scalar}, {inner})", f'label_replace({inner}, "x", "$1", "pod", "(.).*")', f"-({inner})"]
        return self.dice.choice(calls)

    def with_scalar(self, depth):
        sides = [f"({self.vector(depth - 1)})", self.dice.choice(SCALARS)]
        self.dice.shuffle(sides)
        return f"{sides[0]} {self.dice.choice(OPERATORS[:-3])} {sides[1]}"

    def matched(self, depth):
        operator = self.dice.choice(OPERATORS)
        matching = self.dice.choice(["", f" on({self.labels()})", f" ignoring({self.labels()})"])
        if matching and operator not in OPERATORS[-3:]:
            matching += self.dice.choice(["", " group_left()", f" group_right({self.dice.choice(LABELS)})"])
        return f"({self.vector(depth - 1)}) {operator}{matching} ({self.vector(depth - 1)})"
