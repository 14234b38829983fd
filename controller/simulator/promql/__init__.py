"""The simulator's Prometheus: a store of scraped samples and PromQL that is really evaluated over it.

Queries of a plan run here with their bugs, before they run against a production server. The reference
is Prometheus 2.42: its lookback, staleness, extrapolation, counter resets, bucket interpolation,
label matching and error texts; a list of queries in the tests is answered by both, without a
difference. `Engine(third=True)` follows Prometheus 3.16 about edges: ranges and lookback without their oldest millisecond, and how
far back a counter is stretched. What else 3 does otherwise is not followed: a dot in a pattern matches a line break, too; `atan2` drops
the metric's name; a deviation of one infinity or NaN is NaN; every text is a label's name; what comes first of equal elements; the
words of some errors; `holt_winters` has another name; warnings and infos beside an answer.

Known differences: errors name the first duplicates in the order of labels; `topk` of equal elements within a range
query or subquery may keep others (the real choice is random there); `@` on a selector inside a subquery that is itself
moved by `@` or `offset` is exact here and not in 2.42; dates of NaN and infinities are NaN; powers and
trigonometric functions may differ in the last digit, and logarithms of numbers below 2.3e-308 in all. Native histograms are not known.

Nothing here reads a clock, opens a socket or draws a random number: the caller says what time it is.
"""
