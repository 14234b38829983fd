"""What istiod's validating webhook would answer to a VirtualService or a DestinationRule.

The webhook is not always there (its failure policy may ignore it), so that the product checks the same by itself
before it writes, and the simulated cluster refuses what a real one with Istio refuses. The sentences are
istiod's own, as recorded (`tests/data/istiod-routes.json`).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from controller.ports import Obj

MAX_INT32 = 2_147_483_647
MAX_PORT = 65_535
_DNS_LABEL = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_DURATION = re.compile(r"([0-9.]+)(h|ms|us|µs|ns|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """Whether an object is allowed, why not, and what is allowed but unwise."""

    allowed: bool
    message: str = ""
    warnings: tuple[str, ...] = ()


class _InvalidError(Exception):
    """The first thing that is wrong."""


class _UndecodableError(Exception):
    """A number that istiod cannot read."""


def validate_like_istiod(obj: Obj) -> WebhookAnswer:
    """The webhook's answer; kinds other than VirtualService and DestinationRule are allowed unseen."""
    try:
        match obj.get("kind"):
            case "VirtualService":
                return WebhookAnswer(allowed=True, warnings=tuple(_virtual_service(obj.get("spec") or {})))
            case "DestinationRule":
                _destination_rule(obj.get("spec") or {})
    except _InvalidError as error:
        return WebhookAnswer(allowed=False, message=f"configuration is invalid: {error}")
    except _UndecodableError as error:
        return WebhookAnswer(allowed=False, message=f"error decoding configuration: {error}")
    return WebhookAnswer(allowed=True)


def _several(message: str) -> _InvalidError:
    """Some of istiod's checks print their errors as a list."""
    return _InvalidError(f"1 error occurred:\n\t* {message}\n\n")


def _integer(value: Any) -> int:
    """An integer as istiod decodes it: whole numbers written as strings pass, floats and large ones do not."""
    if isinstance(value, str) and value.lstrip("-").isdigit():
        value = int(value)
    if isinstance(value, float) or abs(value) > MAX_INT32:
        raise _UndecodableError(f"json: cannot unmarshal number {value} into Go value of type int32")
    return int(value)


def _domain(name: str) -> None:
    if not name:
        raise _InvalidError("empty domain name not allowed")
    for label in name.removeprefix("*.").removesuffix(".").split("."):
        if label != "*" and not _DNS_LABEL.fullmatch(label):
            raise _InvalidError(f'domain name "{name}" invalid (label "{label}" invalid)')


def _destination(destination: Obj) -> None:
    _domain(destination.get("host", ""))
    port = destination.get("port")
    if port is not None:
        number = port.get("number", 0)
        if not 1 <= number <= MAX_PORT:
            raise _InvalidError(f"port number {number} must be in the range 1..{MAX_PORT}")


def _weights(route: Iterable[Obj]) -> None:
    entries = list(route)
    weights = [_integer(entry.get("weight", 0)) for entry in entries]
    for entry, weight in zip(entries, weights, strict=True):
        _destination(entry.get("destination") or {})
        if weight < 0:
            raise _InvalidError(f"weight {weight} < 0")
    if len(entries) > 1 and sum(weights) == 0:
        raise _InvalidError("total destination weight = 0")


def _pattern(condition: Obj, where: str) -> None:
    regex = (condition or {}).get("regex")
    if regex is None:
        return
    try:
        re.compile(regex)
    except re.error as error:
        what = f"missing closing ]: `{regex[regex.index('[') :]}`" if "unterminated character set" in str(error) else f"{error}: `{regex}`"
        raise _InvalidError(
            f'"{where}": error parsing regexp: {what}; Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)'
        ) from error


def _match(match: Obj) -> None:
    for name, condition in {**(match.get("headers") or {}), **(match.get("withoutHeaders") or {})}.items():
        if not name:
            raise _InvalidError("header name cannot be empty")
        _pattern(condition, "headers")
    for where in ("uri", "method", "scheme", "authority"):
        _pattern(match.get(where) or {}, where)


def _percent(value: float) -> None:
    if value and not 0.0001 <= value <= 100:  # noqa: PLR2004 - the bounds are in the sentence
        raise _InvalidError(f"percentage {value:g} is neither 0.0, nor in range [0.0001, 100.0]")


def _mirrors(rule: Obj) -> None:
    if "mirror" in rule and "mirrors" in rule:
        raise _InvalidError("HTTP route cannot contain both mirror and mirrors")
    targets = [rule["mirror"]] if "mirror" in rule else [entry.get("destination") or {} for entry in rule.get("mirrors") or ()]
    for destination in targets:
        _destination(destination)
    value = (rule.get("mirrorPercentage") or {}).get("value", 0)
    if value < 0:
        raise _InvalidError(f"mirror_percentage must have a min value of 0 (it has {value:f})")
    if value > 100:  # noqa: PLR2004 - the bound is in the sentence
        raise _InvalidError(f"mirror_percentage must have a max value of 100 (it has {value:f})")


def _options(rule: Obj) -> None:
    for fault in (rule.get("fault") or {}).values():
        _percent((fault.get("percentage") or {}).get("value", 0))
    if (rule.get("retries") or {}).get("attempts", 0) < 0:
        raise _several("attempts cannot be negative")
    if rule.get("timeout") is not None:
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(rule["timeout"]))
        if 0 < seconds < _SECONDS["ms"]:
            raise _InvalidError("duration must be greater than 1ms")


