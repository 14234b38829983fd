"""Cases as conversations: requests are sent as they stand in the files, answers are made comparable.

What differs between any two servers by nature (uids, revisions, times, messages, the namespace) is replaced by symbols in the
order of appearance, so that "the same revision as before" stays visible.
"""

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml

from controller.api.validate_yaml import LOADER
from tests.bed.waiting import eventually

HERE = Path(__file__).parent
WIDGET = "conformance.penstock.dev/v1"
_PLACES = {
    "widgets": f"/apis/{WIDGET}",
    "configmaps": "/api/v1",
    "events": "/api/v1",
    "deployments": "/apis/apps/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "leases": "/apis/coordination.k8s.io/v1",
    "plains": f"/apis/{WIDGET}",
    "pods": "/api/v1",
    "secrets": "/api/v1",
    "services": "/api/v1",
}
_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
    "odd": "application/odd",
}
_TIMES = {"creationTimestamp", "deletionTimestamp", "lastTransitionTime", "time"}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "app",
                        "image": "web:1",
                        "env": [{"name": "A", "value": "1"}],
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    }
                ]
            },
        },
    },
}


@dataclass(frozen=True)
class Server:
    """Where a conversation is held: a client with the rights of an administrator.

    Attributes:
        patience_seconds: a step with `until` is repeated so long: controllers of the real server do what ours does at once.
    """

    client: httpx.Client
    patience_seconds: float = 0.0


@dataclass
class Symbols:
    """Symbols for what differs between servers, in the order of appearance."""

    namespace: str
    seen: dict[str, dict[str, str]] = field(default_factory=dict)

    def of(self, group: str, value: str) -> str:
        known = self.seen.setdefault(group, {})
        return known.setdefault(value, f"{group}#{len(known) + 1}")


@cache
def all_cases() -> dict[str, dict[str, Any]]:
    """Every case by `file: name`."""
    found = {}
    for path in sorted((HERE / "cases").glob("*.yaml")):
        for case in yaml.load(path.read_text(), Loader=LOADER):
            found[f"{path.stem}: {case['name']}"] = case
    return found


def definitions() -> list[dict[str, Any]]:
    """The custom resources that the cases speak of."""
    return list(yaml.safe_load_all((HERE / "widgets.yaml").read_text()))


_numbers = itertools.count()


def hold(server: Server, case: Mapping[str, Any], prefix: str = "conf") -> list[Any]:
    """Hold one conversation in a namespace of its own and return the comparable answers, one a step."""
    namespace = f"{prefix}-{next(_numbers)}"
    server.client.post("/api/v1/namespaces", json={"metadata": {"name": namespace}}).raise_for_status()
    variables: dict[str, Any] = {
        "NS": namespace, "WIDGET": WIDGET, "DEPLOYMENT": DEPLOYMENT, "BIG": "x" * (4 * 1024 * 1024), "MEDIUM": "x" * (1200 * 1024),
        "MEBIBYTE": "x" * (1024 * 1024), "NOTE": "x" * (256 * 1024 - 1), "NAME": "n" * 253, "LABEL": "x" * 63,
    }  # fmt: skip
    symbols = Symbols(namespace)
    return [_one(server, step, variables, symbols) for step in case["steps"]]


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {_filled(key, variables): _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, str) and "$" in value:
        if value[1:] in variables:
            return variables[value[1:]]
        return re.sub(r"\$([A-Za-z]+)", lambda match: str(variables.get(match[1], match[0])), value)
    return value


def _url(place: str, namespace: str) -> str:
    if place.startswith("/"):
        return place
    return f"{_PLACES[place.split('/', maxsplit=1)[0]]}/namespaces/{namespace}/{place}"


def _one(server: Server, step: Mapping[str, Any], variables: dict[str, Any], symbols: Symbols) -> Any:
    method, place = _filled(step["do"], variables).split(" ", 1)
    url, query = _url(place, symbols.namespace), _filled(step.get("query", {}), variables)
    if method == "WATCH":
        return _watch(server, url, query, step, symbols)
    headers = {"Content-Type": _TYPES.get(step.get("type", ""), "application/json")}
    if "token" in step:
        headers["Authorization"] = f"Bearer {step['token']}"
    body = step.get("raw", json.dumps(_whole(method, place, step, variables)) if "body" in step else None)
    answer = _answer(server, step, server.client.build_request(method, url, params=query, content=body, headers=headers))
    result: dict[str, Any] = {"code": answer.status_code}
    if step.get("text"):
        return {**result, "text": answer.text}
    decoded = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
    for name, path in step.get("save", {}).items():
        variables[name] = _at(decoded, path)
    for path, other in step.get("same", {}).items():
        result[f"{path} is {other}"] = _at(decoded, path) == other
    for path, pattern in step.get("matches", {}).items():
        result[f"{path} matches {pattern}"] = re.fullmatch(pattern, str(_at(decoded, path))) is not None
    if "warning" in answer.headers:
        result["warnings"] = len(answer.headers.get_list("warning"))
    if step.get("code_only"):
        return result
    return {**result, "body": _comparable(decoded, step, symbols)}


