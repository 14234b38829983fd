"""Would Istio's AuthorizationPolicies deny green what they allow blue? Warnings only; reads only.

Semantics: https://istio.io/latest/docs/reference/config/security/authorization-policy/ : DENY is looked at first;
where any ALLOW policy selects a workload, what none of them matches is denied. Policies of the mesh's root
namespace apply to both colours alike and are not read.
"""

from collections.abc import Iterable, Mapping

from controller.adapters import marks
from controller.adapters.workloads.places import dig, labels_at, text
from controller.core import reasons
from controller.core.world import Problem
from controller.ports import AUTHORIZATION_POLICY, Kube, NotFoundError, Obj, RefusedError


def authorization_warnings(kube: Kube, blue: tuple[str, Mapping[str, str]], green: tuple[str, Mapping[str, str]]) -> list[Problem]:
    """What the policies would do to green and not to blue.

    Args:
        kube: where to read; without the kind or the right to read it there is nothing, or a warning of that.
        blue: namespace and labels of its pods.
        green: the same of green.
    """
    try:
        at_blue = _applying(kube, *blue)
        at_green = _applying(kube, *green) if green[0] != blue[0] else _selecting(kube.list(AUTHORIZATION_POLICY, green[0]).items, green[1])
    except NotFoundError:
        return []
    except RefusedError:
        namespaces = " and ".join(sorted({blue[0], green[0]}))
        detail = f"read AuthorizationPolicies in {namespaces}, so it could not be checked whether one denies green."
        return [Problem(reasons.RIGHTS_MISSING, detail)]
    return _denies(at_blue, at_green) + _allows(at_blue, at_green)


def _applying(kube: Kube, namespace: str, labels: Mapping[str, str]) -> list[Obj]:
    return _selecting(kube.list(AUTHORIZATION_POLICY, namespace).items, labels)


def _selecting(policies: Iterable[Obj], labels: Mapping[str, str]) -> list[Obj]:
    """Policies that apply to pods of these labels; one without a selector applies to all of its namespace."""
    wanted = ((policy, labels_at(policy, "spec", "selector", "matchLabels")) for policy in policies)
    return [policy for policy, selector in wanted if all(labels.get(key) == value for key, value in selector.items())]


def _action(policy: Obj) -> str:
    return text(policy, "spec", "action") or "ALLOW"


def _same(policy: Obj, others: Iterable[Obj]) -> bool:
    """Whether one of the others says the same of its workload: the same action and rules, whatever its selector."""
    return any(_action(policy) == _action(one) and dig(policy, "spec", "rules") == dig(one, "spec", "rules") for one in others)


def _name(policy: Obj) -> str:
    return f"{text(policy, 'metadata', 'namespace')}/{text(policy, 'metadata', 'name')}"


def _warning(detail: str) -> Problem:
    return Problem(reasons.AUTHORIZATION_DENIES, detail)


def _denies(at_blue: list[Obj], at_green: list[Obj]) -> list[Problem]:
    return [
        _warning(f"AuthorizationPolicy {_name(policy)} ({_action(policy)}) applies to green and not to blue.")
        for policy in at_green
        if _action(policy) in {"DENY", "CUSTOM"} and not _same(policy, at_blue)
    ]


def _allows(at_blue: list[Obj], at_green: list[Obj]) -> list[Problem]:
    of_blue = [policy for policy in at_blue if _action(policy) == "ALLOW"]
    of_green = [policy for policy in at_green if _action(policy) == "ALLOW"]
    lost = [_name(policy) for policy in of_blue if not _same(policy, of_green)]
    if not of_green:
        return [_warning(f"AuthorizationPolicy {name} guards blue and does not select green, which is open to everybody.") for name in lost]
    found = [_warning(f"AuthorizationPolicy {name} allows requests to blue, and none allows the same to green.") for name in lost]
    if not of_blue:
        names = [_name(policy) for policy in of_green]
        found += [_warning(f"AuthorizationPolicy {name} restricts green to what it allows, and blue has none.") for name in names]
    return found


def green_identity_warnings(kube: Kube, blue: tuple[str, str], green: tuple[str, str]) -> list[Problem]:
    """Policies that let blue in by its namespace or principal, and would not let green: those of blue's and green's namespaces.

    Args:
        kube: where to read; what cannot be read is passed over, `authorization_warnings` has said so.
        blue: namespace and ServiceAccount.
        green: the same of green.
    """
    if blue == green:
        return []
    found = []
    for namespace in sorted({blue[0], green[0]}):
        try:
            policies = kube.list(AUTHORIZATION_POLICY, namespace).items
        except (NotFoundError, RefusedError):
            continue
        for policy in policies:
            if _action(policy) == "ALLOW" and _names(policy, *blue) and not _names(policy, *green):
                who = f"{green[0]}/{green[1]}"
                found.append(_warning(f"AuthorizationPolicy {_name(policy)} lets blue call by its identity, and not green ({who})."))
    return found


def _names(policy: Obj, namespace: str, account: str) -> bool:
    for rule in marks.items(dig(policy, "spec", "rules")):
        for source in (dig(one, "source") for one in marks.items(dig(rule, "from"))):
            principals = [str(one) for one in marks.items(dig(source, "principals"))]
            by_principal = any(one.endswith(f"/ns/{namespace}/sa/{account}") for one in principals)
            if by_principal or namespace in marks.items(dig(source, "namespaces")):
                return True
    return False
