"""The shipped Roles are exactly enough: releases under them are refused nothing, and each verb has a request that needs it."""

from dataclasses import dataclass, replace

import pytest

from controller.adapters.kube_config import connect
from controller.adapters.workloads.change import Writer
from controller.adapters.workloads.view import MembersView
from controller.cli.install_objects import SYSTEM, Options, access, home_objects, namespaces
from controller.cli.install_rights import GREEN_NAMESPACE, HOME, WATCHED_NAMESPACE
from controller.ports import HPA, RefusedError
from tests.bed.cluster import Bed
from tests.bed.nodes import NodeSimulator
from tests.bed.waiting import eventually
from tests.real.conftest import CRDS
from tests.real.rbac_releases import LONG, Running, app, claim, ended, in_places, obj, plan, release, request, with_weight

ACCOUNT = f"system:serviceaccount:{SYSTEM}:penstock"
PLANS = {"one": 1, "two": 0, "three": 1, "four": 1}
"""Namespace of the plan, and which of its releases is rolled back."""

SHAPES = {
    "one": {},
    "two": in_places("two", "two-green", finish={"retention": "100ms", "then": "scale"}),
    "three": in_places("three-apps", "three"),
    "four": in_places("four-apps", "four-apps"),
}
PLACES = ("two-green", "three-apps", "four-apps")
pytestmark = pytest.mark.bed


@dataclass(frozen=True, order=True)
class Asked:
    """One request as RBAC sees it."""

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""


def asked(event):
    ref = event["objectRef"]
    resource = ref["resource"] + (f"/{ref['subresource']}" if ref.get("subresource") else "")
    return Asked(ref.get("namespace", ""), ref.get("apiGroup", ""), resource, event["verb"], ref.get("name", ""))


def install(bed, options):
    bed.admin.apply([o for o in (*namespaces(options), *home_objects(options), *access(options)) if o["kind"] != "Deployment"])


@pytest.fixture(scope="module")
def bed():
    with Bed(crds=sorted(CRDS.glob("*.yaml")), audit=True) as running:
        yield running


@pytest.fixture(scope="module")
def nodes(bed):
    with NodeSimulator(bed.admin) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def ends(bed, nodes):
    """Four releases each of four applications, one of them rolled back, with the whole runtime.

    `one`: subsets in the plan's namespace. `two`: hosts in two namespaces, the old version kept at zero. `three`: the same, and
    the first version stands in the other namespace. `four`: subsets in another namespace than the plan's.
    """
    del nodes
    install(bed, Options(namespaces=tuple(PLANS), green_namespaces=PLACES))
    bed.admin.apply(app("one"))
    bed.admin.apply([*app("two", subsets=False), *app("three-apps", subsets=False, routes="three"), *app("four-apps", routes="four")])
    for empty in ("two-green", "three"):
        bed.admin.apply([obj("v1", "ServiceAccount", "shop", empty), claim(empty)])
    ready(bed, "one", "two", "three-apps", "four-apps")
    with Running(bed, [*PLANS, *PLACES]):
        found = {namespace: [] for namespace in PLANS}
        for number in range(4):
            for namespace, ended_as in one_round(bed, number):
                found[namespace].append(ended_as["phase"])
    ask_what_only_a_lost_answer_asks(bed)
    return found


def one_round(bed, number):
    """A release of each application at the same time; what a clone brings along has changed since the last one."""
    bed.admin.apply([obj("v1", "ConfigMap", "shop", namespace, data={"round": str(number)}) for namespace in ("two", "three-apps")])
    for namespace, back in PLANS.items():
        bed.admin.apply([plan(namespace, **SHAPES[namespace], **(LONG if back == number else {}))])
        bed.admin.apply([release(namespace, f"r{number}", f"registry.example/shop:{number + 2}.0")])
    for namespace in (name for name, back in PLANS.items() if back == number):
        with_weight(bed, namespace, f"r{number}")
        bed.admin.apply([request(namespace, f"r{number}", "rollback")])
    return [(namespace, ended(bed, namespace, f"r{number}")) for namespace in PLANS]


def ready(bed, *wanted):
    for namespace in wanted:
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/shop"
        eventually(lambda path=path: (bed.admin.get(path).get("status") or {}).get("readyReplicas") == 2, what=f"blue in {namespace}")