def _http_rule(rule: Obj) -> None:
    for match in rule.get("match") or ():
        _match(match)
    if rule.get("delegate"):
        for key in ("route", "redirect", "directResponse"):
            if rule.get(key):
                raise _InvalidError(f"root HTTP route {rule.get('name', '')} must not specify {key}")
    elif not (rule.get("route") or rule.get("redirect") or rule.get("directResponse")):
        raise _InvalidError("HTTP route, redirect or direct_response is required")
    _mirrors(rule)
    _options(rule)
    _weights(rule.get("route") or ())


def _gateway(name: str) -> None:
    namespace, _, rest = name.rpartition("/") if name.count("/") < 2 else ("", "", name.partition("/")[2])  # noqa: PLR2004
    del namespace
    if not _DNS_LABEL.fullmatch(rest.replace(".", "a")):
        raise _InvalidError(f'invalid value for gateway name: "{rest}"')


def _hosts(hosts: list[str]) -> None:
    for host in hosts:
        _domain(host)
    seen: set[str] = set()
    for host in hosts:
        if host in seen:
            raise _InvalidError(f"duplicate hosts in virtual service: {host} & {host}")
        seen.add(host)


def _export_to(values: list[str]) -> None:
    if "*" in values and len(values) > 1:
        raise _InvalidError("cannot have both public (*) and non-public exportTo values for a resource")


def _virtual_service(spec: Obj) -> Iterator[str]:
    # Numbers are decoded before anything is judged.
    _each(spec, lambda entry: _integer(entry.get("weight", 0)))
    for gateway in spec.get("gateways") or ():
        _gateway(gateway)
    _hosts(list(spec.get("hosts") or ()))
    if not any(spec.get(protocol) for protocol in ("http", "tcp", "tls")):
        raise _InvalidError("http, tcp or tls must be provided in virtual service")
    for rule in spec.get("http") or ():
        _http_rule(rule)
    for rule in (*(spec.get("tcp") or ()), *(spec.get("tls") or ())):
        _weights(rule.get("route") or ())
    _export_to(list(spec.get("exportTo") or ()))
    rules = spec.get("http") or ()
    return iter(
        [
            f"virtualService rule {_rule_name(rule, index)} not used (only the last rule can have no matches)"
            for index, rule in enumerate(rules)
            if index and any(not earlier.get("match") for earlier in rules[:index])
        ]
    )


def _rule_name(rule: Obj, index: int) -> str:
    return f'"{rule["name"]}"' if rule.get("name") else f"#{index}"


def _each(spec: Obj, look: Callable[[Obj], object]) -> None:
    for protocol in ("http", "tcp", "tls"):
        for rule in spec.get(protocol) or ():
            for entry in rule.get("route") or ():
                look(entry)


def _destination_rule(spec: Obj) -> None:
    _domain(spec.get("host", ""))
    for subset in spec.get("subsets") or ():
        name = subset.get("name", "")
        if not name:
            raise _InvalidError("subset name cannot be empty")
        if not _DNS_LABEL.fullmatch(name):
            raise _InvalidError(f"subset name is invalid: {name}")
        for value in (subset.get("labels") or {}).values():
            if not _LABEL_VALUE.fullmatch(value):
                raise _several(f'invalid tag value: "{value}"')
    _export_to(list(spec.get("exportTo") or ()))


def refused_by_schema(obj: Obj) -> str | None:
    """What the API server itself refuses of the parts that the CRDs' schemas check (422); None where it stores the object.

    Covers what a controller could get wrong: types and sizes of weights, required hosts and subset names, durations.
    Negative weights, weights that sum to 0 or to 200, and unknown fields are stored.
    """
    spec, found = obj.get("spec") or {}, ""
    if obj.get("kind") == "DestinationRule":
        missing = (index for index, subset in enumerate(spec.get("subsets") or ()) if "name" not in subset)
        return next((f"spec.subsets[{index}].name: Required value" for index in missing), None)
    for index, rule in enumerate(spec.get("http") or ()):
        found = found or _schema_of_rule(rule, f"spec.http[{index}]")
    return found or None


def _schema_of_rule(rule: Obj, path: str) -> str:
    for index, entry in enumerate(rule.get("route") or ()):
        at, weight = f"{path}.route[{index}]", entry.get("weight", 0)
        if isinstance(weight, (str, bool)) or weight != int(weight):
            return f"{at}.weight in body must be of type integer"
        if abs(weight) > MAX_INT32:
            return f"Checked value must be of type integer with format int32 in {at}.weight"
        if "host" not in (entry.get("destination") or {}):
            return f"{at}.destination.host: Required value"
    if "mirror" in rule and "host" not in rule["mirror"]:
        return f"{path}.mirror.host: Required value"
    timeout = rule.get("timeout")
    if timeout is not None and sum(float(n) * _SECONDS[unit] for n, unit in _DURATION.findall(timeout)) < _SECONDS["ms"]:
        return f'{path}.timeout: Invalid value: "{timeout}": must be a valid duration greater than 1ms'
    return ""
