"""`penstock install`: print or apply what the cluster needs, CRDs first. An upgrade is the same command run again.

What an earlier run chose (namespaces, providers, settings, image) is read from the cluster and kept where the flags say
nothing else. Everything is applied server-side under our field manager, so that others' labels and fields stay.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
import yaml

from controller.adapters.marks import mapping, metadata
from controller.adapters.prometheus_config import PrometheusConfig
from controller.api.crd import KubectlDumper, definitions
from controller.cli import host as hosts
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import Session, check_name_of, say, tell
from controller.cli.install_kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, KINDS, ROLE, find
from controller.cli.install_namespaces import check_dropped, check_not_taken, still_watched, take_rights
from controller.cli.install_objects import NAME, SYSTEM, Options, all_objects, copied_labels, default_image
from controller.cli.naming import NamingError, revision_of, with_tag
from controller.cli.uninstall import uninstall
from controller.ports import CONFIG_MAP, CRD, DEPLOYMENT, NAMESPACE, Kind, Kube, KubeError, NotFoundError, Obj, Patch
from controller.runtime.config import ControllerConfig

__all__ = ["install", "uninstall"]

ESTABLISH_SECONDS = 60.0
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """What the flags say; None or empty where they say nothing."""

    namespaces: tuple[str, ...]
    green_namespaces: tuple[str, ...]
    cluster_wide: bool
    home: str
    image: str
    prometheus: str
    secrets: tuple[str, ...]
    policies: bool
    dropped: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """Namespaces that are to be there."""
        return (*self.namespaces, *self.green_namespaces, self.home)


Namespaces = Annotated[list[str] | None, typer.Option("--namespace", "-n", help="With plans in it; repeatable.", show_default=False)]
Greens = Annotated[
    list[str] | None, typer.Option("--green-namespace", help="That only holds a slot; made if missing; repeatable.", show_default=False)
]
Dropped = Annotated[
    list[str] | None, typer.Option("--drop-namespace", help="No longer watched; its Role goes; repeatable.", show_default=False)
]
Secrets = Annotated[
    list[str] | None, typer.Option("--secret", help="Name of a Secret that members bring along; repeatable.", show_default=False)
]
Policies = Annotated[bool, typer.Option("--admission-policies", help="Also the admission policies (from Kubernetes 1.30).")]
Image = Annotated[str, typer.Option("--image", help="Image of the controller.", show_default=False)]
PrometheusUrl = Annotated[str, typer.Option("--prometheus", help="Address of Prometheus, the default provider.", show_default=False)]


def install(
    ctx: typer.Context,
    *,
    namespace: Namespaces = None,
    green_namespace: Greens = None,
    drop_namespace: Dropped = None,
    cluster_wide: Annotated[bool, typer.Option("--cluster-wide", help="Watch all namespaces, by a ClusterRole.")] = False,
    image: Image = "",
    prometheus: PrometheusUrl = "",
    secret: Secrets = None,
    admission_policies: Policies = False,
    home: Annotated[str, typer.Option("--controller-namespace", help="Namespace of the controller.")] = SYSTEM,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print YAML instead of applying it; asks no cluster.")] = False,
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
) -> None:
    """Print or apply what the cluster needs; run it again to upgrade, or to add or drop namespaces."""
    plans, greens, dropped = tuple(namespace or ()), tuple(green_namespace or ()), tuple(drop_namespace or ())
    asked = Asked(plans, greens, cluster_wide, home, image, prometheus, tuple(secret or ()), admission_policies, dropped)
    check_asked(asked)
    check_dropped(dropped, asked.named, cluster_wide=cluster_wide, dry_run=dry_run)
    if dry_run:
        tell(as_yaml([*definitions().values(), *all_objects(options_of(asked, {}, "default"))]))
        return
    session = hosts.open_session(ctx, "", context, kubeconfig)
    apply_all(session, asked)


def check_asked(asked: Asked) -> None:
    """Refuse what cannot be meant."""
    named = {"--namespace": asked.namespaces, "--green-namespace": asked.green_namespaces, "--drop-namespace": asked.dropped}
    for option, names in (named | {"--controller-namespace": (asked.home,), "--secret": asked.secrets}).items():
        for name in names:
            check_name_of(option, name)
    if asked.cluster_wide and asked.namespaces:
        raise CommandError(ExitCode.USAGE, "--cluster-wide watches all namespaces already: leave --namespace out.")
    if asked.secrets and not (asked.namespaces or asked.green_namespaces):
        raise CommandError(ExitCode.USAGE, "--secret gives rights in named namespaces: add --namespace or --green-namespace.")
    if asked.image:
        try:
            revision_of(asked.image)
        except NamingError as error:
            what = f"--image {asked.image} has neither a tag nor a digest, so nobody could tell which controller runs"
            raise CommandError(ExitCode.USAGE, f"{what}: write {with_tag(asked.image)}.") from error
    if asked.prometheus:
        try:
            PrometheusConfig.model_validate(providers_of(asked.prometheus))
        except ValueError as error:
            words = str(error).splitlines()[2].strip().removeprefix("Value error, ").partition(" [type=")[0]
            raise CommandError(ExitCode.USAGE, f"--prometheus cannot be used: {words}.") from error


def providers_of(url: str) -> dict[str, Any]:
    """The providers' file with one provider."""
    return {"providers": [{"name": "default", "url": url}]}


