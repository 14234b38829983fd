"""The report says what the bundle says, first things first, and nothing of the release runs in it."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from controller.report import html, texts
from controller.report.facts import Point, facts_of
from controller.report.plots import LEAST_POINTS, MOST_POINTS, Curve, Plot, as_data, check_plots, room_for, short, svg, thin, ticks
from controller.simulator.run import run_scenario
from controller.simulator.scenario import Act
from controller.times import rfc3339
from tests.evidence.recorded import FIRST, HWAYO, KAYENTA, SEQUENTIAL, bundle_from, recorded
from tests.report.browser import browser, written
from tests.stories import scenario_of

EVIL = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>\u2028&amp;"\''


@pytest.fixture(scope="module")
def failed():
    return facts_of(recorded(FIRST, "fails-at-25"))


@pytest.fixture(scope="module")
def hwayo():
    return facts_of(recorded(HWAYO, "slow-at-25"))


class Tree(HTMLParser):
    """What stands in a page: tags and texts, in order."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


class TestFacts:
    def test_the_verdict_is_the_sentence_of_the_rollback(self, failed):
        assert failed.outcome == "rolled-back"
        assert failed.sentence == recorded(FIRST, "fails-at-25").status["rollback"]["message"]
        assert failed.sentence.startswith("errors: ")

    def test_the_blast_radius_names_the_users(self, failed):
        told = dict(failed.blast)

        assert told["Most traffic that green had"] == "25 %"
        assert 2_500 < failed.totals.green < 3_500
        assert 0 < failed.totals.green_failed < 100

    def test_failures_come_first(self, hwayo):
        assert hwayo.checks[0].outcome == "fail"
        assert hwayo.checks[0].name == "latency-p95"
        assert hwayo.checks[0].cause

    def test_a_stage_without_a_verdict_has_the_requests_since_its_shift(self, failed):
        """It went back before its window was over, or had begun: the evidence rests on these requests."""
        at_25 = failed.stages[1]
        before = recorded(FIRST, "fails-at-25").status["stages"][1]["window"]

        assert (at_25.weight, at_25.verdict) == (25, "")
        assert at_25.green > before["nGreen"]

    @pytest.mark.long
    def test_a_stage_that_was_skipped_names_who_asked(self):
        """The status knows only the request; a history without it (of an older version) leaves "a person"."""
        sims, people = [], [Act.model_validate({"at": "4m", "verb": "promote", "actor": "bob"})]
        run_scenario(scenario_of(FIRST, "healthy").model_copy(update={"people": people}), FIRST, prepare=sims.append)
        bundle = bundle_from(sims[0])

        told = texts.markdown(facts_of(bundle))

        assert told.count("| skipped by bob |") == 3
        assert facts_of(replace(bundle, history=[])).stages[0].skipped == "a person"

    def test_every_poll_of_a_trigger_is_a_point(self, failed):
        errors = next(check for check in failed.checks if check.name == "errors")

        assert [point.outcome for point in errors.points][-2:] == ["fail", "fail"]
        assert len(errors.points) > 30
        assert list(errors.queries) == ["both"]
        assert errors.queries["both"].startswith("istio_requests_total{")

    def test_a_sequential_check_has_its_evidence_and_the_ratio(self):
        facts = facts_of(recorded(SEQUENTIAL, "sequential-errors"))
        check = next(check for check in facts.checks if check.name == "error-rate")

        assert check.points[-1].ln_e >= check.ln_bound
        assert check.points[0].ln_e < check.ln_bound
        assert 0.5 < check.ratios[-1].low < 2 < check.ratios[-1].high

    def test_kayentas_judge_is_shown_with_the_values_of_every_metric(self):
        """What is drawn are the values that the judge was given, over the window, of both versions."""
        facts = facts_of(recorded(KAYENTA, "kayenta-errors"))
        (check,) = facts.checks
        errors, latency = check.metrics
        page = html.html(facts)

        assert (errors.name, latency.name) == ("Error rate", "Mean latency")
        assert len(errors.green) == len(errors.blue) == 30
        assert sum(value for _, value in errors.green) / 30 == pytest.approx(0.0312, abs=1e-4)
        assert "[900s:30s]" in check.queries["Error rate, green"]
        assert "canary: Error rate, both versions" in page

    def test_evidence_that_has_not_begun_is_0_in_the_table(self):
        assert [html.figure_of(value, html.LN_E_DIGITS) for value in (1.1e-16, -2e-16, -0.288461, None)] == ["0", "0", "-0.288461", "-"]
        assert html.figure_of(1.1e-16) == "1.1e-16"

    def test_a_release_that_is_under_way_says_so(self):
        bundle = recorded(FIRST, "healthy")
        status = {**bundle.status, "phase": "Measuring", "finishedAt": 0.0, "rollback": None}
        early = replace(bundle, segments=bundle.segments[:5], release={**bundle.release, "status": status})
        facts = facts_of(early)
        until = rfc3339(facts.ended)

        assert facts.outcome == "running"
        assert f"still under way: requests and figures are those up to its last record, {until}." in " ".join(facts.notes)
        assert ("Recorded until" in html.html(facts), "Ended" in html.html(facts)) == (True, False)
        assert ", recorded for " in texts.markdown(facts)

    def test_a_release_without_any_decision_has_a_report(self):
        empty = replace(recorded(FIRST, "fails-at-5"), segments=(), parts=(), history=())

        assert "There is no evidence" in html.html(facts_of(empty))