def _answer(server: Server, step: Mapping[str, Any], request: httpx.Request) -> httpx.Response:
    if "until" in step and server.patience_seconds:
        eventually(lambda: server.client.send(request).status_code == step["until"], server.patience_seconds, step["do"])
    return server.client.send(request)


def _whole(method: str, place: str, step: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """The body; a whole custom resource is given its kind, which the server demands of them, unless the step is `bare`."""
    body = _filled(step["body"], variables)
    kind = {"widgets": "Widget", "plains": "Plain"}.get(place.split("/", maxsplit=1)[0])
    if method in ("POST", "PUT") and kind and not step.get("bare"):
        return {"apiVersion": WIDGET, "kind": kind, **body}
    return body


def _watch(server: Server, url: str, query: Mapping[str, str], step: Mapping[str, Any], symbols: Symbols) -> Any:
    wanted, events = step.get("events"), []
    with server.client.stream("GET", url, params={"timeoutSeconds": "5", **query, "watch": "1"}) as answer:
        if answer.status_code != 200:
            answer.read()
            return {"code": answer.status_code, "body": _comparable(answer.json(), step, symbols)}
        for line in answer.iter_lines():
            event = json.loads(line)
            events.append({"type": event["type"], "object": _comparable(event["object"], step, symbols)})
            if len(events) == wanted:
                break
    return {"code": 200, "events": events}


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _comparable(body: Any, step: Mapping[str, Any], symbols: Symbols) -> Any:
    if body.get("kind") == "Status":
        return _symbolic(_status(body), symbols)
    if "names_of" in step:
        return [item["metadata"]["name"] for item in body[step["names_of"]]]
    if "names" in step:
        return [item["name"] for item in _at(body, step["names"])]
    if "owners" in step:
        return _owners(body, step["owners"])
    if "see" in step:
        return _symbolic({path: _at(body, path) for path in step["see"]}, symbols)
    if str(body.get("kind", "")).endswith("List") and "items" in body:
        plain = {key: value for key, value in body["metadata"].items() if key not in ("resourceVersion", "continue")}
        return _symbolic({"kind": body["kind"], "items": [i["metadata"]["name"] for i in body["items"]], "metadata": plain}, symbols)
    if "metadata" in body and set(body["metadata"]) <= {"resourceVersion", "annotations"}:
        return _symbolic({"kind": body["kind"], "annotations": body["metadata"].get("annotations")}, symbols)
    return _symbolic(body, symbols)


def _owners(body: Mapping[str, Any], asked: Any) -> list[Any]:
    """Who owns what, in an order of ours; `asked` names the managers, or is true for all of them."""
    entries = [{key: value for key, value in entry.items() if key != "time"} for entry in body["metadata"].get("managedFields", ())]
    return sorted(
        (entry for entry in entries if asked is True or entry["manager"] in asked),
        key=lambda entry: [entry["manager"], entry["operation"], entry.get("subresource", "")],
    )


def _status(body: Mapping[str, Any]) -> dict[str, Any]:
    details = {key: value for key, value in (body.get("details") or {}).items() if key != "causes"}
    # Some faults are found, and told, by two layers of the real server: each counts once.
    told = {(cause.get("reason", ""), cause.get("field", "")) for cause in (body.get("details") or {}).get("causes") or []}
    causes = [{"reason": reason, "field": place} for reason, place in sorted(told)]
    kept = {key: body[key] for key in ("status", "reason", "code") if key in body}
    return {**kept, **({"details": details} if details else {}), **({"causes": causes} if causes else {})}


def _symbolic(value: Any, symbols: Symbols, key: str = "") -> Any:
    if isinstance(value, dict):
        return {
            name: _symbolic(item, symbols, name.split(".")[-1])
            for name, item in sorted(value.items())
            if name not in ("managedFields", "selfLink")
        }
    if isinstance(value, list):
        return [_symbolic(item, symbols) for item in value]
    if isinstance(value, str):
        if key in ("uid", "resourceVersion"):
            return symbols.of(key, value)
        if key in _TIMES:
            return "time"
        return value.replace(symbols.namespace, "NAMESPACE")
    return value


def difference(expected: Any, found: Any, where: str = "") -> list[str]:
    """Every place where two answers differ, one sentence each."""
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = []
        for key in sorted({*expected, *found}):
            path = f"{where}.{key}" if where else key
            if key not in found:
                lines.append(f"{path}: missing, the real server has {expected[key]!r}")
            elif key not in expected:
                lines.append(f"{path}: {found[key]!r}, the real server has none")
            else:
                lines += difference(expected[key], found[key], path)
        return lines
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [line for at, pair in enumerate(zip(expected, found, strict=True)) for line in difference(*pair, f"{where}[{at}]")]
    return [] if expected == found and type(expected) is type(found) else [f"{where}: {found!r}, the real server has {expected!r}"]