def options_of(asked: Asked, before: Mapping[str, str], fallback: str) -> Options:
    """The flags over what stands in the cluster; `fallback` is watched where neither names a namespace.

    Args:
        asked: the flags.
        before: data of the installed ConfigMap, empty where there is none.
        fallback: a namespace.
    """
    settings = installed(before, "controller.yaml")
    known = tuple(str(name) for name in settings.get("namespaces") or ())
    everywhere = asked.cluster_wide or (bool(before) and not known and not asked.namespaces)
    old = tuple(name for name in known if name not in asked.green_namespaces)
    named = tuple(dict.fromkeys((*old, *asked.namespaces)))
    kept = installed(before, "providers.yaml") or {"providers": []}
    return Options(
        namespaces=() if everywhere else named or (fallback,),
        green_namespaces=asked.green_namespaces,
        cluster_wide=everywhere,
        home=asked.home,
        image=asked.image or default_image(),
        settings={key: value for key, value in settings.items() if key in ControllerConfig.model_json_schema()["properties"]},
        providers=providers_of(asked.prometheus) if asked.prometheus else kept,
        secrets=asked.secrets,
        policies=asked.policies,
    )


def installed(data: Mapping[str, str], file: str) -> Mapping[str, Any]:
    """A file of the installed ConfigMap; empty where there is none. One that somebody broke is not written over."""
    try:
        return mapping(yaml.safe_load(data.get(file, "")))
    except yaml.YAMLError as error:
        sentence = f"{file} in the installed ConfigMap {NAME} is not valid YAML: mend it or delete the ConfigMap, then install again."
        raise CommandError(ExitCode.REFUSED, sentence) from error


def as_yaml(objects: Iterable[Obj]) -> str:
    """Documents for `kubectl apply -f -`."""
    return str(yaml.dump_all(objects, Dumper=KubectlDumper, sort_keys=False, width=140)).rstrip()


def apply_all(session: Session, asked: Asked) -> None:
    """CRDs first, served, then the rest."""
    kube = session.kube
    for kind, name in [(NAMESPACE, asked.home), *((CRD, crd["metadata"]["name"]) for crd in definitions().values())]:
        wait_deleted(session, kind, name)
    options = with_present(kube, asked, session.namespace)
    if find(kube, CONFIG_MAP, asked.home, NAME):
        options = still_watched(session, options, asked.named, asked.dropped)
    check_not_taken(kube, options)
    options = with_labels(kube, options)
    for crd in definitions().values():
        apply(kube, crd)
    for crd in definitions().values():
        wait_established(session, crd["metadata"]["name"])
    for obj in all_objects(options):
        # Somebody else's namespace is left as it is; applied without its labels, one that we made would lose them.
        if obj["kind"] != "Namespace" or obj["metadata"]["name"] == options.home or not find(kube, NAMESPACE, "", obj["metadata"]["name"]):
            apply(kube, obj)
    for name in asked.dropped:
        take_rights(kube, name)
    if not options.cluster_wide:
        forget_cluster_wide(kube)
    say_installed(options, named=bool(asked.image))


