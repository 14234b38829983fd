"""What one version was not seen doing is never a pass of `penstock judge`, however sound the rest is."""

import pytest

from controller.cli.main import run
from tests.cli.test_judge import ARMS, BEGIN, LOOKS, STEP, WINDOW, as_dump, judged, release


def without(workload, when, series):
    """The samples but those of this version at looks for which `when` holds."""
    return {
        labels: [
            (time, value) for time, value in samples if dict(labels)["destination_workload"] != workload or not when((time - BEGIN) / STEP)
        ]
        for labels, samples in series.items()
    }


def told(capsys, tmp_path, series, *more):
    path = tmp_path / "samples"
    path.write_text(as_dump(series))
    return judged(capsys, *ARMS, *WINDOW, "--file", str(path), *more)


def test_a_histogram_that_cannot_be_read_is_named_with_its_version(capsys, tmp_path):
    series = {
        labels: samples
        for labels, samples in release().items()
        if not {("destination_workload", "shop-green"), ("le", "+Inf")} <= set(labels)
    }
    code, _ = told(capsys, tmp_path, series)
    path = tmp_path / "samples"
    run(["judge", *ARMS, *WINDOW, "--file", str(path)])
    said = capsys.readouterr().err

    assert code == 4
    assert "A histogram of the candidate cannot be read: the histogram " in said
    assert 'destination_workload="shop-green"' in said
    assert "has no +Inf bucket." in said


def test_in_a_short_window_the_first_scrape_is_not_late(capsys, tmp_path):
    """A tenth of it is less than a scrape."""
    path = tmp_path / "samples"
    path.write_text(as_dump(release()))
    short = ["--from", str(BEGIN + 5), "--to", str(BEGIN + 65)]

    assert judged(capsys, *ARMS, *short, "--file", str(path))[1]["missing"] == []


@pytest.mark.parametrize(("workload", "arm"), [("shop", "baseline"), ("shop-green", "candidate")])
class TestEitherVersion:
    def test_samples_that_end_before_the_window_are_no_pass(self, workload, arm, capsys, tmp_path):
        code, found = told(capsys, tmp_path, without(workload, lambda look: look > 30, release()))

        assert (code, found["outcome"]) == (4, "inconclusive")
        assert found["sentence"] == (
            f"The {arm}'s samples end at 2023-11-14 22:20:50 UTC, 12m30s before the window's end: what was after them nobody saw."
        )

    def test_samples_that_begin_after_the_others_are_no_pass(self, workload, arm, capsys, tmp_path):
        code, found = told(capsys, tmp_path, without(workload, lambda look: look < 6, release()))
        other = "candidate" if arm == "baseline" else "baseline"

        assert (code, found["outcome"]) == (4, "inconclusive")
        assert found["sentence"] == (
            f"The {arm}'s samples begin at 2023-11-14 22:14:50 UTC, 1m30s after the {other}'s: nobody saw it before. "
            f"Both were seen from then on: --from {BEGIN + 90}."
        )

    def test_from_the_time_that_is_named_on_it_passes(self, workload, arm, capsys, tmp_path):
        path = tmp_path / "samples"
        path.write_text(as_dump(without(workload, lambda look: look < 6, release())))

        assert judged(capsys, *ARMS, "--from", str(BEGIN + 90), *WINDOW[2:], "--file", str(path))[0] == 0, arm

    def test_a_silence_in_which_the_other_goes_on_is_no_pass(self, workload, arm, capsys, tmp_path):
        code, found = told(capsys, tmp_path, without(workload, lambda look: 30 < look < 40, release()))

        assert (code, found["outcome"]) == (4, "inconclusive")
        assert found["sentence"].startswith(f"The {arm} has no samples from 2023-11-14 22:20:50 UTC to 2023-11-14 22:23:20 UTC, while the ")

    def test_a_scrape_or_two_that_are_missing_are_nothing(self, workload, arm, capsys, tmp_path):
        code, _ = told(capsys, tmp_path, without(workload, lambda look: look < 2 or 30 < look < 33 or look > LOOKS - 2, release()))

        assert code == 0, arm

    def test_a_failure_that_was_found_before_stays_one(self, workload, arm, capsys, tmp_path):
        code, found = told(capsys, tmp_path, without(workload, lambda look: look > 60, release(0.03)))

        assert (code, found["outcome"]) == (3, "fail"), arm


