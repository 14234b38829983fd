"""Record the answers of a real API server: `python -m tests.conformance.record`. Needs the binaries of the bed."""

import json
import ssl
from pathlib import Path

import httpx

from tests.bed.cluster import Bed
from tests.conformance.conversation import Server, all_cases, definitions, hold

GOLDEN = Path(__file__).parent / "golden.json"


def prepared(bed: Bed) -> Server:
    """A client of the bed, with the cases' custom resources installed."""
    bed.install_crds(definitions())
    client = httpx.Client(
        base_url=bed.url,
        headers={"Authorization": f"Bearer {bed.token('admin')}"},
        verify=ssl.create_default_context(cafile=bed.ca_file),
        timeout=30,
    )
    return Server(client, patience_seconds=30.0)


def main() -> None:
    """Hold every conversation with a real server and write the answers."""
    with Bed() as bed:
        server = prepared(bed)
        answers = {name: hold(server, case) for name, case in all_cases().items()}
    GOLDEN.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
