"""The CRDs on a real API server: accepted, served, and every rule refuses what it should and lets the rest through."""

import subprocess
from copy import deepcopy

import pytest

from controller.api.base import GROUP, VERSION
from controller.api.crd import definitions
from tests.bed.waiting import eventually
from tests.manifests.refusals import REFUSALS

API = f"/apis/{GROUP}/{VERSION}"
PLAN = {"workload": "shop", "traffic": {"virtualService": "shop"}}
CHECK = {"name": "c", "builtin": "error-rate", "limit": {"max": 1}}
TRIGGER = {"name": "t", "builtin": "error-rate", "limit": {"max": 1}}
LIMITS = ("max", "min", "below", "maxRatio", "minRatio", "maxDifference", "minDifference")
RELEASE = {"plan": "shop", "revision": "v2"}
REQUEST = {"release": "r", "verb": "pause"}


def body(kind, name, spec):
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def ask(bed, namespace):
    """Dry runs of a create: what the server says, without leaving anything behind."""

    def asked(plural, kind, spec, name="x"):
        path = f"{API}/namespaces/{namespace}/{plural}"
        return bed.admin.request("POST", path, body(kind, name, spec), dryRun="All", fieldValidation="Strict")

    return asked


@pytest.fixture
def make(bed, namespace):
    def made(plural, kind, spec, name="x"):
        path = f"{API}/namespaces/{namespace}/{plural}"
        bed.admin.create(path, body(kind, name, spec))
        return f"{path}/{name}"

    return made


@pytest.mark.parametrize("name", [crd["metadata"]["name"] for crd in definitions().values()])
def test_the_crd_is_established_and_structural(bed, name):
    crd = bed.admin.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    conditions = {one["type"]: one["status"] for one in crd["status"]["conditions"]}

    assert conditions["Established"] == "True"
    assert "NonStructuralSchema" not in conditions


ACCEPTED = [
    PLAN,
    {"members": [{"name": "m", "workload": "shop"}], "traffic": {"virtualServices": [{"name": "shop"}]}},
    {**PLAN, "stages": [{"weight": 5}, {"weight": 100}]},
    {**PLAN, "stages": [{"weight": 100}]},
    {**PLAN, "checks": [CHECK, {"name": "q", "query": "vector(1)", "limit": {"maxRatio": 1.2}}]},
    {**PLAN, "triggers": [TRIGGER, {"name": "p", "probe": {"path": "/health"}}]},
    *({**PLAN, "checks": [{**CHECK, "limit": {key: 1}}]} for key in LIMITS),
]

OUT_OF_BOUNDS = [
    ({"traffic": PLAN["traffic"], "members": []}, "name a workload, or members"),
    ({**PLAN, "stages": []}, "at least 1 items"),
    ({**PLAN, "stages": [{"weight": 0}, {"weight": 100}]}, "greater than or equal to 1"),
    ({**PLAN, "stages": [{"weight": 101}]}, "less than or equal to 100"),
    ({**PLAN, "stages": [{"weight": 100, "window": "5"}]}, "should match"),
    ({**PLAN, "checks": [CHECK, CHECK]}, "Duplicate value"),
    ({**PLAN, "slots": [{"name": "a"}]}, "at least 2 items"),
    ({**PLAN, "slots": [{"name": "a"}, {"name": "a"}]}, "Duplicate value"),
    ({**PLAN, "stagez": []}, "unknown field"),
]


@pytest.mark.parametrize("spec", ACCEPTED, ids=range(len(ACCEPTED)))
def test_a_legal_plan_is_accepted(ask, spec):
    answer = ask("releaseplans", "ReleasePlan", spec)

    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(("spec", "sentence"), OUT_OF_BOUNDS, ids=range(len(OUT_OF_BOUNDS)))
def test_a_plan_out_of_bounds_is_refused(ask, spec, sentence):
    answer = ask("releaseplans", "ReleasePlan", spec)

    assert answer.status_code in (400, 422), answer.text
    assert sentence in answer.text


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_every_rule_of_the_crds_refuses_with_its_sentence(bed, ask, make, refusal):
    plural = refusal.kind.plural
    if refusal.creates:
        answer = ask(plural, refusal.kind.kind, refusal.new["spec"], refusal.name)
    else:
        path = make(plural, refusal.kind.kind, refusal.new["spec"])
        if refusal.status:
            bed.admin.patch(f"{path}/status", {"status": refusal.status})
        written = f"{path}/status" if "status" in refusal.patch else path
        answer = bed.admin.request("PATCH", written, refusal.patch, "application/merge-patch+json")

    assert answer.status_code == 422, answer.text
    assert refusal.begins in answer.text


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        (("releases", "Release", RELEASE), ({"revision": "v3"}, {"supersedes": "v1"}, {"images": {"shop": "x:1"}})),
        (("releaserequests", "ReleaseRequest", REQUEST), ({"verb": "promote"}, {"releaseUid": "u"}, {"reason": "because"})),
    ],
)
class TestAnImmutableSpec:
    def test_is_neither_changed_nor_extended(self, bed, make, what, changes):
        path = make(*what)
        answers = [bed.admin.request("PATCH", path, {"spec": change}, "application/merge-patch+json") for change in changes]

        assert [answer.status_code for answer in answers] == [422] * len(changes)
        assert all("the spec is immutable" in answer.text for answer in answers)

    def test_does_not_hinder_labels(self, bed, make, what, changes):
        del changes
        path = make(*what)

        assert bed.admin.patch(path, {"metadata": {"labels": {"a": "b"}}})["metadata"]["labels"] == {"a": "b"}


