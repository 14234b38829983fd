"""Seeded draws that Python 3.11 lacks. Counts above a hundred or so are drawn from the normal approximation."""

import math
import random
from collections.abc import Sequence

NORMAL_FROM = 30.0
"""From this variance on the normal approximation is used: its error is below the noise of a scrape."""


def poisson(rng: random.Random, mean: float) -> int:
    """A Poisson draw."""
    if mean <= 0:
        return 0
    if mean > NORMAL_FROM:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, product, drawn = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        drawn += 1
    return drawn


def binomial(rng: random.Random, n: int, p: float) -> int:
    """How many of `n` succeed with probability `p` each."""
    if n <= 0 or p <= 0:
        return 0
    if p >= 1:
        return n
    variance = n * p * (1 - p)
    if variance > NORMAL_FROM:
        return min(n, max(0, round(rng.gauss(n * p, math.sqrt(variance)))))
    if p > 0.5:  # noqa: PLR2004 - the rarer side takes fewer steps
        return n - binomial(rng, n, 1 - p)
    log_miss, drawn, position = math.log1p(-p), 0, 0
    while True:
        # Geometric gaps between successes: as many draws as successes, not as many as trials.
        position += int(math.log(1 - rng.random()) / log_miss) + 1
        if position > n:
            return drawn
        drawn += 1


def split(rng: random.Random, n: int, probabilities: Sequence[float]) -> list[int]:
    """A multinomial draw: `n` spread over probabilities that sum to 1."""
    found, left, mass = [], n, sum(probabilities)
    for probability in probabilities:
        drawn = binomial(rng, left, min(1.0, probability / mass)) if mass > 0 else 0
        found.append(drawn)
        left, mass = left - drawn, mass - probability
    return found
