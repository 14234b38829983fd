"""The thin loop around the rules of the Lease: it reads, writes and waits, and tells when leadership comes and goes.

It never dies because the API server cannot be reached: a leader stops acting when its time is over, and
becomes a candidate again.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Lock

from controller.api.base import EPOCH_LEAP
from controller.ports import LEASE, Clock, ConflictError, Kube, KubeError, NotFoundError, Obj
from controller.runtime.contracts import NotLeading, Steady
from controller.runtime.lease import (
    Action,
    LeaseSettings,
    LeaseState,
    LeaseView,
    body_of,
    lease_step,
    next_epoch,
    resignation,
    vacancy,
    view_of,
    won,
)

log = logging.getLogger(__name__)


class Leader:
    """One candidate. `turn`, `run` and `resign` belong to one thread; the rest to anybody.

    Args:
        kube: a client of short patience.
        clock, steady: wall time for the Lease's fields; steady time for everything that is decided.
        epochs: the highest epoch on any Release and managed object; with True it must ask the API server itself.
            May raise `KubeError`: then nothing is taken.
        on_gain: told epoch and the seconds in which nobody led; on_loss: told that it is over.
    """

    def __init__(
        self,
        kube: Kube,
        settings: LeaseSettings,
        clock: Clock,
        steady: Steady,
        *,
        epochs: Callable[[bool], int],
        on_gain: Callable[[int, float], None],
        on_loss: Callable[[], None],
    ) -> None:
        self._kube, self._settings, self._clock, self._steady = kube, settings, clock, steady
        self._epochs, self._on_gain, self._on_loss = epochs, on_gain, on_loss
        self._state = LeaseState()
        self._lock = Lock()
        self._floor = 0
        self._deposed = Event()
        self.trouble = ""

    @property
    def epoch(self) -> int:
        """The epoch of our leadership; 0 while we may not act."""
        state = self._state
        return state.epoch if state.leads(self._steady()) else 0

    def fence(self, epoch: int) -> Callable[[], None]:
        """A check for before each write: it raises `NotLeading` once the leadership of that epoch is over."""

        def check() -> None:
            state = self._state
            if state.epoch != epoch or not state.leads(self._steady()):
                raise NotLeading(f"The leadership of epoch {epoch} is over; another controller may be acting.")

        return check

    def deposed(self, epoch: int) -> None:
        """An object carries this higher epoch: step down and come back, if at all, with one that is higher still."""
        with self._lock:
            self._floor = max(self._floor, epoch)
        self._deposed.set()

    def run(self, stop: Event) -> None:
        """Until stopped; then the Lease is given back."""
        while not stop.is_set():
            stop.wait(self.turn())
        self.resign()

    def turn(self) -> float:
        """One look and at most one write; the seconds until the next turn."""
        started = self._steady()
        if self._deposed.is_set():
            self._deposed.clear()
            self._give_up("An object carries a higher epoch than ours.")
        try:
            again = self._turn(started)
            self.trouble = ""
        except KubeError as error:
            self.trouble = str(error)
            log.warning("The lease could not be looked at or written: %s", error)
            again = False
            state, action = lease_step(self._state, None, self._steady(), self._settings)
            self._enter(state, action)
        return 0.0 if again else max(0.0, self._settings.renew - (self._steady() - started))

    def resign(self) -> None:
        """Give the Lease back, if we hold it; a failure only costs the next leader its wait."""
        state = self._state
        if not state.epoch:
            return
        self._give_up("This controller stops.")
        try:
            self._patch(resignation(state.seen[2], self._clock.now()))
        except KubeError as error:
            log.warning("The lease could not be given back: %s", error)

    def _turn(self, started: float) -> bool:
        """Renew by what we know where we lead, else look; whether to take another turn at once."""
        if self._state.leads(started):
            try:
                self._write(self._known_view(), Action.RENEW, started, self._state.epoch)
            except (ConflictError, NotFoundError):
                log.info("The lease is not as we left it; it is read again.")
            else:
                return False
        view = self._read()
        state, action = lease_step(self._state, view, started, self._settings)
        self._enter(state, action)
        if action in {Action.TAKE, Action.CREATE}:
            self._acquire(view, action)
        elif action is Action.RENEW:
            self._write(view, Action.RENEW, started, self._state.epoch)
        return action is Action.STEP_DOWN

    def _acquire(self, view: LeaseView, action: Action) -> None:
        """Take the Lease with an epoch above all; a conflict means that somebody was quicker."""
        with self._lock:
            floor = self._floor
        found = self._epochs(action is Action.CREATE or not view.epoch)
        if view.epoch - max(found, floor) > EPOCH_LEAP:
            found = self._epochs(True)  # somebody wrote the one of the Lease by hand
        epoch = next_epoch(view.epoch, found, floor)
        started = self._steady()
        try:
            self._write(view, action, started, epoch)
        except ConflictError:
            return
        with self._lock:
            self._floor = max(self._floor, epoch)
        log.info("This controller leads now.", extra={"epoch": epoch})
        self._on_gain(epoch, vacancy(view, self._clock.now()))

    def _write(self, view: LeaseView, action: Action, started: float, epoch: int) -> None:
        body = body_of(self._settings, epoch, view, self._clock.now(), action=action)
        stored = self._kube.create(LEASE, self._settings.namespace, body) if action is Action.CREATE else self._patch(body)
        self._state = won(epoch, stored, started, self._settings)

    def _patch(self, body: dict[str, object]) -> Obj:
        return self._kube.patch(LEASE, self._settings.namespace, self._settings.name, body)

    def _read(self) -> LeaseView:
        try:
            return view_of(self._kube.get(LEASE, self._settings.namespace, self._settings.name))
        except NotFoundError:
            return LeaseView()

    def _known_view(self) -> LeaseView:
        holder, renewed, version = self._state.seen
        return LeaseView(True, holder, self._state.epoch, version, 0, renewed, self._settings.duration)

    def _enter(self, state: LeaseState, action: Action) -> None:
        self._state = state
        if action is Action.STEP_DOWN:
            self._lost("It was not renewed in time, or somebody else holds it.")

    def _give_up(self, why: str) -> None:
        if self._state.epoch:
            self._state = replace(self._state, epoch=0, valid_until=float("-inf"))
            self._lost(why)

    def _lost(self, why: str) -> None:
        log.warning("This controller does not lead any more. %s", why)
        self._on_loss()