class TestTheStatusOfARelease:
    def test_holds_no_weight_above_the_grant(self, bed, make):
        path = make("releases", "Release", RELEASE) + "/status"
        bed.admin.patch(path, {"status": {"weight": 25, "grant": 25, "epoch": 1}})
        answers = [
            bed.admin.request("PATCH", path, {"status": status}, "application/merge-patch+json")
            for status in ({"weight": 50}, {"grant": 5}, {"grant": None})
        ]

        assert [answer.status_code for answer in answers] == [422, 422, 422]
        assert all("status.weight must not exceed status.grant" in answer.text for answer in answers)

    def test_may_record_drift_above_the_grant(self, bed, make):
        path = make("releases", "Release", RELEASE) + "/status"

        assert bed.admin.patch(path, {"status": {"weight": 5, "grant": 5, "observedWeight": 80}})["status"]["observedWeight"] == 80

    def test_epoch_never_falls(self, bed, make):
        path = make("releases", "Release", RELEASE) + "/status"
        bed.admin.patch(path, {"status": {"epoch": 7}})
        bed.admin.patch(path, {"status": {"epoch": 7, "message": "the same leader"}})
        answer = bed.admin.request("PATCH", path, {"status": {"epoch": 6}}, "application/merge-patch+json")

        assert answer.status_code == 422
        assert "the epoch never falls" in answer.text

    def test_stays_as_it_ended(self, bed, make):
        path = make("releases", "Release", RELEASE) + "/status"
        bed.admin.patch(path, {"status": {"phase": "RolledBack", "finishedAt": 5.5, "epoch": 1}})
        answer = bed.admin.request("PATCH", path, {"status": {"phase": "Measuring"}}, "application/merge-patch+json")

        assert answer.status_code == 422
        assert "a release that has ended stays as it ended" in answer.text
        assert bed.admin.patch(path, {"status": {"epoch": 2, "retention": {"done": True}}})["status"]["phase"] == "RolledBack"

    @pytest.mark.parametrize(
        ("known", "edit", "sentence"),
        [
            ({"blueSlot": 0}, {"blueSlot": 1}, "status.blueSlot is decided once"),
            ({"mode": "host"}, {"mode": None}, "status.mode is decided once"),
            ({"blueSubset": "v1"}, {"blueSubset": "v2"}, "status.blueSubset is decided once"),
            ({"greenSubset": "v2"}, {"greenSubset": ""}, "status.greenSubset is decided once"),
            ({"planHash": "a"}, {"planHash": "b"}, "status.planHash is decided once"),
            ({"capacity": [{"member": "shop", "replicas": 3}]}, {"capacity": []}, "status.capacity is what must be given back"),
            ({"objects": [{"kind": "Deployment", "namespace": "s", "name": "g", "uid": "u"}]}, {"objects": None}, "status.objects is what"),
        ],
    )
    def test_keeps_who_is_blue_and_what_was_borrowed(self, bed, make, known, edit, sentence):
        path = make("releases", "Release", RELEASE) + "/status"
        bed.admin.patch(path, {"status": {"phase": "Measuring", "blueSlot": -1, "mode": ""}})
        bed.admin.patch(path, {"status": known})
        answer = bed.admin.request("PATCH", path, {"status": edit}, "application/merge-patch+json")

        assert answer.status_code == 422
        assert sentence in answer.text

    @pytest.mark.parametrize("status", [None, {}, {"phase": None}], ids=str)
    def test_is_never_dropped_once_it_has_begun(self, bed, make, status):
        path = make("releases", "Release", RELEASE) + "/status"
        bed.admin.patch(path, {"status": {"phase": "Measuring", "weight": 25, "grant": 25}})
        whole = bed.admin.get(path)
        written = {**whole, "status": status} if status == {} else {"status": status}
        media = "application/json" if status == {} else "application/merge-patch+json"
        answer = bed.admin.request("PUT" if status == {} else "PATCH", path, written, media)

        assert answer.status_code == 422
        assert "changed, never dropped" in answer.text

    def test_may_be_halted_where_somebody_only_wrote_that_it_ended(self, bed, make):
        path = make("releases", "Release", RELEASE) + "/status"
        bed.admin.patch(path, {"status": {"phase": "Succeeded", "finishedAt": 5, "weight": 25, "grant": 25}})

        assert bed.admin.patch(path, {"status": {"phase": "Halted"}})["status"]["phase"] == "Halted"