def ask_what_only_a_lost_answer_asks(bed):
    """An autoscaler's create whose answer was lost is found again by name."""
    kube = connect(str(bed.kubeconfig("penstock", namespace=SYSTEM))).kube
    body = bed.admin.get("/apis/autoscaling/v2/namespaces/one/horizontalpodautoscalers")["items"][0]
    for namespace in ("one", "two-green"):
        fresh = obj("autoscaling/v2", "HorizontalPodAutoscaler", "again", namespace, spec=body["spec"])
        bed.admin.apply([fresh])
        with pytest.raises(RefusedError, match="is not of this release"):
            Writer(kube, _Nobody(), MembersView(), 99).create(HPA, fresh)


class _Nobody:
    uid = "nobody"


@pytest.fixture(scope="module")
def requests(bed, ends):
    """What the controller asked during those releases, by what RBAC looks at."""
    assert ends
    events = [event for event in bed.audited(ACCOUNT) if "objectRef" in event]
    return {asked(event): event["responseStatus"]["code"] for event in events}


ROLES = ((WATCHED_NAMESPACE, tuple(PLANS)), (GREEN_NAMESPACE, PLACES), (HOME, (SYSTEM,)))


class TestTheShippedRoles:
    @pytest.mark.parametrize(("namespace", "back"), PLANS.items())
    def test_releases_go_to_their_end_and_back(self, ends, namespace, back):
        assert ends[namespace] == ["RolledBack" if number == back else "Succeeded" for number in range(4)]

    def test_nothing_was_refused(self, bed, requests):
        refused = {asked(event) for event in bed.audited(ACCOUNT) if "objectRef" in event and event["responseStatus"]["code"] == 403}

        assert requests
        assert refused == set()

    def test_no_verb_is_there_that_nobody_needs(self, requests):
        used = {(one.namespace, one.group, one.resource, one.verb) for one in requests}
        unused = [
            f"{verb} {right.resource} in {' or '.join(places)}"
            for rights, places in ROLES
            for right in rights
            for verb in right.verbs
            if not any((place, right.kind.group, right.resource, verb) in used for place in places)
        ]

        assert " | ".join(unused) == ""

    def test_without_any_single_verb_the_server_would_refuse_a_request_of_a_release(self, bed, requests):
        """Each Role is installed once for each of its verbs, without that verb; then the server is asked of a request that was made."""
        kept = [
            f"{verb} {right.resource}"
            for rights, places in ROLES
            for number, right in enumerate(rights)
            for verb in right.verbs
            if allowed_without(bed, rights, number, verb, next(one for one in requests if needs(one, right, verb, places)))
        ]

        assert kept == []


def needs(one, right, verb, places):
    named = not right.names or one.name in right.names
    return one.namespace in places and (one.group, one.resource, one.verb) == (right.kind.group, right.resource, verb) and named


def allowed_without(bed, rights, number, verb, one):
    """Whether the request would still be allowed by the same Role less one verb, in a namespace of its own."""
    right = rights[number]
    less = (*rights[:number], replace(right, verbs=tuple(v for v in right.verbs if v != verb)), *rights[number + 1 :])
    namespace = bed.namespace()
    full, lean = f"full-{namespace}", f"lean-{namespace}"
    for account, given in ((full, rights), (lean, less)):
        rules_of = [right.rule() for right in given if right.verbs]
        bed.admin.apply([
            obj("rbac.authorization.k8s.io/v1", "Role", account, namespace, rules=rules_of),
            obj("rbac.authorization.k8s.io/v1", "RoleBinding", account, namespace, **bound_to(account)),
        ])  # fmt: skip
    eventually(lambda: may(bed, full, namespace, one), what=f"the whole Role allowing {one}")
    return may(bed, lean, namespace, one)


def bound_to(user):
    group = "rbac.authorization.k8s.io"
    return {"roleRef": {"apiGroup": group, "kind": "Role", "name": user}, "subjects": [{"kind": "User", "apiGroup": group, "name": user}]}


def may(bed, user, namespace, one):
    resource, _, subresource = one.resource.partition("/")
    attributes = {
        "namespace": namespace, "group": one.group, "resource": resource, "subresource": subresource, "verb": one.verb, "name": one.name,
    }  # fmt: skip
    spec = {"user": user, "resourceAttributes": attributes}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bed.admin.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)["status"]["allowed"]
