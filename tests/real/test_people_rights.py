"""The Roles for people and pipelines are exactly enough on a real API server: the commands are refused nothing, and each verb is used."""

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from controller.adapters.kube import Limits
from controller.adapters.kube_config import connect
from controller.cli.host import Host, Session
from controller.cli.install_files import FOLDER, OPERATORS, PIPELINES
from controller.cli.install_objects import SYSTEM, Options, access, home_objects, namespaces
from controller.cli.install_rights import LEADER_READER, OPERATOR, PIPELINE
from controller.cli.leading import nobody_acts
from controller.cli.main import run
from tests.bed.api import documents
from tests.bed.cluster import Bed, User
from tests.bed.nodes import NodeSimulator
from tests.bed.waiting import eventually
from tests.real.conftest import CRDS
from tests.real.rbac_releases import API, LONG, Running, app, ended, plan, status, with_weight

pytestmark = pytest.mark.bed
SHOP = "default"
USERS = {"operator": User("operator", "olga", (OPERATORS,)), "pipeline": User("pipeline", "deployer", (PIPELINES,))}
NOBODY = User("nobody", "niklas", ())


@pytest.fixture(scope="module")
def bed():
    with Bed(users=(*USERS.values(), NOBODY), crds=sorted(CRDS.glob("*.yaml")), audit=True) as running, NodeSimulator(running.admin):
        options = Options(namespaces=(SHOP,))
        objects = [*namespaces(options), *home_objects(options), *access(options)]
        running.admin.apply([o for o in objects if o["kind"] != "Deployment"])
        for name in ("operator", "pipeline", "leader"):
            running.admin.apply(documents(FOLDER / "optional" / "people" / f"{name}.yaml"))
        running.admin.apply([*app(SHOP), plan(SHOP, **LONG)])
        path = f"/apis/apps/v1/namespaces/{SHOP}/deployments/shop"
        eventually(lambda: (running.admin.get(path).get("status") or {}).get("readyReplicas") == 2, what="blue")
        yield running


@pytest.fixture(scope="module")
def penstock(bed):
    """A command as one of the users: its exit code, and what it says."""
    host = Host(connect=lambda file, context: connect(file, context, limits=Limits(read=20.0)), asks=False)

    def command(user, *words):
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            code = run([*words, "--kubeconfig", str(bed.kubeconfig(user, namespace=SHOP))], host)
        return code, out.getvalue()

    return command


@pytest.fixture(scope="module")
def done(bed, penstock, tmp_path_factory):
    """What both do in a day, with the exit codes."""
    file = str(tmp_path_factory.mktemp("bundle") / "file")
    codes = {}

    def does(user, *words):
        codes[user, *words] = penstock(user, *words)

    with Running(bed, [SHOP]):
        does("operator", "get", "plans")
        does("operator", "get", "plans", "shop")
        does("operator", "start", "shop", "--image", "registry.example/shop:2.0", "--name", "two")
        with_weight(bed, SHOP, "two")
        does("operator", "get", "two")  # while it runs: only then it matters whether a controller leads
        for verb in ("pause", "resume", "rollback"):
            does("operator", verb, "two", "--timeout", "2m")
        ended(bed, SHOP, "two")
        does("operator", "history", "two")
        does("operator", "bundle", "two", "--file", file)
        does("operator", "retry", "two")
        does("operator", "get", "requests")
        does("pipeline", "start", "shop", "--image", "registry.example/shop:3.0", "--name", "three")
        bed.api("operator").delete(f"{API}/namespaces/{SHOP}/releases/shop-2-0-r2")
        with_weight(bed, SHOP, "three")
        does("pipeline", "start", "shop", "--image", "registry.example/shop:4.0")
        does("pipeline", "wait", "three", "--for", "stage=1", "--timeout", "2m")
        does("pipeline", "get", "three")
        does("pipeline", "rollback", "three", "--timeout", "2m")
        ended(bed, SHOP, "three")
        with_weight(bed, SHOP, "shop-4-0")
        does("operator", "promote", "shop-4-0", "--reason", "enough", "--yes", "--timeout", "2m")
        eventually(lambda: status(bed, SHOP, "shop-4-0").get("phase") == "Succeeded", 60, "a success")
        does("operator", "get", "shop-4-0")
        for user in USERS:  # the commands ask it about a release of which nobody wrote for 90 s
            codes[user, "whether the controller acts"] = (0, told(bed, user))
    return codes


def told(bed, user):
    """What a command tells this user about a controller that is silent, at first and without its rights."""
    binding = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SHOP}/rolebindings/penstock"
    session = Session(Host(asks=False), connect(str(bed.kubeconfig(user, namespace=SHOP)), "").kube, SHOP, user)
    whole, kept = nobody_acts(session, SHOP), bed.admin.get(binding)
    bed.admin.delete(binding)
    lost = eventually(lambda: nobody_acts(session, SHOP), 20, "the loss of the rights")
    kept["metadata"] = {key: kept["metadata"][key] for key in ("name", "namespace", "labels")}
    bed.admin.apply([kept])
    return whole, lost


def asked(bed, user):
    """Group, resource, verb and code of everything that a user asked."""
    events = [event for event in bed.audited(USERS[user].name) if "resource" in event.get("objectRef", {})]
    return {(e["objectRef"].get("apiGroup", ""), e["objectRef"]["resource"], e["verb"], e["responseStatus"]["code"]) for e in events}


@pytest.mark.parametrize(("user", "rights"), [("operator", OPERATOR), ("pipeline", PIPELINE)])
def test_the_commands_are_refused_nothing_and_every_verb_is_used(bed, done, user, rights):
    found = asked(bed, user)
    given = {(right.kind.group, right.resource, verb) for right in (*rights, *LEADER_READER) for verb in right.verbs}

    assert {words: said for words, (code, said) in done.items() if code} == {}
    assert {one for one in found if one[3] == 403} == set()
    assert given - {one[:3] for one in found} == set()


@pytest.mark.parametrize("user", list(USERS))
def test_both_are_told_when_the_controller_has_lost_its_rights(done, user):
    _, (whole, lost) = done[user, "whether the controller acts"]

    assert whole == ""
    assert f"The controller has no rights in namespace {SHOP} any more" in lost


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (("get",), "list releases.penstock.dev"),
        (("start", "shop", "--image", "registry.example/shop:9.0"), "get releaseplans.penstock.dev"),
        (("rollback", "two"), "get releases.penstock.dev"),
    ],
)
def test_without_rights_the_sentence_names_the_one_that_the_person_lacks(done, penstock, words, right):
    assert done
    code, said = penstock("nobody", *words)

    assert code == 6
    assert f"You (niklas) may not {right} in namespace {SHOP}: ask whoever administers that namespace for that right" in said
    assert SYSTEM not in said
