"""Both servers as fixtures: ours behind its HTTP front, and the real one of the bed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from controller.simulator.apiserver.http import HttpFront
from controller.simulator.apiserver.storage import Subscription
from controller.simulator.apiserver.store import ApiServer
from tests.conformance.conversation import Server, definitions
from tests.conformance.record import prepared
from tests.real.conftest import bed  # noqa: F401 - a fixture

HURRY = 50.0
"""By what the seconds of a watch are divided: what it is to show is in the history already, so that only silence lasts."""


class HurriedServer(ApiServer):
    """Our server with a clock that runs fast for those who wait."""

    @staticmethod
    def real_clock() -> float:
        """Seconds as they are told to clients."""
        return time.monotonic() * HURRY

    def wait(self, subscription: Subscription, deadline: float) -> bool:
        """Wait in seconds of the machine."""
        return super().wait(subscription, deadline / HURRY)


@contextmanager
def our_server() -> Iterator[Server]:
    """A fresh server of ours, with the cases' custom resources."""
    store = HurriedServer(time.time)
    store.load(definitions())
    with HttpFront(store, tokens={"token": "admin"}, patience_seconds=0.05) as front:
        # Plain HTTP: no certificates need be read for it.
        client = httpx.Client(base_url=front.url, headers={"Authorization": "Bearer token"}, timeout=30, verify=False)
        with client:
            yield Server(client)


@pytest.fixture(scope="session")
def ours() -> Iterator[Server]:
    """Our server, shared by all cases of a process: each case has a namespace of its own."""
    with our_server() as server:
        yield server


@pytest.fixture(scope="session")
def real(bed) -> Server:  # noqa: F811 - the fixture above
    """The real server, with the cases' custom resources."""
    return prepared(bed)
