"""`penstock judge` on a real Prometheus and on what its own tool dumps, beside the file that both were made of."""

import shutil
import subprocess

import pytest

from tests.bed.prometheus import Prometheus
from tests.cli.test_judge import ARMS, WINDOW, as_openmetrics, judged, release

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool on the PATH: it comes with prometheus"),
]


def test_server_dump_and_file_give_the_same_verdict(tmp_path, capsys):
    samples = tmp_path / "samples.txt"
    samples.write_text(as_openmetrics(release(0.03)))
    server = Prometheus()
    data = server.folder / "data"
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", samples, data], check=True, capture_output=True)
    (data / "wal").mkdir()
    dump = tmp_path / "dump.txt"
    dump.write_bytes(subprocess.run(["promtool", "tsdb", "dump", data], check=True, capture_output=True).stdout)

    told = [judged(capsys, *ARMS, *WINDOW, "--file", str(path)) for path in (samples, dump)]
    with server:
        told.append(judged(capsys, *ARMS, *WINDOW, "--prometheus", server.url))

    assert told[0][0] == 3
    assert told[1:] == told[:1] * 2
