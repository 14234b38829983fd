"""The simulator's Prometheus: a store of scraped samples and PromQL that is really evaluated over it.

Queries of a plan run here with their bugs, before they run against a production server. The reference
is Prometheus 2.42: its lookback, staleness, extrapolation, counter resets, bucket interpolation,
label matching and error texts; a list of queries in the tests is answered by both, without a
difference. `Engine(range_left_open=True)` follows Prometheus 3 where the two differ about edges.

Known differences: errors name the first duplicates in the order of labels; `topk` of equal elements within a range
query or subquery may keep others (the real choice is random there); `@` on a selector inside a subquery that is itself
moved by `@` or `offset` is exact here and not in 2.42; dates of NaN and infinities are NaN; powers and
trigonometric functions may differ in the last digit, and logarithms of numbers below 2.3e-308 in all. Native histograms are not known.

Nothing here reads a clock, opens a socket or draws a random number: the caller says what time it is.
"""