class TestPage:
    def test_the_verdict_and_the_blast_radius_stand_first(self, failed):
        texts_ = [text for text in Tree(html.html(failed)).texts if text.strip()]
        body = texts_[texts_.index("To the checks") :]

        assert body[1:4] == ["shop/shop-v2", "✖ Rolled back", failed.sentence]
        assert body[4] == "Most traffic that green had"

    def test_the_failing_check_is_open_and_the_passing_ones_are_closed(self, hwayo):
        parts = [attrs for tag, attrs in Tree(html.html(hwayo)).tags if tag == "details" and "class" in attrs]

        assert "open" in parts[0]
        assert parts[0]["class"] == "fail"
        assert not any("open" in attrs for attrs in parts[1:])

    def test_nothing_is_asked_of_any_network(self, hwayo):
        page = html.html(hwayo)
        tags = Tree(page).tags

        assert "default-src 'none'" in page
        assert not [attrs for _, attrs in tags if attrs.get("src") or attrs.get("href", "#").startswith(("http", "//"))]

    @pytest.mark.long
    def test_a_long_release_with_many_checks_stays_small(self, hwayo):
        assert len(html.html(hwayo).encode()) < 400_000
        whole = facts_of(recorded(HWAYO, "healthy"))
        assert len(html.html(whole).encode()) < 400_000

    @pytest.mark.long
    def test_five_sequential_checks_over_seventy_five_minutes_stay_below_400_kilobytes(self):
        facts = facts_of(recorded(SEQUENTIAL, "sequential-healthy"))
        errors, latency, *others = facts.checks
        five = (errors, latency, errors, latency, errors)
        page = html.html(replace(facts, checks=(*(replace(one, name=f"check-{i}") for i, one in enumerate(five)), *others)))

        assert len(facts.checks[0].points) > 400
        assert facts.ended - facts.started > 75 * 60
        assert len(page.encode()) < 400_000

    def test_a_window_has_its_verdict_in_a_sign_and_not_in_a_colour_alone(self, hwayo):
        texts_ = Tree(html.html(hwayo)).texts

        assert "✔ 5 %" in texts_
        assert "✖ 25 %" in texts_

    def test_parts_of_the_page_are_landmarks_and_wide_tables_are_reached_by_keyboard(self, failed):
        tags = Tree(html.html(failed)).tags
        places = [attrs.get("aria-label") for tag, attrs in tags if tag == "section"]

        assert places == ["Traffic", "Checks", "Decisions", "Requests", "Decide it again"]
        tables = [attrs for tag, attrs in tags if tag == "div" and attrs.get("class") == "wide"]
        assert all((one.get("tabindex"), one.get("role"), bool(one.get("aria-label"))) == ("0", "region", True) for one in tables)

    def test_a_sequential_check_shows_what_was_asked_for_it(self):
        facts = facts_of(recorded(SEQUENTIAL, "sequential-errors"))
        errors, latency = (next(one for one in facts.checks if one.name == name) for name in ("error-rate", "latency"))

        assert "istio_requests_total" in errors.queries["both"]
        assert "istio_request_duration_milliseconds_bucket" in latency.queries["both"]

    def test_html_in_names_and_messages_is_shown_and_not_run(self, failed):
        spoilt = replace(
            failed, name=EVIL, namespace=EVIL, sentence=EVIL, plan=EVIL, revision=EVIL, notes=(EVIL,),
            checks=tuple(replace(check, name=EVIL, sentence=EVIL, unit=EVIL, queries={"green": EVIL}) for check in failed.checks),
            entries=tuple(replace(entry, message=EVIL, kind=EVIL) for entry in failed.entries),
        )  # fmt: skip
        tags = Tree(html.html(spoilt)).tags

        assert not [attrs for tag, attrs in tags if tag == "img" or any(name.startswith("on") for name in attrs)]
        assert [tag for tag, _ in tags].count("script") == 3

    def test_every_figure_can_be_read_aloud(self, hwayo):
        tags = Tree(html.html(hwayo)).tags
        images = [attrs for tag, attrs in tags if tag == "svg" and attrs.get("class") == "still"]

        assert images
        assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in images)

    def test_the_licence_of_the_drawing_library_is_in_the_page(self, failed):
        assert "Copyright (c) 2022 Leon Sorokin" in html.html(failed)


