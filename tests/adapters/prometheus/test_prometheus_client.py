"""The client against servers on loopback, most of them ill."""

import base64
import gzip
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.adapters.http import HttpProber
from controller.adapters.prometheus import HttpPrometheus, HttpProviders
from controller.adapters.prometheus_config import PrometheusConfig, Provider
from controller.ports import AnswerFault

TLS = Path(__file__).parents[2] / "data" / "tls"
SILENCE_SECONDS = 20.0
"""So long does a server go on that says nothing, or never comes to its end; whoever gives it up has long gone by half of it."""
"""A certificate of 127.0.0.1 for these tests, and the authority that signed it; nobody trusts either."""

BODY = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[5,"1"]}]},"warnings":["partial"]}'


def http(body=BODY, status="200 OK", headers=(), length=None):
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


@contextmanager
def server(reply, *, tls=False):
    """Answers every connection with `reply(connection, request)`; gives the address and the requests seen."""
    listener = socket.create_server(("127.0.0.1", 0))
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "server.pem")
        listener = context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
    seen, stop = [], threading.Event()

    def serve(connection):
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                try:
                    part = connection.recv(65536)
                except ssl.SSLError:
                    return  # a client that does not trust us
                if not part:
                    return
                request += part
            seen.append(request.decode())
            try:
                reply(connection, stop)
            except OSError:
                return  # the client hung up, as it should

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        stop.set()
        listener.close()


def answering(data):
    return lambda connection, _stop: connection.sendall(data)


def client(url, timeout="5s", max_body_bytes=10_000_000, **fields):
    provider = Provider.model_validate({"name": "main", "url": url, "timeout": timeout, **fields})
    return HttpPrometheus(provider, max_body_bytes=max_body_bytes)


