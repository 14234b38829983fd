"""Sandboxes that end with their test."""

import pytest
from sandbox_bed import Sandbox


@pytest.fixture
def sandbox(tmp_path):
    """Starts sandboxes with the given arguments; each is ended after the test."""
    started = []

    def start(*arguments: str) -> Sandbox:
        started.append(Sandbox(tmp_path, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.end()
