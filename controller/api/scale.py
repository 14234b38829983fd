"""Dividing every duration of a plan, for the demo and the test bed. Production divides by 1."""

from functools import cache
from typing import Any

from pydantic import BaseModel, BeforeValidator

from controller.api.base import duration_of
from controller.api.plan import PlanSpec

SHORTEST_TIMEOUT_SECONDS = 1.0


@cache
def _is_duration(model: type[BaseModel], name: str) -> bool:
    field = model.model_fields[name]
    return any(isinstance(m, BeforeValidator) and m.func is duration_of for m in field.metadata) or "duration_of" in repr(field.annotation)


def _divide(value: Any, divisor: float) -> Any:
    if isinstance(value, BaseModel):
        model = type(value)
        return value.model_copy(
            update={
                name: _shorter(name, getattr(value, name), divisor)
                if _is_duration(model, name) and isinstance(getattr(value, name), float)
                else _divide(getattr(value, name), divisor)
                for name in model.model_fields
            }
        )
    if isinstance(value, list):
        return [_divide(item, divisor) for item in value]
    return value


def _shorter(name: str, seconds: float, divisor: float) -> float:
    """The time limit of a request is not a time that is waited for: the network and a busy machine do not become quicker."""
    return max(seconds / divisor, min(seconds, SHORTEST_TIMEOUT_SECONDS)) if name == "timeout" else seconds / divisor


def divided(plan: PlanSpec, divisor: float) -> PlanSpec:
    """The plan with every duration divided; the plan itself where the divisor is 1."""
    if divisor == 1:
        return plan
    result: PlanSpec = _divide(plan, divisor)
    return result