TURNED = "rm \u202egpj.exe\u2066 \x1b[31m"
"""Shown raw, what stands behind it is read backwards, and a terminal turns red."""


class TestOtherFormats:
    @pytest.mark.parametrize("write", [html.html, texts.markdown, texts.junit])
    def test_what_turns_the_direction_of_writing_is_written_out(self, failed, write):
        page = write(replace(failed, name=TURNED, sentence=TURNED, entries=(replace(failed.entries[0], message=TURNED), *failed.entries)))

        assert not {"\u202e", "\u2066", "\x1b"} & set(page)
        assert "\\u202egpj.exe" in page.replace("\\\\", "\\")

    def test_markdown_has_the_verdict_and_every_check(self, hwayo):
        page = texts.markdown(hwayo)

        assert page.startswith("# hwayo-production/hwayo-v2: Rolled back\n")
        assert page.count("| pass |") >= 12
        assert "| **fail** |" in page

    def test_a_message_has_no_effect_in_markdown(self, failed):
        page = texts.markdown(replace(failed, sentence="a | b\n# c <b> `d`"))

        assert "a \\| b \\# c \\<b\\> \\`d\\`" in page

    def test_junit_can_be_read_and_a_failing_check_is_a_failure(self, hwayo):
        suite = ET.fromstring(texts.junit(hwayo))
        failing = {case.get("name") for case in suite if case.find("failure") is not None}

        assert failing == {"verdict", "stage 2: 25 %", "gate latency-p95"}
        assert int(suite.get("tests")) == len(list(suite))

    @pytest.mark.parametrize(
        ("outcome", "kind"),
        [
            *((one, None) for one in ("succeeded", "passed")),
            *((one, "failure") for one in ("rolled-back", "halted", "refused", "failed")),
            ("running", "skipped"),
            ("open", "error"),
        ],
    )
    def test_in_junit_the_verdict_counts_whatever_its_checks_and_stages_say(self, failed, outcome, kind):
        suite = ET.fromstring(texts.junit(replace(failed, outcome=outcome, stages=(), checks=())))
        (verdict,) = suite

        assert verdict.get("name") == "verdict"
        assert [(one.tag, one.get("message")) for one in verdict] == ([(kind, failed.sentence)] if kind else [])
        counts = {"failure": "failures", "error": "errors", "skipped": "skipped"}
        assert {one: suite.get(counts[one]) for one in counts} == {one: str(int(one == kind)) for one in counts}

    def test_junit_stays_xml_whatever_a_message_holds(self, failed):
        suite = ET.fromstring(texts.junit(replace(failed, name=EVIL + "\x00\x1b")))

        assert EVIL in suite.get("name")

    def test_what_is_not_judged_is_skipped_in_junit(self, failed):
        suite = ET.fromstring(texts.junit(failed))
        skipped = {case.get("name") for case in suite if case.find("skipped") is not None}

        assert skipped == {"stage 2: 25 %", "sequential error-rate", "sequential latency"}

    def test_json_has_every_point(self, failed):
        found = json.loads(json.dumps(texts.as_json(failed)))

        assert sum(len(check["points"]) for check in found["checks"]) == sum(len(check.points) for check in failed.checks)


