"""`penstock preflight` on a real Prometheus whose blocks hold a day of blue, beside the file that they were made of."""

import json
import subprocess

import pytest

from controller.cli.main import run
from tests.bed.prometheus import Prometheus, command
from tests.cli.test_judge import as_openmetrics
from tests.cli.test_preflight import BEGIN, WINDOW, day, plan
from tests.cli.test_preflight_gauges import HOURS, flown, heaps

pytestmark = pytest.mark.prometheus


def backfilled(samples, text):
    """A server whose blocks are made of these samples."""
    samples.write_text(text)
    server = Prometheus()
    data = server.folder / "data"
    subprocess.run([command("promtool"), "tsdb", "create-blocks-from", "openmetrics", samples, data], check=True, capture_output=True)
    (data / "wal").mkdir()
    return server


def test_a_gauge_in_a_real_server_measures_as_in_the_simulated_one(tmp_path, monkeypatch, capsys):
    """Both evaluate the same subqueries."""
    server = backfilled(tmp_path / "samples.txt", as_openmetrics(day(HOURS) | heaps(3)).replace("# TYPE istio_requests counter\n", ""))
    _, simulated = flown(tmp_path, monkeypatch, capsys)
    monkeypatch.undo()
    with server:
        run(
            [
                "preflight",
                str(tmp_path / "plan.yaml"),
                *WINDOW,
                str(BEGIN + HOURS * 3600),
                "--dry-run",
                "-o",
                "json",
                "--prometheus",
                server.url,
            ]
        )
    real = json.loads(capsys.readouterr().out)

    assert real["unmeasuredGauges"] == {}
    assert real["measured"]["gauges"][0]["variance"] == pytest.approx(simulated["measured"]["gauges"][0]["variance"], rel=0.05)


def test_a_day_in_a_real_server_measures_as_its_file_does(tmp_path, capsys):
    samples = tmp_path / "samples.txt"
    server = backfilled(samples, as_openmetrics(day(24, burst=4, n=100)))
    words = ["preflight", plan(tmp_path / "plan.yaml"), *WINDOW, str(BEGIN + 24 * 3600), "--dry-run", "-o", "json"]
    told = []

    codes = [run([*words, "--file", str(samples)])]
    told.append(json.loads(capsys.readouterr().out))
    with server:
        codes.append(run([*words, "--prometheus", server.url]))
    told.append(json.loads(capsys.readouterr().out))

    assert codes == [0, 0]
    assert told[0] == told[1]
    assert told[0]["measured"]["hours"] == pytest.approx(24, abs=0.1)
    assert told[0]["measured"]["checks"][0]["lines"][0]["bursts"] == pytest.approx(4, rel=0.15)
    assert told[0]["releases"]["stretches"] > 50
