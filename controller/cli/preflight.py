"""`penstock preflight`: blue against itself over its last day, before a release is judged by these numbers."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.model import Window
from controller.adapters.kube_errors import ConfigError
from controller.adapters.prometheus import HttpPrometheus, HttpProviders
from controller.adapters.prometheus_config import load_config
from controller.api.measured import Measured
from controller.api.plan import PlanSpec
from controller.cli import complete
from controller.cli import host as hosts
from controller.cli.exits import CommandError, ExitCode, explain_fault
from controller.cli.host import Host, Session, check_format, host_of, open_session, print_object, tell
from controller.cli.judge import FileOption, FromOption, PrometheusOption, ToOption, moment_of
from controller.cli.judge_prometheus import connected
from controller.cli.naming import apart
from controller.cli.plan import read
from controller.cli.preflight_measure import Place3, examine
from controller.cli.preflight_read import FileSamples, ServerSamples, Sources
from controller.cli.preflight_words import Told, as_json, print_text, sentences
from controller.ports import RELEASE_PLAN, KubeError, NotFoundError, Obj, Patch
from controller.runtime.config import load_config as load_controller

PLAN_HELP = "Name of a ReleasePlan in the cluster, or a file with one."
PROVIDERS_HELP = "The controller's file of Prometheus providers: each check asks its own, with its credentials."
HOURS_HELP = "Time of blue that is looked at, where --from does not say when it begins."
CONFIG_HELP = "The controller's own configuration: every plan in its namespaces, asked of its providers, in place of PLAN."
USAGE = "Name a plan, and where blue's samples are: --prometheus URL, --providers FILE or --file PATH; or --config FILE for every plan."
NO_SOURCE = "Where are blue's samples? Write penstock preflight {} --prometheus URL, or --providers FILE, or --file PATH."
DRY_HELP = "Print only; store nothing."
FORMAT_HELP = "json for machines; yaml to paste into the plan: of a plan in a file it only prints, and needs no cluster."
HoursOption = Annotated[float, typer.Option("--hours", help=HOURS_HELP, min=0.1, max=10_000)]
ProvidersOption = Annotated[Path | None, typer.Option("--providers", help=PROVIDERS_HELP, show_default=False)]
ConfigOption = Annotated[Path | None, typer.Option("--config", help=CONFIG_HELP, show_default=False)]
DryOption = Annotated[bool, typer.Option("--dry-run", help=DRY_HELP)]
FormatOption = Annotated[str, hosts.format_option(FORMAT_HELP, "json", "yaml")]

_HOUR = 3600.0


def preflight(
    ctx: typer.Context,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help=PLAN_HELP, autocompletion=complete.plans, show_default=False)] = "",
    *,
    prometheus: PrometheusOption = "",
    providers: ProvidersOption = None,
    config: ConfigOption = None,
    file: FileOption = None,
    hours: HoursOption = 24.0,
    since: FromOption = "",
    until: ToOption = "now",
    dry_run: DryOption = False,
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: FormatOption = "",
) -> None:
    """Release blue against itself over its last day, measure how its requests depend on each other, and store that for the plan.

    Some of blue's pods play green, so that every rollback is a false one. Ends with 0 where the numbers can be used, 3 where no dispersion
    keeps blue from being rolled back or no stage is long enough to find anything, 4 where too little is known. With --config every plan of
    the controller is looked at, and 0 means that each of them could be.
    """
    check_format(output, ("", "json", "yaml"))
    given = [bool(prometheus), bool(providers), bool(file), bool(config)].count(True)
    if plan and not given:
        raise CommandError(ExitCode.USAGE, NO_SOURCE.format(plan))
    if given != 1 or bool(plan) == bool(config):
        raise CommandError(ExitCode.USAGE, USAGE)
    host = host_of(ctx)
    window = _window(host, since, until, hours)
    if config is not None:
        raise typer.Exit(int(_every(config, window, lambda where: open_session(ctx, where, context, kubeconfig), dry_run=dry_run)))
    printed = dry_run or output == "yaml"
    place, session = _plan(plan, namespace, lambda where: open_session(ctx, where, context, kubeconfig), offline=printed)
    with _sources(prometheus, providers, tuple(file or ()), window, place[2]) as sources:
        told = _looked_at(place, sources, window, session, dry_run=dry_run)
    if output == "json":
        print_object(as_json(told), "json")
    elif output == "yaml":
        print_object({"analysis": {"measured": _wire(told.measured)} if told.measured is not None else {}}, "yaml")
    else:
        print_text(told)
    raise typer.Exit(int(told.code))


def _looked_at(place: Place3, sources: Sources, window: Window, session: Session | None, *, dry_run: bool) -> Told:
    """One plan, measured, and stored where that is usable and asked for."""
    told = examine(place, sources, window, session.kube if session is not None else None)
    if not told.usable or dry_run or session is None:
        return told
    _store(session, place, told)
    return told.after_storing(place[2])


def _every(config: Path, window: Window, connect: Callable[[str], Session], *, dry_run: bool) -> ExitCode:
    """Every plan that the controller of this configuration looks after, one line each; a plan that cannot be looked at stops no other."""
    settings = load_controller(str(config))
    if not settings.providers:
        raise ConfigError(f"The controller's configuration {config} names no file of providers, so that nobody could be asked.")
    worst = ExitCode.REACHED
    with _named(Path(settings.providers)) as sources:
        for namespace in settings.namespaces or [""]:
            session = connect(namespace)
            for found in session.kube.list(RELEASE_PLAN, namespace).items:
                worst = max(worst, _one_of_many(found, sources, window, session, dry_run=dry_run))
    return worst


def _one_of_many(found: Obj, sources: Sources, window: Window, session: Session, *, dry_run: bool) -> ExitCode:
    """One line about one plan; the code says only whether it could be looked at, not what is wrong with the plan."""
    from controller.adapters.records import plan_view

    namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
    view = plan_view(found)
    if view.spec is None:
        tell(f"{namespace}/{name}: cannot be used: {view.problem}.")
        return ExitCode.REACHED
    try:
        told = _looked_at((namespace, name, view.spec), sources, window, session, dry_run=dry_run)
    except (CommandError, KubeError) as error:
        fault = error if isinstance(error, CommandError) else explain_fault(error)
        tell(f"{namespace}/{name}: {fault.sentence}")
        return ExitCode.REACHED if fault.code in (ExitCode.NO, ExitCode.USAGE) else fault.code
    tell(f"{namespace}/{name}: {' '.join(sentences(told))}")
    return ExitCode.REACHED


@contextmanager
def _named(providers: Path) -> Iterator[Sources]:
    """Each check asks the provider that it names."""
    with closing(HttpProviders(load_config(providers))) as every:
        yield Sources(lambda name: ServerSamples(found) if (found := every.provider(name)) is not None else None)


@contextmanager
def _sources(prometheus: str, providers: Path | None, files: tuple[Path, ...], window: Window, spec: PlanSpec) -> Iterator[Sources]:
    """Whom each check of the plan asks; connections are closed behind it. Raises `CommandError` and `ConfigError`."""
    if files:
        samples = FileSamples(files, window)
        yield Sources(lambda _name: samples)
    elif providers is not None:
        with _named(providers) as sources:
            yield sources
    else:
        names = sorted({check.provider for check in spec.checks if check.sequential})
        if len(names) > 1:
            said = ", ".join(name or "the default" for name in names)
            sentence = f"The plan's checks ask several providers ({said}): give the controller's file by --providers."
            raise CommandError(ExitCode.USAGE, sentence)
        server = connected(prometheus)
        with closing(server) if isinstance(server, HttpPrometheus) else nullcontext():
            one = ServerSamples(server)
            yield Sources(lambda _name: one)


def _window(host: Host, since: str, until: str, hours: float) -> Window:
    now = host.now()
    end = moment_of(until, now, "--to")
    window = Window(moment_of(since, now, "--from") if since else end - hours * _HOUR, end)
    if window.seconds <= 0:
        raise CommandError(ExitCode.USAGE, f"The time ends before it begins: --from {since} --to {until}.")
    return window


def _plan(text: str, namespace: str, connect: Callable[[str], Session], *, offline: bool) -> tuple[Place3, Session | None]:
    """The plan, of a file or of the cluster, and the way to the cluster; none where a file is only looked at."""
    from controller.adapters.records import plan_view

    known = apart(text)[-1]
    if Path(text).is_file() or Path(known).name != known or Path(known).suffix in (".yaml", ".yml", ".json"):
        name, own, spec = read(Path(text))
        place = (namespace or own, name, spec)
        return place, None if offline else connect(place[0])
    plan, session = hosts.check_name_of("PLAN", text, "plans"), connect(namespace)
    try:
        view = plan_view(session.kube.get(RELEASE_PLAN, session.namespace, plan))
    except NotFoundError as error:
        raise CommandError(ExitCode.NO, f"There is no plan {plan} in namespace {session.namespace}, and no such file.") from error
    if view.spec is None:
        raise CommandError(ExitCode.NO, f"Plan {plan} cannot be used: {view.problem}.")
    return (session.namespace, plan, view.spec), session


def _wire(measured: Measured) -> dict[str, Any]:
    """As the API server takes it: nothing is null."""
    return measured.model_dump(mode="json", exclude_none=True)


def _store(session: Session, place: Place3, told: Told) -> None:
    """Write it into the plan's status. Raises `CommandError` where there is no such plan, `KubeError`s otherwise."""
    namespace, name, _ = place
    assert told.measured is not None  # noqa: S101 - only called for usable results
    try:
        uid = session.kube.get(RELEASE_PLAN, namespace, name)["metadata"]["uid"]
        body = {"metadata": {"uid": uid}, "status": {"measured": _wire(told.measured)}}
        session.kube.patch(RELEASE_PLAN, namespace, name, body, Patch.MERGE, subresource="status")
    except NotFoundError as error:
        sentence = f"There is no plan {name} in namespace {namespace} to store this for; --dry-run prints it, -o yaml as part of a plan."
        raise CommandError(ExitCode.REFUSED, sentence) from error