def at_edges(check, *edges):
    """The check with a measurement a second, each of the requests beyond this edge."""
    points = tuple(Point(1.0 * at, 1.0 * at, 10.0 * at, 9.0, 12.0, 100.0, "", "", 0.5, edge) for at, edge in enumerate(edges, start=1))
    return replace(check, name="latency", kind="sequential", metrics=(), ratios=(), ln_bound=4.6, points=points)


class TestEdges:
    SLOW, SLOWER = "slower than 100 ms", "slower than 250 ms"

    def test_no_line_of_a_figure_leads_from_one_edge_to_another(self, failed):
        """It would show a jump from 0.2 to 8 % that neither edge made."""
        check = at_edges(failed.checks[0], self.SLOW, self.SLOW, self.SLOWER, self.SLOW)
        slow, slower, _evidence = check_plots(check, "c0")

        assert (slow.title, slower.title) == (
            f"latency: requests {self.SLOW}, both versions",
            f"latency: requests {self.SLOWER}, both versions",
        )
        assert [value for _, value in slow.curves[0].points] == [10.0, 20.0, None, 40.0]
        assert [value for _, value in slower.curves[0].points] == [None, None, 30.0, None]
        assert slow.key != slower.key

    def test_the_table_names_the_edge_of_each_row(self, failed):
        page = html.html(replace(failed, checks=(at_edges(failed.checks[0], self.SLOW, self.SLOWER),)))

        assert page.count(f"<td>{self.SLOW}<td>10<td>9") == 1
        assert page.count(f"<td>{self.SLOWER}<td>20<td>9") == 1


class TestPlots:
    def test_a_curve_that_is_thinned_has_no_holes_and_its_own_numbers_wherever_another_one_has_a_point(self):
        """A hole says that nobody measured; points that are left out for room are none."""
        green = tuple((float(i), float(i % 7)) for i in range(1000))
        blue = tuple((float(i), None if 500 <= i < 520 else float(i % 11)) for i in range(1000))
        rare = tuple((float(i) + 0.5, 1.0) for i in range(0, 1000, 100))
        curves = tuple(Curve(name, name, points) for name, points in (("green", green), ("blue", blue), ("limit", rare)))
        data = as_data(Plot("c0", "", "", curves, ""), 0.0, 1000.0, 150)
        drawn = {curve["label"]: list(zip(data["times"], curve["values"], strict=True)) for curve in data["curves"]}

        assert len(data["times"]) < 400
        assert [pair for pair in drawn["green"] if pair[1] is not False] == [pair for pair in green if pair[0] in data["times"]]
        assert {time for time, value in drawn["blue"] if value is None} == {
            time for time in data["times"] if 500 <= time < 520 and time == int(time)
        }
        assert {value for time, value in drawn["limit"] if time == int(time)} == {False}

    def test_a_peak_survives_thinning(self):
        points = [(float(i), 9.0 if i == 5003 else 1.0) for i in range(20_000)]

        assert (5003.0, 9.0) in thin(points)
        assert len(thin(points)) <= MOST_POINTS + 2

    def test_axes_have_round_numbers(self):
        assert ticks(0, 7, 4) == [0, 2, 4, 6]
        assert ticks(0, 0.013, 4) == pytest.approx([0, 0.005, 0.01])

    def test_ratios_stand_on_an_axis_where_twice_and_half_are_equally_far(self):
        points = tuple((float(i), value) for i, value in enumerate((0.5, 1.0, 2.0, 60.0)))
        image = svg(Plot("r", "ratio", "x", (Curve("at most", "high", points),), "", log=True), 0.0, 3.0)
        (path,) = re.findall(r'class="curve high" d="M([^"]+)"', image)
        half, one, twice, _ = (float(point.split()[1]) for point in path.split("L"))

        assert half - one == pytest.approx(one - twice, abs=0.2)
        assert ">10 x<" in image

    def test_evidence_far_beyond_the_bound_does_not_hide_where_the_bound_was_reached(self):
        curves = (Curve("evidence", "evidence", ((0.0, 0.0), (1.0, 300.0))), Curve("bound", "bound", ((0.0, 2.0), (1.0, 2.0))))
        image = svg(Plot("e", "evidence", "", curves, "", cap=6.0), 0.0, 1.0)

        assert ">6<" in image
        assert ">100<" not in image
        assert min(float(number) for number in re.findall(r"[ML][\d.]+ ([\d.]+)", image)) == pytest.approx(10.0)

    def test_large_numbers_are_short_on_an_axis(self):
        assert [short(value) for value in (0.0, 0.01, 1_500, 25_000, 250_000_000, -3e12)] == ["0", "0.01", "1500", "25k", "250M", "-3T"]

    def test_curves_share_the_room_of_a_page(self):
        curves = tuple(Curve(str(i), "green", tuple((float(t), 1.0) for t in range(1_000))) for i in range(20))

        assert room_for([Plot("a", "a", "", curves[:2], "")]) == MOST_POINTS
        assert LEAST_POINTS < room_for([Plot("a", "a", "", curves, "")]) < 300

    def test_a_curve_without_points_is_no_fault(self):
        assert thin(Curve("a", "green", ()).points) == ()