class TestAnswers:
    def test_an_answer_keeps_what_the_library_drops(self):
        with server(answering(http(headers=["Date: Fri, 20 Nov 2026 12:00:00 GMT"]))) as (url, seen):
            answer = client(url).query("up == 1", 1795176000.5)

        assert (answer.fault, answer.result_type, answer.warnings) == (None, "vector", ("partial",))
        assert answer.server_time == pytest.approx(1795176000.5, abs=0.5)
        assert "query=up+%3D%3D+1" in seen[0]
        assert "time=1795176000.500" in seen[0]

    def test_a_compressed_answer_is_read(self):
        packed = gzip.compress(BODY)
        with server(answering(http(packed, headers=["Content-Encoding: gzip"]))) as (url, _):
            assert client(url).query("up", 1).fault is None

    def test_the_same_query_of_the_same_moment_is_asked_once_by_many_threads(self):
        with server(answering(http())) as (url, seen):
            prometheus = client(url)
            threads = [threading.Thread(target=prometheus.query, args=("up", 7.0)) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

            assert len(seen) == 1

    def test_another_moment_is_asked_again(self):
        with server(answering(http())) as (url, seen):
            prometheus = client(url)
            prometheus.query("up", 7.0)
            prometheus.query("up", 8.0)

            assert len(seen) == 2

    def test_a_fault_is_not_remembered(self):
        with server(answering(http(b"oops", "500 Oops"))) as (url, seen):
            prometheus = client(url)
            prometheus.query("up", 7.0)
            prometheus.query("up", 7.0)

            assert len(seen) == 2


class TestIllServers:
    def test_a_503_is_asked_once(self):
        with server(answering(http(b"down", "503 Down"))) as (url, seen):
            answer = client(url).query("up", 1)

        assert (answer.fault, len(seen)) == (AnswerFault.SERVER_ERROR, 1)

    def test_a_silent_server_is_a_timeout_at_the_deadline(self):
        with server(lambda _connection, stop: stop.wait(SILENCE_SECONDS)) as (url, seen):
            begun = time.monotonic()
            answer = client(url, timeout="300ms").query("up", 1)
            took = time.monotonic() - begun

        assert answer.fault is AnswerFault.TIMEOUT
        assert len(seen) <= 1
        assert took < SILENCE_SECONDS / 2

    def test_a_server_that_trickles_its_body_is_a_timeout_at_the_deadline(self):
        def trickle(connection, stop):
            connection.sendall(http(b"", length=100_000))
            while not stop.wait(0.02):
                connection.sendall(b" ")

        with server(trickle) as (url, _):
            begun = time.monotonic()
            answer = client(url, timeout="300ms").query("up", 1)
            took = time.monotonic() - begun

        assert answer.fault is AnswerFault.TIMEOUT
        assert took < SILENCE_SECONDS / 2

    def test_a_server_that_trickles_its_headers_is_a_timeout_at_the_deadline(self):
        def trickle(connection, stop):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not stop.wait(0.02):
                connection.sendall(b"x")

        with server(trickle) as (url, _):
            begun = time.monotonic()
            answer = client(url, timeout="300ms").query("up", 1)
            took = time.monotonic() - begun

        assert answer.fault is AnswerFault.TIMEOUT
        assert took < SILENCE_SECONDS / 2

    def test_a_huge_body_is_cut_off_while_it_streams(self):
        sent = [0]

        def flood(connection, _stop):
            connection.sendall(http(b"", length=500_000_000))
            while True:
                connection.sendall(b" " * 100_000)
                sent[0] += 100_000

        with server(flood) as (url, _):
            answer = client(url, max_body_bytes=1_000_000).query("up", 1)

        assert answer.fault is AnswerFault.TOO_LARGE
        assert "1,000,000 bytes" in answer.message
        assert sent[0] < 50_000_000

    def test_a_small_body_that_unpacks_to_a_huge_one_is_cut_off(self):
        bomb = gzip.compress(b" " * 20_000_000)
        with server(answering(http(bomb, headers=["Content-Encoding: gzip"]))) as (url, _):
            assert client(url).query("up", 1).fault is AnswerFault.TOO_LARGE

    def test_half_an_answer_is_unreadable(self):
        with server(answering(http(BODY[:40], length=len(BODY)))) as (url, _):
            answer = client(url).query("up", 1)

        assert (answer.fault, answer.message) == (AnswerFault.UNREADABLE, "half an answer: the connection ended in the middle of it")

    def test_half_a_chunked_answer_is_unreadable(self):
        half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n" % len(BODY) + BODY[:30]
        with server(answering(half)) as (url, _):
            answer = client(url).query("up", 1)

        assert (answer.fault, answer.message) == (AnswerFault.UNREADABLE, "half an answer: the connection ended in the middle of it")

    def test_an_answer_that_cannot_be_unpacked_is_unreadable(self):
        with server(answering(http(BODY, headers=["Content-Encoding: gzip"]))) as (url, _):
            answer = client(url).query("up", 1)

        assert (answer.fault, answer.message) == (AnswerFault.UNREADABLE, "an answer that cannot be unpacked")

    def test_a_connection_closed_without_an_answer_is_unreachable(self):
        with server(answering(b"")) as (url, _):
            assert client(url).query("up", 1).fault is AnswerFault.UNREACHABLE

    def test_nobody_listening_is_unreachable(self):
        with server(answering(b"")) as (url, _):
            address = url

        assert client(address).query("up", 1).fault is AnswerFault.UNREACHABLE

    def test_the_words_are_the_cause_and_not_the_query(self):
        """The library repeats the address with the whole query before it comes to the point."""
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # taken, and nobody listens there
            address = f"127.0.0.1:{nobody.getsockname()[1]}"
            answer = client(f"http://{address}").query(f"sum(rate({'x' * 400}[5m]))", 1)

        assert answer.message == f"{address}: Failed to establish a new connection: Connection refused"

    def test_what_is_not_http_is_no_answer(self):
        with server(answering(b"SSH-2.0-OpenSSH_9.2\r\n")) as (url, _):
            assert client(url).query("up", 1).fault in (AnswerFault.UNREACHABLE, AnswerFault.UNREADABLE)

    def test_redirects_in_circles_end(self):
        with server(answering(http(b"", "302 Found", ["Location: /again"]))) as (url, seen):
            answer = client(url).query("up", 1)

        assert answer.fault is AnswerFault.SERVER_ERROR
        assert len(seen) == 4


class TestCredentials:
    def test_a_rotated_token_is_read_again(self, tmp_path):
        token = tmp_path / "token"
        token.write_text("first\n")
        with server(answering(http())) as (url, seen):
            prometheus = client(url, bearerTokenFile=str(token))
            prometheus.query("up", 1)
            token.write_text("second")
            prometheus.query("up", 2)

        assert ["Bearer first" in seen[0], "Bearer second" in seen[1]] == [True, True]

    def test_a_missing_token_file_is_unauthorized_and_nothing_is_asked(self, tmp_path):
        with server(answering(http())) as (url, seen):
            answer = client(url, bearerTokenFile=str(tmp_path / "gone")).query("up", 1)

        assert (answer.fault, seen) == (AnswerFault.UNAUTHORIZED, [])
        assert "gone" in answer.message

    def test_basic_auth_and_extra_headers_are_sent(self, tmp_path):
        (tmp_path / "password").write_text("geheim")
        auth = {"username": "me", "passwordFile": str(tmp_path / "password")}
        with server(answering(http())) as (url, seen):
            client(url, basicAuth=auth, headers={"X-Scope-OrgID": "team"}).query("up", 1)

        assert base64.b64encode(b"me:geheim").decode() in seen[0]
        assert "X-Scope-OrgID: team" in seen[0]

    def test_a_server_that_repeats_what_it_was_sent_tells_no_secret(self, tmp_path):
        """Its words stand in statuses, Events and bundles; credentials and header values never do, also not cut off."""
        (tmp_path / "password").write_text("geheim-geheim")
        auth = {"username": "me", "passwordFile": str(tmp_path / "password")}
        pair = base64.b64encode(b"me:geheim-geheim").decode()
        words = f"geheim-geheim, {pair}, tenant-of-team{'x' * 230} geheim-geheim"
        body = f'{{"status":"error","errorType":"execution","error":"{words}"}}'.encode()
        with server(answering(http(body, "422 Unprocessable Entity"))) as (url, _):
            answer = client(url, basicAuth=auth, headers={"X-Scope-OrgID": "tenant-of-team"}).query("up", 1)

        assert answer.fault is AnswerFault.NOT_EXECUTED
        assert "geheim" not in answer.message
        assert pair not in answer.message
        assert "tenant" not in answer.message
        assert answer.message.startswith("HTTP 422: ..., ..., ...xx")

    def test_a_server_whose_authority_the_ca_file_names_is_believed(self):
        with server(answering(http()), tls=True) as (url, _):
            answer = client(url, caFile=str(TLS / "ca.pem")).query("up", 1)

        assert answer.fault is None

    def test_a_server_whose_authority_nobody_named_is_unreachable_and_gets_no_credentials(self, tmp_path):
        (tmp_path / "token").write_text("geheim")
        with server(answering(http()), tls=True) as (url, seen):
            answer = client(url, bearerTokenFile=str(tmp_path / "token")).query("up", 1)

        assert (answer.fault, seen) == (AnswerFault.UNREACHABLE, [])
        assert answer.message.partition(": ")[2] == "certificate verify failed: unable to get local issuer certificate"

    def test_a_ca_file_that_is_missing_is_named(self):
        with server(answering(http()), tls=True) as (url, _):
            answer = client(url, caFile="/nowhere/ca.pem").query("up", 1)

        assert answer.fault is AnswerFault.UNREACHABLE
        assert "/nowhere/ca.pem" in answer.message

    def test_a_netrc_of_the_environment_is_not_used(self, tmp_path, monkeypatch):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        with server(answering(http())) as (url, seen):
            client(url).query("up", 1)

        assert "Authorization" not in seen[0]


class TestProviders:
    def test_the_empty_name_is_the_first_provider(self):
        config = PrometheusConfig.model_validate({"providers": [{"name": "a", "url": "http://a"}, {"name": "b", "url": "http://b"}]})
        providers = HttpProviders(config)

        assert providers.provider("") is providers.provider("a")
        assert providers.provider("c") is None

    def test_without_providers_there_is_no_default(self):
        assert HttpProviders(PrometheusConfig()).provider("") is None

    @pytest.mark.parametrize(
        ("provider", "words"),
        [
            ({"url": "http://me:secret@host"}, "credentials"),
            ({"url": "prometheus:9090"}, "expected an address"),
            ({"url": "ftp://host"}, "expected an address"),
            ({"url": "http://host/?a=b"}, "query"),
            ({"url": "http://host", "headers": {"authorization": "x"}}, "bearerTokenFile"),
            ({"url": "http://host", "timeout": "10"}, "unit"),
            ({"url": "http://host", "timeout": "0s"}, "timeout of 0"),
            ({"url": "http://host", "bearerTokenFile": "a", "basicAuth": {"username": "u", "passwordFile": "p"}}, "one of the two"),
            ({"url": "http://host", "tokn": "x"}, "tokn"),
        ],
    )
    def test_a_wrong_provider_is_refused_with_a_sentence(self, provider, words):
        with pytest.raises(ValueError, match=words):
            PrometheusConfig.model_validate({"providers": [{"name": "a", **provider}]})

    def test_a_name_used_twice_is_refused(self):
        with pytest.raises(ValueError, match="more than once"):
            PrometheusConfig.model_validate({"providers": [{"name": "a", "url": "http://a"}] * 2})


class TestProber:
    @pytest.mark.parametrize(("status", "ok"), [("200 OK", True), ("204 No Content", True), ("404 Not Found", False), ("500 Oops", False)])
    def test_200_to_399_is_healthy(self, status, ok):
        with server(answering(http(b"", status))) as (url, _):
            assert HttpProber().probe(url, timeout_seconds=5).ok is ok

    @pytest.mark.parametrize(("status", "ok"), [("200 OK", True), ("204 No Content", False), ("302 Found", False), ("503 Oops", False)])
    def test_where_statuses_are_named_no_other_is_healthy(self, status, ok):
        """A page that sends its callers to another one ("under maintenance") is not the answer that was asked for."""
        with server(answering(http(b"", status, ["Location: /elsewhere"]))) as (url, seen):
            result = HttpProber().probe(url, timeout_seconds=5, statuses=(200, 201))

        number = status[:3]
        assert (result.ok, result.message) == (ok, f"HTTP {number}" if ok else f"HTTP {number}, expected 200 or 201")
        assert len(seen) == 1

    def test_silence_fails_within_the_limit(self):
        with server(lambda _connection, stop: stop.wait(SILENCE_SECONDS)) as (url, _):
            result = HttpProber().probe(url, timeout_seconds=0.2)

        assert (result.ok, result.message) == (False, "no answer within 0.2 s")
        assert result.seconds < SILENCE_SECONDS / 2

    def test_circles_of_redirects_fail_after_the_third(self):
        with server(answering(http(b"", "302 Found", ["Location: /again"]))) as (url, seen):
            result = HttpProber().probe(url, timeout_seconds=5)

        assert (result.ok, len(seen)) == (False, 4)

    def test_the_body_is_not_waited_for(self):
        def endless(connection, stop):
            connection.sendall(http(b"", length=1_000_000))
            stop.wait(SILENCE_SECONDS)

        with server(endless) as (url, _):
            assert HttpProber().probe(url, timeout_seconds=2).ok

    def test_a_port_that_there_is_not_is_not_taken_for_another_one(self):
        with server(lambda connection, _: connection.sendall(http(b"ok"))) as (url, seen):
            beyond = int(url.rsplit(":", 1)[1].strip("/")) + 65_536
            result = HttpProber().probe(f"http://127.0.0.1:{beyond}/", timeout_seconds=1)

        assert (result.ok, len(seen)) == (False, 0)
        assert f"port {beyond} is higher than 65535" in result.message

    @pytest.mark.parametrize("url", ["", "not a url", "http://", "gopher://x/", "http://127.0.0.1:1/", "http://127.0.0.1:99999/"])
    def test_a_bad_address_is_a_failed_probe(self, url):
        result = HttpProber().probe(url, timeout_seconds=1)

        assert not result.ok
        assert result.message
