"""`penstock plan` says how the routes tell the versions apart, and how it knows."""

import json
from pathlib import Path

import pytest
import yaml

from controller.ports import DEPLOYMENT, DESTINATION_RULE, RELEASE, SERVICE, VIRTUAL_SERVICE, RefusedError
from controller.simulator.apiserver.client import InMemoryKube
from tests.cli.cli_bed import FOLDER, a_terminal

PLAN = FOLDER.parent / "plan.yaml"


def written(tmp_path: Path, **changes) -> Path:
    document = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
    document["spec"] |= changes
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def told(*words):
    """Mode and reason as JSON has them."""
    found = json.loads(a_terminal(started=False).penstock("plan", *words, "-o", "json").out)
    return found["mode"], found["modeFrom"]


def test_slots_in_two_namespaces_are_host_mode(tmp_path):
    slots = [{"name": "a", "namespace": "shop"}, {"name": "b", "namespace": "shop-green"}]

    assert told(written(tmp_path, slots=slots)) == ("host", "its slots are in two namespaces")


def test_a_destination_rule_is_subset_mode(tmp_path):
    path = written(tmp_path, traffic={"virtualService": "shop", "destinationRule": "shop"})

    assert told(path) == ("subset", "it names a DestinationRule")


def test_where_only_the_route_can_tell_the_assumption_is_said():
    result = a_terminal(started=False).penstock("plan", PLAN)

    assert result.err == "Host mode is assumed: only the route tells; --mode says it, --cluster looks.\n"
    assert "What is written (host mode, assumed" in result.out


def test_the_cluster_tells_by_the_route_that_is_there():
    result = a_terminal(started=False).penstock("plan", PLAN, "--cluster")

    assert result.code == 0
    assert "What is written (subset mode, as VirtualService shop/shop stands in the cluster; blue in slot 'home'):" in result.out
    assert 'destination_workload=~"shop|shop-green"' in result.out


@pytest.mark.long
def test_after_a_success_the_cluster_tells_that_the_other_slot_serves():
    terminal = a_terminal()
    terminal.until_phase("Succeeded")

    assert "blue in slot 'away'" in terminal.penstock("plan", PLAN, "--cluster").out


def test_a_route_that_would_refuse_the_release_is_said_with_exit_code_3(tmp_path):
    result = a_terminal(started=False).penstock("plan", written(tmp_path, traffic={"virtualService": "nope"}), "--cluster")

    assert result.code == 3
    assert result.err.endswith("A release of this plan would be refused: VirtualService shop/nope was not found\n")


def edited(terminal, kind, name, body):
    """The terminal whose cluster somebody changed."""
    InMemoryKube(terminal.sim.server, "user").patch(kind, "shop", name, body)
    return terminal


def test_so_is_a_workload_that_would_with_everything_at_once():
    """The first plan of most people: what a start would answer is known before it."""
    terminal = edited(
        a_terminal(started=False), SERVICE, "shop", {"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}}
    )
    route = [{"destination": {"host": "shop"}}]

    result = edited(terminal, VIRTUAL_SERVICE, "shop", {"spec": {"http": [{"route": route}]}}).penstock("plan", PLAN, "--cluster")

    assert (result.code, result.out) == (3, "")
    assert "A release of this plan would be refused:\n" in result.err
    assert "names no port for shop.shop.svc.cluster.local, whose Service has 2 ports" in result.err
    assert "would select both colours" in result.err
    assert "What to do: Give blue's pods a label that names their version" in result.err


def test_what_a_start_would_warn_of_is_said():
    terminal = edited(a_terminal(started=False), DEPLOYMENT, "shop", {"metadata": {"annotations": {"meta.helm.sh/release-name": "shop"}}})

    result = terminal.penstock("plan", PLAN, "--cluster")

    assert result.code == 0
    assert "\nwarning: Deployment shop/shop was installed by Helm release shop" in f"\n{result.err}"


@pytest.mark.long
def test_the_version_that_serves_since_the_last_release_is_not_taken_for_the_next_one():
    """Who names no revision is told v2 in the queries; after the first release v2 is what serves."""
    terminal = a_terminal()
    terminal.until_phase("Succeeded")
    terminal.until(90_000, lambda: terminal.release()["status"]["retention"].get("done"))

    assert terminal.penstock("plan", PLAN, "--cluster").code == 0
    named = terminal.penstock("plan", PLAN, "--cluster", "--revision", "v2")
    assert (named.code, "that revision serves already" in named.err) == (3, True)


@pytest.mark.parametrize("kind", [RELEASE, DESTINATION_RULE, DEPLOYMENT], ids=lambda kind: kind.kind)
def test_what_the_person_may_not_read_is_no_reason_to_refuse_a_release(kind):
    """The controller may."""
    terminal = a_terminal(started=False)
    terminal.kube = Blind(terminal.kube, kind)
    result = terminal.penstock("plan", PLAN, "--cluster", "--mode", "subset")

    assert result.code == 0
    assert "could not be looked at in full" in result.err
    assert "would be refused:" not in result.err


class Blind:
    """An API server that shows nothing of one kind."""

    def __init__(self, kube, kind):
        self.kube, self.kind = kube, kind

    def __getattr__(self, name):
        found = getattr(self.kube, name)

        def asked(*args, **options):
            if args and args[0] == self.kind:
                raise RefusedError(403, "Forbidden", f"{self.kind.plural} is forbidden")
            return found(*args, **options)

        return asked


@pytest.mark.long
def test_a_release_that_runs_is_no_reason_to_refuse_the_next():
    terminal = a_terminal()
    terminal.until_phase("Measuring")
    result = terminal.penstock("plan", PLAN, "--cluster", "--mode", "subset")

    assert result.code == 0
    assert "refused" not in result.err


def test_what_the_person_says_counts():
    assert told(PLAN, "--mode", "subset") == ("subset", "as --mode says")
