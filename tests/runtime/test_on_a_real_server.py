"""The runtime against a real API server: what the fakes above claim of it, it does."""

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from controller.adapters.kube import Limits
from controller.adapters.kube_config import connect
from controller.ports import (
    CONFIG_MAP,
    LEASE,
    RELEASE,
    SERVICE,
    VIRTUAL_SERVICE,
    ConflictError,
    NotFoundError,
    Patch,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
)
from controller.runtime import app
from controller.runtime.app import Controller
from controller.runtime.config import load_config
from controller.runtime.contracts import Parts
from controller.runtime.informer import Pace
from controller.runtime.schema import ServedSchema
from tests.bed.binaries import why_unavailable
from tests.bed.cluster import Bed
from tests.bed.waiting import PATIENCE, eventually

pytestmark = pytest.mark.bed
CRDS = sorted((Path(__file__).parents[2] / "manifests" / "crds").glob("*.yaml"))
PATIENT = Limits(read=20.0)
"""The first request to a new kind waits until the server has compiled its rules."""


@pytest.fixture(scope="module")
def bed():
    if why_unavailable():
        pytest.skip(why_unavailable())
    with Bed(crds=CRDS) as bed:
        yield bed


@pytest.fixture
def shop(bed):
    return bed.namespace()


@pytest.fixture
def kube(bed, shop):
    return connect(str(bed.kubeconfig("admin", namespace=shop)), limits=PATIENT).kube


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"a": "b"}}, "data": data}


class TestTheClient:
    def test_an_object_lives_its_life(self, kube, shop):
        made = kube.create(CONFIG_MAP, shop, config_map("c", k="1"))
        uid, version = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
        patched = kube.patch(CONFIG_MAP, shop, "c", {"data": {"k": "2"}})

        assert kube.get(CONFIG_MAP, shop, "c")["data"] == {"k": "2"}
        assert patched["metadata"]["managedFields"][0]["manager"] == "penstock"
        with pytest.raises(ConflictError):
            kube.create(CONFIG_MAP, shop, config_map("c"))
        with pytest.raises(ConflictError):
            kube.patch(CONFIG_MAP, shop, "c", {"metadata": {"resourceVersion": version}, "data": {"k": "3"}})
        with pytest.raises(ConflictError):
            kube.patch(CONFIG_MAP, shop, "c", [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}], Patch.JSON)
        with pytest.raises(RefusedError):
            kube.patch(CONFIG_MAP, shop, "c", [{"op": "test", "path": "/data/k", "value": "9"}], Patch.JSON)
        with pytest.raises(ConflictError):
            kube.delete(CONFIG_MAP, shop, "c", uid="another")
        kube.delete(CONFIG_MAP, shop, "c", uid=uid)
        with pytest.raises(NotFoundError):
            kube.get(CONFIG_MAP, shop, "c")

    def test_lists_are_read_by_pages_of_one_revision(self, kube, shop):
        for i in range(5):
            kube.create(CONFIG_MAP, shop, config_map(f"c{i}"))
        pages = list(kube.pages(CONFIG_MAP, shop, labels="a=b", limit=2))

        assert [len(page.items) for page in pages] == [2, 2, 1]
        assert len({page.resource_version for page in pages}) == 1
        assert pages[0].items[0]["kind"] == "ConfigMap"

    def test_a_watch_tells_what_happened_since_and_ends_when_asked(self, kube, shop):
        since = kube.list(CONFIG_MAP, shop).resource_version
        kube.create(CONFIG_MAP, shop, config_map("c"))
        kube.patch(CONFIG_MAP, shop, "c", {"data": {"k": "2"}})

        def told():
            """In a second, which a busy server may need for its first answer."""
            return [e.type for e in kube.watch(CONFIG_MAP, shop, since, timeout_seconds=1) if e.object["metadata"].get("name") == "c"]

        eventually(lambda: told() == ["ADDED", "MODIFIED"], what="both events")

    def test_a_token_that_is_not_known_is_said(self, bed, shop):
        stranger = connect(str(bed.kubeconfig_with_token("stranger", "no-such-token", shop))).kube
        with pytest.raises(UnauthorizedError, match=r"does not accept our credentials \(401\)"):
            stranger.get(CONFIG_MAP, shop, "c")

    def test_a_server_that_hangs_is_given_up_in_time(self, bed, kube, shop):
        kube.list(CONFIG_MAP, shop)
        bed.apiserver.pause()
        try:
            began = time.monotonic()
            with pytest.raises(UnavailableError, match="did not answer in time"):
                kube.limited_to(1.0).get(CONFIG_MAP, shop, "c")
            took = time.monotonic() - began
        finally:
            bed.apiserver.resume()

        assert took < PATIENT.read / 2

    def test_a_certificate_that_is_not_trusted_is_said(self, bed, shop, tmp_path):
        document = yaml.safe_load(bed.kubeconfig("admin", namespace=shop).read_text())
        for entry in document["clusters"]:
            entry["cluster"].pop("certificate-authority", None)
            entry["cluster"].pop("certificate-authority-data", None)
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(document))
        with pytest.raises(UnavailableError) as caught:
            connect(str(file)).kube.get(CONFIG_MAP, shop, "c")

        assert "No trusted connection to the API server" in str(caught.value)
        assert "certificate verify failed" in str(caught.value)


