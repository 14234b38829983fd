"""`penstock judge` on a real Prometheus and on what its own tool dumps, beside the file that both were made of."""

import subprocess

import httpx
import pytest

from controller.cli.judge_selectors import BUCKETS, REQUESTS
from tests.bed.prometheus import Prometheus, command, version
from tests.cli.test_judge import ARMS, BEGIN, HISTORY, LOOKS, STEP, WINDOW, as_openmetrics, judged, release
from tests.cli.test_judge_plan import CHECKS, TRIGGERS, world, written

ANSWERED = {"CheckAsks", "BeyondLimit", "WithinLimit", "ScoreFailed"}
"""Of the plan's other checks and its trigger, on a version with a larger heap."""

pytestmark = pytest.mark.prometheus


def ranged(url, metric, folder):
    """The answer of a range query as a file; its steps are the scrapes."""
    times = {"start": BEGIN - STEP * HISTORY, "end": BEGIN + STEP * LOOKS, "step": STEP}
    path = folder / f"{metric}.json"
    path.write_bytes(httpx.get(f"{url}/api/v1/query_range", params={"query": metric, **times}).content)
    return path


def decided(told):
    """The exit code and every verdict, without numbers."""
    code, found = told
    return code, [[(one["check"], one["outcome"], one["reason"]) for one in found[part]] for part in ("checks", "beside")]


@pytest.mark.parametrize("planned", [False, True], ids=["selectors", "a plan of every kind"])
def test_server_dump_file_and_range_query_give_the_same_verdict(planned, tmp_path, capsys):
    samples = tmp_path / "samples.txt"
    samples.write_text(as_openmetrics(world(heap=1.6) if planned else release(0.03)))
    plan = ["--plan", written(tmp_path, CHECKS.values(), triggers=[TRIGGERS["rate"]])] if planned else []
    metrics = [REQUESTS, BUCKETS, *(["heap_bytes", "paid_total"] if planned else [])]
    server = Prometheus()
    data = server.folder / "data"
    subprocess.run([command("promtool"), "tsdb", "create-blocks-from", "openmetrics", samples, data], check=True, capture_output=True)
    (data / "wal").mkdir()
    dump = tmp_path / "dump.txt"
    dump.write_bytes(subprocess.run([command("promtool"), "tsdb", "dump", data], check=True, capture_output=True).stdout)

    asked = [*ARMS, *WINDOW, *plan]
    told = [judged(capsys, *asked, "--file", str(path)) for path in (samples, dump)]
    with server:
        told.append(judged(capsys, *asked, "--prometheus", server.url))
        ranges = [word for metric in metrics for word in ("--file", str(ranged(server.url, metric, tmp_path)))]
    told.append(judged(capsys, *asked, *ranges))

    assert told[0][0] == 3
    assert {one["reason"] for one in told[0][1]["beside"]} == (ANSWERED if planned else set())
    # Files are evaluated as Prometheus 2 does it; a 3 weighs the ends of a range a little differently: numbers are not compared then.
    shown = decided if version(command()) >= (3, 0) else list
    assert [shown(one) for one in told[1:]] == [shown(told[0])] * 3