@pytest.mark.parametrize(
    ("plural", "kind", "spec"), [("releaseplans", "ReleasePlan", PLAN), ("releaserequests", "ReleaseRequest", REQUEST)]
)
def test_the_epoch_never_falls_on_plans_and_answers_either(bed, make, plural, kind, spec):
    path = make(plural, kind, spec) + "/status"
    bed.admin.patch(path, {"status": {"epoch": 7}})
    answer = bed.admin.request("PATCH", path, {"status": {"epoch": 6}}, "application/merge-patch+json")

    assert answer.status_code == 422
    assert "the epoch never falls" in answer.text


class TestKubectl:
    def run(self, bed, namespace, *words):
        argv = [bed.binaries.kubectl, f"--kubeconfig={bed.kubeconfig('admin', namespace)}", *words]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("releaseplan.spec.stages.window", "How long this stage is judged"),
            ("release.status.grant", "Highest weight that evidence has allowed so far"),
            ("releaserequest.spec.verb", "What is asked"),
        ],
    )
    def test_explains_a_field(self, bed, namespace, path, words):
        assert words in " ".join(self.run(bed, namespace, "explain", path).split())

    def test_get_tells_the_story(self, bed, namespace, make):
        path = make("releases", "Release", RELEASE, name="shop-v2")
        bed.admin.patch(f"{path}/status", {"status": {"phase": "Measuring", "weight": 25, "grant": 25, "reason": "Measuring"}})
        header, row = self.run(bed, namespace, "get", "rel").splitlines()

        assert header.split() == ["NAME", "PLAN", "REVISION", "PHASE", "WEIGHT", "REASON", "AGE"]
        assert row.split()[:6] == ["shop-v2", "shop", "v2", "Measuring", "25", "Measuring"]
        assert "shop-v2" in self.run(bed, namespace, "get", "penstock")

    def test_wait_ends_with_the_condition(self, bed, namespace, make):
        path = make("releases", "Release", RELEASE, name="shop-v2")
        condition = {"type": "Succeeded", "status": "True", "reason": "Succeeded", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        bed.admin.patch(f"{path}/status", {"status": {"conditions": [condition]}})

        assert "condition met" in self.run(bed, namespace, "wait", "--for=condition=Succeeded", "release/shop-v2", "--timeout=20s")


class TestWhatAnEarlierVersionLetIn:
    """What a rule forbids by now stays writable: one write can put it right, or end it."""

    @pytest.fixture
    def let_in(self, bed, make):
        """Make a Release while the CRD has no such rules, then put them back."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/releases.penstock.dev"
        merge = "application/merge-patch+json"

        def served(spec, expected):
            assert bed.admin.request("PATCH", path, {"spec": spec}, merge).status_code == 200
            url = f"{API}/namespaces/default/releases"
            overlong = body("Release", "x" * 64, RELEASE)
            eventually(lambda: bed.admin.request("POST", url, overlong, dryRun="All").status_code == expected)

        def made(name, status):
            strict = definitions()["releases.yaml"]["spec"]
            loose = deepcopy(strict)
            schema = loose["versions"][0]["schema"]["openAPIV3Schema"]
            schema.pop("x-kubernetes-validations")
            fields = schema["properties"]["status"]["properties"]
            fields |= {name: {"type": "integer"} for name in ("weight", "observedWeight", "grant", "maxWeight")}
            served(loose, 201)
            try:
                made = make("releases", "Release", RELEASE, name)
                bed.admin.patch(f"{made}/status", {"status": status})
            finally:
                served(strict, 422)
            return made

        return made

    def test_a_number_that_is_no_percentage_is_put_right_by_one_write(self, bed, let_in):
        path = let_in("wrong", {"phase": "Measuring", "weight": -5, "grant": -5})
        mended = bed.admin.patch(f"{path}/status", {"status": {"phase": "Halted", "weight": 0, "grant": 0}})

        assert mended["status"]["phase"] == "Halted"
        assert bed.admin.request("PATCH", f"{path}/status", {"status": {"weight": -5}}, "application/merge-patch+json").status_code == 422

    def test_a_name_that_is_no_label_ends_and_loses_its_finalizer(self, bed, let_in):
        path = let_in("x" * 80, {"phase": "Queued"})

        bed.admin.patch(path, {"metadata": {"finalizers": ["penstock.dev/rollback"]}})
        bed.admin.patch(f"{path}/status", {"status": {"phase": "Refused", "finishedAt": 5.0}})
        assert not bed.admin.patch(path, {"metadata": {"finalizers": None}})["metadata"].get("finalizers")


@pytest.mark.parametrize(
    ("name", "code"), [("shop.v2.1", 201), ("shop-v2", 201), (".v2", 422), ("a..b", 422), ("Shop", 422), ("x" * 64, 422)]
)
def test_a_request_can_name_every_release_that_can_exist(ask, name, code):
    assert ask("releaserequests", "ReleaseRequest", {"release": name, "verb": "pause"}).status_code == code