def test_an_outage_of_both_counts_as_one_scrape_and_the_rest_is_judged(capsys, tmp_path):
    series = release()
    for workload in ("shop", "shop-green"):
        series = without(workload, lambda look: 30 < look < 50, series)

    assert told(capsys, tmp_path, series)[0] == 0


def test_failures_in_an_outage_of_both_are_seen_in_the_counts_of_the_window(capsys, tmp_path):
    """Half of green's requests failed in ten minutes of which there is one difference alone."""
    series = {}
    for labels, samples in release().items():
        held = dict(labels)
        lost = 0 if held["destination_workload"] == "shop" or "response_code" not in held else 250 * 38 / 2
        sign = 1 if held.get("response_code") == "503" else -1
        series[labels] = [(time, value + sign * lost * ((time - BEGIN) / STEP >= 50)) for time, value in samples]
    for workload in ("shop", "shop-green"):
        series = without(workload, lambda look: 10 < look < 50, series)
    code, found = told(capsys, tmp_path, series)

    assert (code, found["checks"][0]["reason"]) == (4, "WorseUnproven")
    assert found["sentence"].startswith("errors: worse than tolerated over the whole window, but scrape by scrape not beyond doubt: ")


def test_a_counter_of_failures_that_is_nan_is_named(capsys, tmp_path):
    series = {
        labels: [(time, "NaN" if ("response_code", "503") in labels and time > BEGIN + 300 else value) for time, value in samples]
        for labels, samples in release().items()
    }
    code, found = told(capsys, tmp_path, series)

    assert (code, found["checks"][0]["reason"]) == (4, "UnusableCounter")
    assert (
        'istio_requests_total{destination_workload="shop", pod="a", reporter="source", response_code="503"} is nan' in found["missing"][0]
    )


@pytest.mark.parametrize(("value", "named"), [("+Inf", "inf"), (-5, "-5"), (2.0**60, "1.15292e+18")])
def test_a_counter_that_was_none_at_one_scrape_is_no_pass_although_it_is_sound_again(value, named, capsys, tmp_path):
    """What it counted meanwhile is known; that it is a counter is not."""
    at, failing = BEGIN + 40 * STEP, {("response_code", "503"), ("destination_workload", "shop-green"), ("pod", "b")}
    series = {
        labels: [(time, value if time == at and failing <= set(labels) else count) for time, count in samples]
        for labels, samples in release().items()
    }
    code, found = told(capsys, tmp_path, series)

    assert (code, found["outcome"]) == (4, "inconclusive")
    assert found["sentence"].startswith("A counter of the candidate was no count at 2023-11-14 22:23:20 UTC: istio_requests_total{")
    assert found["sentence"].endswith(f" was {named}.")


def test_counters_that_fall_at_every_scrape_are_none(capsys, tmp_path):
    """As of a file whose times run backwards: each fall would count as a restart with all that the counter stands at."""
    series = {labels: [(2 * BEGIN + STEP * LOOKS - time, value) for time, value in samples] for labels, samples in release().items()}
    code, found = told(capsys, tmp_path, series)

    assert (code, found["outcome"]) == (4, "inconclusive")
    assert found["sentence"].startswith("A counter of the baseline falls at 80 of its 80 steps (istio_requests_total{")


def test_a_pod_that_restarts_now_and_then_is_judged(capsys, tmp_path):
    series = release()
    for labels, samples in series.items():
        stood = dict(samples)[BEGIN + 600]
        series[labels] = [(time, value - stood if time > BEGIN + 600 and ("pod", "a") in labels else value) for time, value in samples]

    assert told(capsys, tmp_path, series)[0] == 0