@pytest.fixture(scope="module")
def page():
    with browser() as found:
        yield found


@pytest.mark.browser
class TestBrowser:
    """In Debian's chromium."""

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_no_error_and_no_request_in_either_theme(self, page, failed, tmp_path, dark):
        path = written(tmp_path, "report.html", html.html(failed))
        page.open(path, dark=dark)

        assert page.complaints == []
        assert page.requests == [path.as_uri()]
        assert page.value("penstockPlots.size") == len(Tree(html.html(failed)).tags and re.findall("<figure", html.html(failed)))
        assert page.value("getComputedStyle(document.body).backgroundColor") == ("rgb(15, 19, 24)" if dark else "rgb(255, 255, 255)")

    def test_what_is_drawn_are_the_numbers_of_the_bundle(self, page, failed, tmp_path):
        page.open(written(tmp_path, "report.html", html.html(failed)))
        drawn = page.value("Array.from(penstockPlots, ([figure, plot]) => [figure.dataset.plot, plot.data.map((one) => Array.from(one))])")
        by_key = dict(drawn)
        number = next(i for i, check in enumerate(failed.checks) if check.name == "errors")
        times, green, blue, limit = by_key[f"c{number}"]
        points = [point for point in failed.checks[number].points if point.green is not None or point.blue is not None]

        assert times == [point.at for point in points]
        assert green == [point.green for point in points]
        assert blue == [point.blue for point in points]
        assert limit == [point.limit for point in points]

    def test_a_line_of_many_points_is_drawn_through(self, page, failed, tmp_path):
        """Beside curves that were measured at other times, too: what is not known there is no hole."""
        many = replace(
            failed.checks[0], points=tuple(replace(failed.checks[0].points[0], at=float(i), green=i % 5) for i in range(900)), ratios=()
        )
        page.open(written(tmp_path, "report.html", html.html(replace(failed, checks=(many,)))))
        drawn = page.value(
            "Array.from(penstockPlots, ([figure, plot]) => [figure.dataset.plot, plot.data.slice(1).map((one) => one.includes(null))])"
        )

        assert dict(drawn)["c0"] == [False, False]

    def test_without_script_the_figures_are_still_there(self, page, failed, tmp_path):
        page.open(written(tmp_path, "report.html", html.html(failed)), script=False)

        assert page.complaints == []
        shapes = page.send("DOM.getDocument", depth=1)["root"]["nodeId"]
        stills = page.send("DOM.querySelectorAll", nodeId=shapes, selector="svg.still")["nodeIds"]
        boxes = [page.send("DOM.getBoxModel", nodeId=node)["model"]["height"] for node in stills[:1]]
        assert boxes[0] > 100

    def test_the_theme_may_change_while_the_page_is_open(self, page, failed, tmp_path):
        page.open(written(tmp_path, "report.html", html.html(failed)))
        page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

        colour = page.value("new Promise((done) => requestAnimationFrame(() => done(getComputedStyle(document.body).color)))")
        assert colour == "rgb(232, 237, 242)"
        assert page.complaints == []

    def test_on_paper_the_still_figures_stand_for_the_live_ones(self, page, failed, tmp_path):
        page.open(written(tmp_path, "report.html", html.html(failed)), media="print")

        assert page.value("document.querySelector('.drawn svg.still').getBoundingClientRect().height") > 100
        assert page.value("getComputedStyle(document.querySelector('svg.still')).clipPath") == "none"
        assert page.value("getComputedStyle(document.querySelector('.uplot')).display") == "none"

    def test_on_paper_no_heading_stands_alone_on_a_page_that_an_open_check_has_left(self, page, failed, tmp_path):
        """An open check is longer than what is left of its page, so it may be broken; its figures and rows are not."""
        page.open(written(tmp_path, "report.html", html.html(failed)), media="print")

        def style(selector, name):
            return page.value(f"getComputedStyle(document.querySelector('{selector}')).{name}")

        assert [style(one, "breakInside") for one in ("details[open]", "details:not([open])", "figure", "tr")] == ["auto", *["avoid"] * 3]
        assert {style(one, "breakAfter") for one in ("h2", "summary", "thead")} == {"avoid"}

    def test_a_telephone_shows_whole_sentences_without_moving_them_sideways(self, page, failed, tmp_path):
        page.open(written(tmp_path, "report.html", html.html(failed)), width=360)
        cut = "[...document.querySelectorAll('.entries')].filter((one) => one.parentElement.scrollWidth > one.parentElement.clientWidth)"

        assert page.value(f"{cut}.length") == 0
        assert page.value("document.documentElement.scrollWidth") == 360

    def test_a_screen_reader_finds_a_sentence_for_each_figure_that_is_drawn(self, page, failed, tmp_path):
        """Of a canvas it sees nothing."""
        page.open(written(tmp_path, "report.html", html.html(failed)))
        page.send("Accessibility.enable")
        nodes = page.send("Accessibility.getFullAXTree")["nodes"]
        read = [one["name"]["value"] for one in nodes if one.get("role", {}).get("value") in ("image", "img") and not one.get("ignored")]

        assert page.value("document.querySelectorAll('figure.drawn').length") > 0
        assert any(one.startswith("Green's share of the traffic over time") for one in read)
        assert page.value("document.querySelector('.drawn svg.still').getBoundingClientRect().height") <= 1

    def test_a_screen_reader_goes_from_check_to_check_by_headings_that_name_them(self, page, hwayo, tmp_path):
        page.open(written(tmp_path, "report.html", html.html(hwayo)))
        page.send("Accessibility.enable")
        nodes = page.send("Accessibility.getFullAXTree")["nodes"]
        read = [one["name"]["value"] for one in nodes if one.get("role", {}).get("value") == "heading" and not one.get("ignored")]

        for check in hwayo.checks:
            assert any(check.name in heading for heading in read), check.name

    def test_the_keyboard_reaches_the_checks_and_opens_them(self, page, failed, tmp_path):
        page.open(written(tmp_path, "report.html", html.html(failed)))
        page.value("document.querySelectorAll('summary')[2].focus()")
        for kind in ("keyDown", "keyUp"):
            text = "\r" if kind == "keyDown" else ""
            page.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text=text)

        assert page.value("document.activeElement.parentElement.open") is True

    def test_messages_with_html_in_them_run_nothing(self, page, failed, tmp_path):
        spoilt = replace(failed, name=EVIL, sentence=EVIL, checks=tuple(replace(one, name=EVIL, unit=EVIL) for one in failed.checks))
        page.open(written(tmp_path, "report.html", html.html(spoilt)))

        assert page.complaints == []
        assert page.value("document.querySelectorAll('img').length") == 0
        assert EVIL in page.value("document.querySelector('.verdict').textContent")
