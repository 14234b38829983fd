"""What lies in `manifests/` is what `penstock install` applies, and it is as narrow as it says."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from controller.adapters.prometheus_config import PrometheusConfig
from controller.cli.install_files import FOLDER, files
from controller.cli.install_objects import Options, all_objects, pod_spec
from controller.cli.install_rights import GREEN_NAMESPACE, HOME, NAMESPACE_MAKER, WATCHED_NAMESPACE, secret_rights
from controller.cli.install_tables import PAGE, page
from controller.runtime.config import ControllerConfig
from tests.bed.prometheus import command

EVERY = (*WATCHED_NAMESPACE, *GREEN_NAMESPACE, *HOME, *NAMESPACE_MAKER, *secret_rights(["db"]))


@pytest.mark.parametrize("path", sorted(files()), ids=lambda path: str(path.relative_to(FOLDER)))
def test_the_file_is_what_its_generator_writes(path):
    assert path.read_text(encoding="utf-8") == files()[path]


def test_no_file_lies_there_that_nobody_generates():
    there = {path for path in FOLDER.rglob("*") if path.is_file() and path.parent.name != "crds"}

    assert there == set(files())


def test_no_right_has_a_wildcard():
    assert [right for right in EVERY if "*" in (*right.verbs, right.kind.plural, right.kind.group, *right.names)] == []


def test_no_default_right_is_on_secrets():
    assert [right for right in (*WATCHED_NAMESPACE, *GREEN_NAMESPACE, *HOME) if right.kind.plural == "secrets"] == []


def test_no_verb_is_given_twice_and_none_escalates():
    for rights in (WATCHED_NAMESPACE, GREEN_NAMESPACE, HOME):
        given = [(right.kind, right.subresource, verb) for right in rights for verb in right.verbs]
        assert len(given) == len(set(given))
        assert not {verb for _, _, verb in given} & {"bind", "escalate", "impersonate", "update", "deletecollection"}


def test_the_pod_meets_the_restricted_standard():
    spec = pod_spec("x")
    security = spec["containers"][0]["securityContext"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def test_the_controller_can_read_its_settings():
    data = next(o for o in all_objects(Options(namespaces=("shop",))) if o["kind"] == "ConfigMap")["data"]
    settings = ControllerConfig.model_validate(yaml.safe_load(data["controller.yaml"]))
    PrometheusConfig.model_validate(yaml.safe_load(data["providers.yaml"]))

    assert settings.namespaces == ["shop"]
    assert settings.providers == "/etc/penstock/providers.yaml"


def test_other_settings_start_other_pods():
    hashes = {
        next(o for o in all_objects(Options(namespaces=names)) if o["kind"] == "Deployment")["spec"]["template"]["metadata"]["annotations"][
            "penstock.dev/settings-hash"
        ]
        for names in (("shop",), ("shop", "other"))
    }

    assert len(hashes) == 2


@pytest.mark.prometheus
def test_prometheus_accepts_the_alerts():
    rules = FOLDER / "optional" / "alerts" / "rules.yaml"
    done = subprocess.run([command("promtool"), "check", "rules", str(rules)], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_speak_of_metrics_that_the_controller_has():
    from controller.runtime.metrics import Metrics

    metrics = Metrics()
    known = {sample for family in metrics.text().splitlines() if family.startswith("# TYPE") for sample in [family.split()[2]]}
    named = set(re.findall(r"penstock_[a-z_]+", (FOLDER / "optional" / "alerts" / "rules.yaml").read_text()))
    missing = {name for name in named if not {name, name.removesuffix("_bucket"), name.removesuffix("_total")} & known}

    assert missing == set()


class TestTheDockerfile:
    """No container engine is here, so that it is only read."""

    LINES = tuple(line.split("#")[0].strip() for line in (Path(__file__).parents[2] / "Dockerfile").read_text().splitlines())

    def last(self, word):
        return [line for line in self.LINES if line.startswith(word)][-1]

    def test_it_does_not_run_as_root(self):
        assert self.last("USER") == "USER 65532:65532"
        assert pod_spec("x")["securityContext"]["runAsUser"] == 65532

    def test_its_entrypoint_is_a_command_of_the_package(self):
        project = (Path(__file__).parents[2] / "pyproject.toml").read_text()

        assert self.last("ENTRYPOINT") == 'ENTRYPOINT ["/opt/penstock/bin/penstock"]'
        assert 'penstock = "controller.cli.entry:main"' in project
        assert self.last("CMD") == 'CMD ["controller"]'

    def test_its_base_can_be_chosen_and_its_build_tools_stay_behind(self):
        stages = [line for line in self.LINES if line.startswith("FROM")]

        assert any(line.startswith("ARG PYTHON_IMAGE=") for line in self.LINES)
        assert len(stages) == 2
        assert stages[0].endswith("AS build")
        assert not any("apt-get" in line for line in self.LINES)

    def test_bytecode_is_compiled_when_it_is_built(self):
        """The root file system is read-only in the cluster, so that imports would compile at every start."""
        assert any("compileall" in line for line in self.LINES)


def test_the_page_on_operating_has_the_rights_as_they_are():
    before = PAGE.read_text(encoding="utf-8")

    assert "| penstock.dev | releases/status | patch |" in before
    assert page(before) == before
