"""Whether a controller leads, by the Lease: without one nothing of a release moves, whatever its status says goes on by itself.

Where nobody may read the Lease, or it lies elsewhere, nothing is said: not knowing is no news.
"""

from controller.cli.host import Session
from controller.cli.words import span
from controller.ports import LEASE, KubeError
from controller.runtime.lease import vacancy, view_of

SLACK_SECONDS = 10.0
"""So much longer than its lease a holder may be silent: clocks differ, and another replica takes over meanwhile."""


def nobody_leads(session: Session) -> str:
    """Why nothing goes on, a sentence; "" where a controller leads, and where it cannot be told."""
    from controller.cli.install_objects import NAME, SYSTEM

    try:
        lease = view_of(session.kube.get(LEASE, SYSTEM, NAME))
    except KubeError:
        return ""
    silent = vacancy(lease, session.now)
    if not lease.renewed or silent <= lease.duration + SLACK_SECONDS:
        return ""
    held = f", which {lease.holder} held" if lease.holder else ", which nobody holds"
    return (
        f"No controller leads: the Lease {SYSTEM}/{NAME}{held}, was not renewed for {span(silent)}. "
        "Nothing moves until one does, and traffic stays as it is."
    )
