"""A scenario told faster: its times divided, its users' requests multiplied.

A stage that is ten times as short sees the same number of requests, so that whatever counts them answers the
same. What the applications measure by themselves (CPU seconds a second, logins a second) keeps its rate.
"""

from collections.abc import Sequence
from typing import TypeVar

from controller.simulator.scenario import AppMetricModel, Fault, LatencyStep, Pods, Scenario, Span, Step, Users, Version

S = TypeVar("S", bound=Step)


def hastened(scenario: Scenario, divisor: float) -> Scenario:
    """The scenario `divisor` times as fast; latencies and rates of failure stay as they are."""
    if divisor == 1:
        return scenario
    return scenario.model_copy(
        update={
            "users": [_users(users, divisor) for users in scenario.users],
            "versions": [_version(version, divisor) for version in scenario.versions],
            "pods": [_pods(pods, divisor) for pods in scenario.pods],
            "metrics": [_metric(metric, divisor) for metric in scenario.metrics],
            "faults": [_fault(fault, divisor) for fault in scenario.faults],
            "people": [act.model_copy(update={"at": act.at / divisor}) for act in scenario.people],
            "scrape": scenario.scrape / divisor,
            "limit": scenario.limit / divisor,
        }
    )


def _steps(points: Sequence[S], divisor: float, times: float = 1.0) -> list[S]:
    return [point.model_copy(update={"after": point.after / divisor, "value": point.value * times}) for point in points]


def _users(users: Users, divisor: float) -> Users:
    return users.model_copy(update={"rps": _steps(users.rps, divisor, divisor), "delay": users.delay / divisor})


def _version(version: Version, divisor: float) -> Version:
    latency = [LatencyStep(after=point.after / divisor, value=point.value) for point in version.latency]
    return version.model_copy(update={"errors": _steps(version.errors, divisor), "latency": latency})


def _pods(pods: Pods, divisor: float) -> Pods:
    ready = None if pods.ready_after is None else pods.ready_after / divisor
    crash = None if pods.crash_after is None else pods.crash_after / divisor
    unready = [Span(after=span.after / divisor, until=span.until / divisor) for span in pods.unready]
    return pods.model_copy(update={"ready_after": ready, "crash_after": crash, "unready": unready})


def _metric(metric: AppMetricModel, divisor: float) -> AppMetricModel:
    return metric.model_copy(update={"value": _steps(metric.value, divisor)})


def _fault(fault: Fault, divisor: float) -> Fault:
    every = None if fault.every is None else fault.every / divisor
    return fault.model_copy(update={"at": fault.at / divisor, "lasts": fault.lasts / divisor, "every": every})