@dataclass
class Outcome:
    wake_at: float | None = None
    again: bool = False
    urgent: bool = False
    subject: object = None
    decision: object = None
    error: str = ""


class Clock:
    def now(self):
        return time.time()


class NoProviders:
    def provider(self, _name):
        return None


class Running:
    """A controller in this process whose reconcile only writes down what it was asked to look at.

    On a busy machine a short lease is lost now and then, and its epoch with it: only who waits for its end asks for one.
    """

    def __init__(self, kube, shop, action=None, lease="15s"):
        self.looks, self.news = [], threading.Condition()
        self.action = action
        config = load_config(namespaces=[shop], listen="127.0.0.1:0", lease_duration=lease, lease_renew="500ms", workers=2)
        parts = Parts(self.reconcile, NoProviders(), None, Clock(), lambda _kube: "")
        self.controller = Controller(config, kube, parts, home=shop, pace=Pace(watch=5.0))

    def reconcile(self, key, ports, *, cache):
        outcome = (self.action and self.action(key, ports, cache)) or Outcome()
        with self.news:
            self.looks.append((key[1], ports.epoch))
            self.news.notify_all()
        return outcome

    def wait_for(self, condition, seconds=10.0):
        with self.news:
            return self.news.wait_for(lambda: condition(self.looks), seconds * PATIENCE)

    def ask(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.controller.health.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def __enter__(self):
        self.controller.start()
        return self

    def __exit__(self, *_exc):
        self.controller.stop()


def release(name, plan="p"):
    return {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": name}, "spec": {"plan": plan, "revision": "v2"}}


class TestTheServedSchema:
    @pytest.fixture
    def wanted(self):
        crds = [yaml.safe_load(file.read_text()) for file in CRDS]
        return {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds}

    def ask(self, kube, wanted):
        """The document follows a new CRD by some seconds."""
        eventually(lambda: "does not serve" not in ServedSchema("penstock.dev/v1alpha1", wanted).refusal(kube), 20.0, "the schema")
        return ServedSchema("penstock.dev/v1alpha1", wanted).refusal(kube)

    def test_the_schema_that_was_installed_is_enough_and_everybody_may_ask(self, bed, wanted):
        assert self.ask(connect(str(bed.kubeconfig("alice"))).kube, wanted) == ""

    def test_a_field_that_the_server_would_prune_is_named(self, kube, wanted):
        wanted["Release"]["properties"]["status"]["properties"]["stages"]["items"]["properties"]["brandNew"] = {"type": "string"}

        assert "The installed Release is older than this controller: it does not know status.stages.brandNew" in self.ask(kube, wanted)

    def test_a_group_that_is_not_installed_is_said(self, kube, wanted):
        assert "does not serve penstock.dev/v9" in ServedSchema("penstock.dev/v9", wanted).refusal(kube)


class TestTheController:
    def test_releases_are_looked_at_when_they_come_and_when_their_objects_change(self, kube, shop):
        kube.create(RELEASE, shop, release("before"))
        with Running(kube, shop) as running:
            assert running.wait_for(lambda looks: ("before", 1) in looks)
            made = kube.create(RELEASE, shop, release("after"))
            assert running.wait_for(lambda looks: ("after", 1) in looks)
            seen = len(running.looks)
            route = {"hosts": ["shop.example"], "http": [{"route": [{"destination": {"host": "a"}}]}]}
            marks = {"penstock.dev/owner": made["metadata"]["uid"]}
            body = {"apiVersion": VIRTUAL_SERVICE.api_version, "kind": "VirtualService", "spec": route}
            kube.create(VIRTUAL_SERVICE, shop, body | {"metadata": {"name": "vs", "annotations": marks}})
            assert running.wait_for(lambda looks: ("after", 1) in looks[seen:])
            assert ("before", 1) not in running.looks[seen:]
            assert running.ask("/readyz") == (200, "Ready; leads with epoch 1.\n")
            assert 'penstock_releases{phase="Queued"} 2.0' in running.ask("/metrics")[1]

        assert kube.get(LEASE, shop, "penstock")["spec"].get("holderIdentity", "") == ""

    def test_of_each_plan_the_newest_finished_release_looks_now_and_then_whether_others_are_too_old(self, kube, shop, monkeypatch):
        monkeypatch.setattr(app, "HOUSEKEEPING_SECONDS", 0.2)
        for name, plan, at in (("old", "p", 1.0), ("new", "p", 2.0), ("alone", "q", 3.0)):
            kube.create(RELEASE, shop, release(name, plan))
            kube.patch(RELEASE, shop, name, {"status": {"phase": "RolledBack", "finishedAt": at}}, subresource="status")
        with Running(kube, shop) as running:
            assert running.wait_for(lambda looks: looks == [("new", 1)])
            assert not running.wait_for(lambda looks: len(looks) > 1, seconds=0.5)

    def test_a_look_sees_its_own_write_in_the_cache_and_is_not_woken_by_it(self, kube, shop):
        def write(key, ports, cache):
            ports.kube.patch(RELEASE, key[0], key[1], {"metadata": {"annotations": {"seen": "yes"}}})
            seen.append(cache.get(RELEASE, *key)["metadata"]["annotations"]["seen"])
            return Outcome(wake_at=time.time() + 1.0) if len(seen) < 2 else Outcome()

        seen = []
        kube.create(RELEASE, shop, release("r"))
        with Running(kube, shop, write) as running:
            assert running.wait_for(lambda looks: len(looks) == 2)
            requests = running.controller.metrics.registry.get_sample_value(
                "penstock_api_requests_total", {"verb": "patch", "resource": "releases", "code": "200"}
            )

        assert seen == ["yes", "yes"]
        assert requests == 2.0

    def test_a_standby_takes_over_with_a_higher_epoch_when_the_leader_stops(self, kube, shop):
        kube.create(RELEASE, shop, release("r"))
        with Running(kube, shop) as first:
            assert first.wait_for(lambda looks: ("r", 1) in looks)
            with Running(kube, shop) as second:
                first.controller.stop()
                assert second.wait_for(lambda looks: ("r", 2) in looks)

    def test_an_outage_longer_than_the_lease_is_survived(self, bed, kube, shop):
        kube.create(RELEASE, shop, release("r"))
        with Running(kube, shop, lease="2s") as running:
            assert running.wait_for(lambda looks: ("r", 1) in looks)
            bed.apiserver.pause()
            try:
                eventually(lambda: running.controller._term is None, 10.0, "the end of the leadership")
            finally:
                bed.apiserver.resume()
            assert running.wait_for(lambda looks: any(epoch > 1 for _, epoch in looks), 20.0)
            seen = len(running.looks)
            kube.create(RELEASE, shop, release("later"))
            assert running.wait_for(lambda looks: "later" in [name for name, _ in looks[seen:]])

    def test_a_defect_in_one_release_stops_no_other(self, kube, shop):
        def break_one(key, _ports, _cache):
            if key[1] == "broken":
                raise ValueError("a defect")

        kube.create(RELEASE, shop, release("broken"))
        with Running(kube, shop, break_one) as running:
            for i in range(5):
                kube.create(RELEASE, shop, release(f"r{i}"))
            assert running.wait_for(lambda looks: {f"r{i}" for i in range(5)} <= {name for name, _ in looks})
            assert running.controller.live() == (True, "Alive.")

    def test_a_missing_right_is_said_by_readiness(self, bed, shop):
        with Running(connect(str(bed.kubeconfig("alice", namespace=shop))).kube, shop) as running:
            eventually(lambda: "cannot list" in running.ask("/readyz")[1], 10.0, "readiness that names the missing right")

            assert running.ask("/livez")[0] == 200

    def test_a_service_is_found_by_the_cache_after_it_was_made(self, kube, shop):
        found = []

        def read(key, _ports, cache):
            found.append(cache.get(SERVICE, key[0], "web")["kind"])

        with Running(kube, shop, read) as running:
            service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
            kube.create(SERVICE, shop, service)
            kube.create(RELEASE, shop, release("r"))
            assert running.wait_for(lambda looks: ("r", 1) in looks)

        assert found[0] == "Service"


PROCESS = """
import sys, time
from controller.adapters.kube_config import connect
from controller.runtime.app import run_controller
from controller.runtime.config import load_config
from controller.runtime.contracts import Parts
from controller.runtime.logs import log_to

class Clock:
    def now(self):
        return time.time()

class Outcome:
    wake_at, again, urgent, subject, decision, error = None, False, False, None, None, "looked"

def reconcile(key, ports, *, cache):
    print("the look begins", file=sys.stderr, flush=True)
    time.sleep(1.0)  # SIGTERM comes in the middle of this look
    ports.kube.patch(RELEASE, key[0], key[1], {"metadata": {"annotations": {"finished": "yes"}}})
    return Outcome()

from controller.ports import RELEASE
log_to()
connection = connect(sys.argv[1])
config = load_config(namespaces=[connection.namespace], listen="127.0.0.1:0")
sys.exit(run_controller(config, connection.kube, Parts(reconcile, None, None, Clock(), lambda kube: ""), home=connection.namespace))
"""


def test_a_process_that_is_told_to_stop_finishes_its_look_gives_the_lease_back_and_exits_with_0(bed, kube, shop):
    kube.create(RELEASE, shop, release("r"))
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(bed.kubeconfig("admin", namespace=shop))],
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    said: list[str] = []
    while not (any("leads now" in line for line in said) and any("the look begins" in line for line in said)):
        said.append(next(process.stderr))
    assert json.loads(next(line for line in said if "leads now" in line))["epoch"] == 1
    process.send_signal(signal.SIGTERM)
    process.stderr.read()

    assert process.wait(20) == 0
    assert kube.get(RELEASE, shop, "r")["metadata"]["annotations"]["finished"] == "yes"
    assert not kube.get(LEASE, shop, "penstock")["spec"].get("holderIdentity")
