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


def _dry_run(text: str) -> bool:
    if text not in ("", "All"):
        cause = Cause("FieldValueNotSupported", f'Unsupported value: "{text}": supported values: "All"', "dryRun")
        raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
    return text == "All"


def options_of(request: Request, target: Target, user: str, warnings: list[str]) -> Options:
    """The options of a write, from the query and the headers."""
    query = request.query
    is_apply = request.headers.get("content-type", "").startswith("application/apply-patch")
    agent = "" if is_apply else request.headers.get("user-agent", "").partition("/")[0]
    validation = query.get("fieldValidation") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        cause = Cause("FieldValueNotSupported", f'Unsupported value: "{validation}"', "fieldValidation")
        raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
    return Options(
        user, query.get("fieldManager") or agent, _dry_run(query.get("dryRun", "")), validation, target.subresource,
        query.get("force") in ("1", "true"), warnings.append,
    )  # fmt: skip


def deletion(request: Request, options: Options) -> tuple[Deletion, Options]:
    """How to delete, from the body and the query; `dryRun` may stand in either."""
    body = decoded(request) if request.body else {}
    if not isinstance(body, dict):
        raise ApiError(400, "the options of a deletion are an object")
    wanted = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
    how = Deletion(
        wanted.get("uid") or "",
        wanted.get("resourceVersion") or "",
        body.get("propagationPolicy") or request.query.get("propagationPolicy", ""),
        None if grace is None else int(grace),
    )
    dry = body.get("dryRun") or []
    return how, replace(options, dry_run=True) if dry and _dry_run(dry[0]) else options
