"""`penstock controller`: the production controller in the foreground."""

from typing import Annotated

import typer

from controller.cli import host as hosts


def controller(
    *,
    config: Annotated[str, typer.Option("--config", help="YAML file with the settings; flags win over it.")] = "",
    watched: Annotated[list[str] | None, typer.Option("--namespace", "-n", help="Namespace to watch, repeatable; all if absent.")] = None,
    providers: Annotated[str | None, typer.Option("--providers", help="YAML file that names the Prometheus providers.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, max=64, help="Releases that are looked at side by side.")] = None,
    metrics_bind: Annotated[str | None, typer.Option("--metrics-bind", help="HOST:PORT of /livez, /readyz, /healthz and /metrics.")] = None,
    identity: Annotated[str | None, typer.Option("--identity", help="The controller's user name.")] = None,
    cluster_domain: Annotated[str | None, typer.Option("--cluster-domain", help="Suffix of in-cluster host names.")] = None,
    time_divisor: Annotated[
        float | None, typer.Option("--time-divisor", min=1, max=1_000_000, help="Divides every duration of a plan; for tests.")
    ] = None,
    lease_name: Annotated[str | None, typer.Option("--lease-name", help="Name of the Lease.")] = None,
    lease_namespace: Annotated[str | None, typer.Option("--lease-namespace", help="Namespace of the Lease.")] = None,
    lease_duration: Annotated[str | None, typer.Option("--lease-duration", help="After this much silence another one leads.")] = None,
    lease_renew: Annotated[str | None, typer.Option("--lease-renew", help="Between two renewals.")] = None,
    log_level: Annotated[str | None, typer.Option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")] = None,
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
) -> None:
    """Run the controller in the foreground until SIGTERM or SIGINT; logs are JSON lines on stderr."""
    import gc

    gc.disable()  # until everything is read in: imports make no garbage, only much to walk over
    from controller import compose
    from controller.runtime.config import load_config
    from controller.runtime.logs import log_to

    settings = load_config(
        config, namespaces=watched or None, kubeconfig=kubeconfig or None, context=context or None, providers=providers, workers=workers,
        listen=metrics_bind, identity=identity, cluster_domain=cluster_domain, time_divisor=time_divisor, log_level=log_level,
        lease_name=lease_name, lease_namespace=lease_namespace, lease_duration=lease_duration, lease_renew=lease_renew,
    )  # fmt: skip
    log_to(level=settings.log_level)
    code = compose.run(settings)
    if code:
        raise typer.Exit(code)
