"""The real Prometheus as the reference: started, fed and asked.

Run as a script to record its answers for the tests that run without it.
"""

import contextlib
import json
import math
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import httpx
import promql_third
from promql_comparison import differences, tidy
from promql_dataset import RANGE, TIMES, dataset

from controller.simulator.promql.gomath import is_stale
from tests.bed.processes import PortLease
from tests.bed.prometheus import command, version

HERE = Path(__file__).parent
ANSWERS = HERE / "answers.json"


def queries():
    """The list, without comments."""
    lines = (HERE / "queries.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def varint(number):
    """Protobuf's variable-length integer."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, payload):
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def bits(value):
    """A float as Prometheus stores it: its own two NaNs."""
    if is_stale(value):
        return struct.pack("<Q", 0x7FF0000000000002)
    return struct.pack("<Q", 0x7FF8000000000001) if math.isnan(value) else struct.pack("<d", value)


def write_request(series):
    """A remote-write request, protobuf in snappy's framing of plain literals."""
    body = b""
    for labels, samples in series:
        pairs = sorted((key, value) for key, value in labels.items() if value)
        one = b"".join(field(1, field(1, key.encode()) + field(2, value.encode())) for key, value in pairs)
        for time, value in samples:
            one += field(2, b"\x09" + bits(value) + b"\x10" + varint(round(time * 1000)))
        body += field(1, one)
    out = varint(len(body))
    for start in range(0, len(body), 65536):
        chunk = body[start : start + 65536]
        out += b"\xf4" + struct.pack("<H", len(chunk) - 1) + chunk
    return out


@contextlib.contextmanager
def prometheus():
    """An HTTP client to a Prometheus that holds the dataset."""
    ports = PortLease()
    with tempfile.TemporaryDirectory() as folder:
        address = f"127.0.0.1:{ports.take()}"
        config, log = Path(folder, "empty.yml"), Path(folder, "log")
        config.touch()
        argv = [command(), f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
        argv += ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=100y"]
        process = subprocess.Popen(argv, stdout=log.open("w"), stderr=subprocess.STDOUT)
        try:
            with httpx.Client(base_url=f"http://{address}", timeout=30) as client:
                wait_ready(client, process, log)
                headers = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
                client.post("/api/v1/write", content=write_request(dataset()), headers=headers).raise_for_status()
                yield client
        finally:
            process.terminate()
            process.wait(30)
            ports.release()


def wait_ready(client, process, log):
    """Return once Prometheus answers."""
    pause = threading.Event()
    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.TransportError):
            if client.get("/-/ready").status_code == 200:
                return
        pause.wait(0.05)
    raise RuntimeError(f"prometheus did not start: {log.read_text()[-2000:]}")


def requests_of(query):
    """What is asked about one query: path and parameters."""
    instant = [("/api/v1/query", {"query": query, "time": str(time)}) for time in TIMES]
    start, end, step = RANGE
    return [*instant, ("/api/v1/query_range", {"query": query, "start": str(start), "end": str(end), "step": str(step)})]


def ask(client, query, limit=None):
    """The real answers about one query, or the first few of them."""
    replies = [client.post(path, data=data) for path, data in requests_of(query)[:limit]]
    return [tidy(reply.status_code, reply.json()) for reply in replies]


def is_third():
    """Whether the real one is a Prometheus 3."""
    return version(command()) >= (3, 0)


def record():
    """Write the real answers beside the queries; of a Prometheus 3 those that differ."""
    with prometheus() as client:
        answers = {query: ask(client, query) for query in queries()}
        said = client.get("/api/v1/status/buildinfo").json()["data"]["version"]
    if not is_third():
        ANSWERS.write_text(written(answers))
        return
    known = json.loads(ANSWERS.read_text())
    other = {query: found for query, found in answers.items() if differences(query, found, known[query])}
    promql_third.ANSWERS.write_text(f'{{"version": {json.dumps(said)}, "answers": {written(other).strip()}}}\n')


def written(answers):
    """Answers as JSON, one query a line."""
    lines = ",\n".join(f"{json.dumps(query)}: {json.dumps(found, separators=(',', ':'))}" for query, found in answers.items())
    return "{\n" + lines + "\n}\n"


if __name__ == "__main__":
    sys.exit(record())
