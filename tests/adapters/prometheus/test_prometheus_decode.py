"""Recorded HTTP answers, good and bad, and what they decode to."""

import json
import math

import pytest

from analysis.model import Sample, Series
from controller.adapters.prometheus_decode import decode
from controller.ports import AnswerFault

HEADERS = {"Content-Type": "application/json", "Date": "Fri, 20 Nov 2026 12:00:00 GMT"}
VECTOR = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"b":"2","a":"1"},"value":[1795176000.123,"0.5"]}]}}'


class TestGoodAnswers:
    def test_a_vector_has_one_sample_a_series_and_sorted_labels(self):
        answer = decode(200, HEADERS, VECTOR)

        assert answer.series == (Series((("a", "1"), ("b", "2")), (Sample(1795176000.123, 0.5),)),)
        assert (answer.result_type, answer.fault) == ("vector", None)

    def test_the_date_header_is_the_servers_clock_in_any_case(self):
        assert decode(200, {"date": HEADERS["Date"]}, VECTOR).server_time == 1795176000.0

    def test_without_a_readable_date_the_servers_clock_is_unknown(self):
        assert decode(200, {"Date": "tomorrow"}, VECTOR).server_time is None

    def test_a_matrix_keeps_every_raw_sample(self):
        body = b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[16,"+Inf"],[31.5,"3e2"]]}]}}'

        samples = decode(200, HEADERS, body).series[0].samples

        assert samples == (Sample(1, 1), Sample(16, math.inf), Sample(31.5, 300))

    def test_nan_stays_nan(self):
        assert math.isnan(decode(200, HEADERS, VECTOR.replace(b'"0.5"', b'"NaN"')).series[0].samples[0].value)

    def test_a_scalar_is_one_series_without_labels(self):
        answer = decode(200, HEADERS, b'{"status":"success","data":{"resultType":"scalar","result":[5,"7"]}}')

        assert answer.series == (Series((), (Sample(5, 7),)),)

    def test_an_empty_result_is_no_fault(self):
        answer = decode(200, HEADERS, b'{"status":"success","data":{"resultType":"vector","result":[]}}')

        assert (answer.fault, answer.series) == (None, ())

    def test_warnings_are_kept_and_notes_are_not(self):
        body = b'{"status":"success","warnings":["store x down"],"infos":["not a counter"],"data":{"resultType":"vector","result":[]}}'

        assert decode(200, HEADERS, body).warnings == ("store x down",)

    def test_advice_of_prometheus_2_53_among_the_warnings_makes_no_answer_partial(self):
        """Recorded of 2.53.3, for `rate(edge[5m])`: a release with such a query would never have been judged."""
        advice = b'"PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \\"edge\\" (1:6)"'
        data = b'{"resultType":"vector","result":[{"metric":{},"value":[1700001240,"0.016666666666666666"]}]}'
        body = b'{"status":"success","data":' + data + b',"warnings":[' + advice + b"]}"

        answer = decode(200, HEADERS, body)

        assert (answer.fault, answer.warnings, answer.series[0].samples[0].value) == (None, (), pytest.approx(1 / 60))

    def test_a_warning_of_prometheus_3_about_samples_that_it_left_out_is_kept(self):
        """Recorded of 3.16.0: a histogram whose bucket has no edge lacks it."""
        warning = 'PromQL warning: bucket label "le" is missing or has a malformed value of "nonsense" (1:25)'
        body = {"status": "success", "data": {"resultType": "vector", "result": []}, "warnings": [warning]}

        assert decode(200, HEADERS, json.dumps(body).encode()).warnings == (warning,)


BAD = {
    "200 with an error": (200, b'{"status":"error","errorType":"internal","error":"boom"}', AnswerFault.SERVER_ERROR, "boom"),
    "200 with a bad query": (200, b'{"status":"error","errorType":"bad_data","error":"parse error"}', AnswerFault.BAD_QUERY, "parse error"),
    "400": (400, b'{"status":"error","errorType":"bad_data","error":"1:3: unexpected"}', AnswerFault.BAD_QUERY, "1:3"),
    "422 many-to-many": (422, b'{"status":"error","errorType":"execution","error":"many-to-many"}', AnswerFault.NOT_EXECUTED, "many"),
    "503 query timed out": (503, b'{"status":"error","errorType":"timeout","error":"query timed out"}', AnswerFault.TIMEOUT, "timed out"),
    "504 of a proxy": (504, b"<html>gateway timeout", AnswerFault.TIMEOUT, "504"),
    "500 text": (500, b"oops", AnswerFault.SERVER_ERROR, "oops"),
    "502 html": (502, b"<html>bad gateway</html>", AnswerFault.SERVER_ERROR, "<html>"),
    "503 empty": (503, b"", AnswerFault.SERVER_ERROR, "empty body"),
    "429": (429, b'{"error":"slow down"}', AnswerFault.SERVER_ERROR, "slow down"),
    "404": (404, b"404 page not found", AnswerFault.SERVER_ERROR, "404"),
    "401": (401, b"Unauthorized", AnswerFault.UNAUTHORIZED, "401"),
    "403 json": (403, b'{"message":"forbidden"}', AnswerFault.UNAUTHORIZED, "forbidden"),
    "a login page": (200, b"<!doctype html><title>Sign in</title>", AnswerFault.UNREADABLE, "Sign in"),
    "half an answer": (200, VECTOR[:60], AnswerFault.UNREADABLE, "instead of JSON"),
    "an empty body": (200, b"", AnswerFault.UNREADABLE, "empty body"),
    "a JSON list": (200, b"[]", AnswerFault.UNREADABLE, "[]"),
    "another API": (200, b'{"ok":true}', AnswerFault.UNREADABLE, "without a message"),
    "no data": (200, b'{"status":"success"}', AnswerFault.UNREADABLE, "it has no data"),
    "data null": (200, b'{"status":"success","data":null}', AnswerFault.UNREADABLE, '"data":null'),
    "result null": (200, b'{"status":"success","data":{"resultType":"vector","result":null}}', AnswerFault.UNREADABLE, ""),
    "an unknown type": (200, b'{"status":"success","data":{"resultType":"tensor","result":[]}}', AnswerFault.UNREADABLE, "tensor"),
    "a number as number": (200, VECTOR.replace(b'"0.5"', b"0.5"), AnswerFault.UNREADABLE, "as text"),
    "a word as number": (200, VECTOR.replace(b'"0.5"', b'"many"'), AnswerFault.UNREADABLE, "many"),
    "a value of one": (200, VECTOR.replace(b'[1795176000.123,"0.5"]', b"[1]"), AnswerFault.UNREADABLE, ""),
    "a native histogram": (200, VECTOR.replace(b'"value"', b'"histogram"'), AnswerFault.UNREADABLE, "native histogram"),
    "a metric of words": (200, VECTOR.replace(b'{"b":"2","a":"1"}', b'"x"'), AnswerFault.UNREADABLE, ""),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_server_gives_a_fault_with_its_own_words_and_no_series(name):
    status, body, fault, words = BAD[name]

    answer = decode(status, HEADERS, body)

    assert (answer.fault, answer.series) == (fault, ())
    assert words in answer.message
    assert "object is not" not in answer.message
    assert "NoneType" not in answer.message


def test_a_long_message_is_cut():
    body = b'{"status":"error","errorType":"bad_data","error":"' + b"x" * 5000 + b'"}'

    assert len(decode(400, HEADERS, body).message) == 300