def say_installed(options: Options, *, named: bool) -> None:
    """What runs now, and what it still lacks; `named` is whether a flag named the image."""
    where = "all namespaces" if options.cluster_wide else ", ".join(options.watched)
    say(f"Installed {options.image} in {options.home}, for {where}.")
    if not named and options.image == default_image():
        say("That image names no registry: run `penstock install --image REGISTRY/penstock:TAG`, unless every node has it.")
    if not options.providers.get("providers"):
        say("It has no Prometheus yet: run `penstock install --prometheus URL`, or every check will be without data.")


def with_present(kube: Kube, asked: Asked, fallback: str) -> Options:
    """The options, with what an earlier run chose; which of its namespaces are green's is told by their Roles."""
    before = mapping(find(kube, CONFIG_MAP, asked.home, NAME).get("data"))
    options = options_of(asked, before, fallback)
    green = [name for name in options.namespaces if name not in asked.namespaces and is_green(find(kube, ROLE, name, NAME))]
    deployed = mapping(mapping(mapping(find(kube, DEPLOYMENT, asked.home, NAME).get("spec")).get("template")).get("spec")).get("containers")
    standing = str(mapping((deployed or [{}])[0]).get("image", ""))
    return replace(
        options,
        namespaces=tuple(name for name in options.namespaces if name not in green),
        green_namespaces=tuple(dict.fromkeys((*options.green_namespaces, *green))),
        image=asked.image or standing or default_image(),
    )


def is_green(role: Obj) -> bool:
    """Whether a Role of ours is the one of a namespace that only holds a slot: it writes no release's status."""
    resources = {resource for rule in role.get("rules") or [] for resource in rule.get("resources") or []}
    return bool(resources) and "releases/status" not in resources


def with_labels(kube: Kube, options: Options) -> Options:
    """Green's namespace, where it has to be made, gets what decides about injection and pod security in the first plan's."""
    source = mapping(metadata(find(kube, NAMESPACE, "", options.namespaces[0])).get("labels")) if options.namespaces else {}
    missing = [name for name in options.green_namespaces if not find(kube, NAMESPACE, "", name)]
    return replace(options, labels={name: copied_labels(source) for name in missing})


def apply(kube: Kube, obj: Obj) -> None:
    """Server-side apply of one object; the sentence names it where the server refuses."""
    meta = obj["metadata"]
    kind = KINDS[str(obj["kind"])]
    try:
        kube.patch(kind, str(meta.get("namespace", "")), str(meta["name"]), obj, Patch.APPLY)
    except NotFoundError as error:
        # Elsewhere a 404 means that Penstock is not installed, which is no help here.
        what = f"{kind.kind} {meta['name']} ({kind.api_version}) could not be applied"
        raise CommandError(ExitCode.REFUSED, f"{what}: {error}") from error
    except KubeError as error:
        error.args = (f"{kind.kind} {meta['name']} could not be applied: {error}",)
        raise


def wait_deleted(session: Session, kind: Kind, name: str) -> None:
    """Where an uninstall is still at work on it: what is applied to an object that is going goes with it."""
    end = session.now + ESTABLISH_SECONDS
    while metadata(find(session.kube, kind, "", name)).get("deletionTimestamp"):
        if session.now >= end:
            raise CommandError(ExitCode.TIMED_OUT, f"{kind.kind} {name} is still being deleted; run it again.")
        session.host.sleep(POLL_SECONDS)


def wait_established(session: Session, name: str) -> None:
    """Until the API server serves the kind."""
    end = session.now + ESTABLISH_SECONDS
    while True:
        conditions = mapping(find(session.kube, CRD, "", name).get("status")).get("conditions") or []
        if any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions):
            return
        refused = [one for one in conditions if one.get("type") == "NamesAccepted" and one.get("status") == "False"]
        if refused:
            raise CommandError(ExitCode.REFUSED, f"The API server does not accept the CRD {name}: {refused[0].get('message')}.")
        if session.now >= end:
            raise CommandError(ExitCode.TIMED_OUT, f"The CRD {name} was not established within {ESTABLISH_SECONDS:.0f} s; run it again.")
        session.host.sleep(POLL_SECONDS)


def forget_cluster_wide(kube: Kube) -> None:
    """A namespaced installation keeps no cluster-wide right of an earlier one."""
    for kind in (CLUSTER_ROLE_BINDING, CLUSTER_ROLE):
        obj = find(kube, kind, "", NAME)
        if obj and mapping(metadata(obj).get("labels")).get("app.kubernetes.io/managed-by") == "penstock-install":
            kube.delete(kind, "", NAME, uid=str(metadata(obj)["uid"]))
