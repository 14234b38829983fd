"""What a request asks for besides its path: body, options of a write, options of a deletion."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import yaml

from controller.api.validate_yaml import LOADER
from controller.simulator.apiserver.errors import ApiError, Cause, invalid
from controller.simulator.apiserver.options import Deletion, Options
from controller.simulator.apiserver.paths import Target
from controller.simulator.apiserver.wire import Request

NOT_SERVED = "is not in the sandbox"


def number(query: Mapping[str, str], name: str) -> int:
    """A query parameter that is a number; 0 where it is missing, 400 where it is none."""
    text = query.get(name, "")
    if not text:
        return 0
    if not text.isdigit():
        raise ApiError(400, f'{name}: Invalid value: "{text}": must be a number')
    return int(text)


def decoded(request: Request) -> Any:
    """The body as JSON or YAML; 400 where it cannot be read, 415 for protobuf."""
    content_type = request.headers.get("content-type", "")
    if "protobuf" in content_type or "cbor" in content_type:
        raise ApiError(415, f"the body of the request was in an unknown format - {content_type} {NOT_SERVED}")
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as wrong:
        if "yaml" not in content_type:
            raise ApiError(400, f"the object provided is unrecognized: {wrong}") from wrong
    try:
        return yaml.load(request.body, Loader=LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError as wrong:
        raise ApiError(400, f"error decoding YAML: {wrong}") from wrong


_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}


def _one_of(request: Request, name: str, text: str, *known: str) -> str:
    """An option that is one of some words; 422 for another."""
    if text and text not in known:
        cause = Cause("FieldValueNotSupported", f'Unsupported value: "{text}": supported values: {", ".join(known)}', name)
        raise invalid(_OPTIONS[request.method], "meta.k8s.io", "", [cause])
    return text


def options_of(request: Request, target: Target, user: str, warnings: list[str]) -> Options:
    """The options of a write, from the query and the headers."""
    query = request.query
    is_apply = request.headers.get("content-type", "").startswith("application/apply-patch")
    agent = "" if is_apply else request.headers.get("user-agent", "").partition("/")[0]
    validation = _one_of(request, "fieldValidation", query.get("fieldValidation", ""), "Ignore", "Warn", "Strict") or "Warn"
    dry_run = bool(_one_of(request, "dryRun", query.get("dryRun", ""), "All"))
    if "force" in query and request.method == "PATCH" and not is_apply:
        cause = Cause("FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force")
        raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
    force = query.get("force") in ("1", "true")
    return Options(user, query.get("fieldManager") or agent, dry_run, validation, target.subresource, force, warnings.append)


def deletion(request: Request, options: Options) -> tuple[Deletion, Options]:
    """How to delete, from the body and the query; `dryRun` may stand in either."""
    body = decoded(request) if request.body else {}
    if not isinstance(body, dict):
        raise ApiError(400, "the options of a deletion are an object")
    wanted = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds")
    if grace is None and "gracePeriodSeconds" in request.query:
        grace = number(request.query, "gracePeriodSeconds")
    propagation = body.get("propagationPolicy") or request.query.get("propagationPolicy", "")
    how = Deletion(
        wanted.get("uid") or "",
        wanted.get("resourceVersion") or "",
        _one_of(request, "propagationPolicy", propagation, "Foreground", "Background", "Orphan"),
        grace,
    )
    dry = [_one_of(request, "dryRun", word, "All") for word in body.get("dryRun") or ()]
    return how, replace(options, dry_run=True) if dry else options
