"""Every way in which an API server, or what stands before it, can fail is one error with one clear sentence."""

from http.client import RemoteDisconnected

import pytest
from misbehaving import answer, chunked, refusal
from urllib3.exceptions import ProtocolError

from controller.adapters.kube_config import connect
from controller.adapters.kube_errors import error_of_transport
from controller.ports import (
    RELEASE,
    ConflictError,
    GoneError,
    KubeError,
    NotFoundError,
    Patch,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
)

HTML = answer(200, "<html><title>Sign in</title></html>", content_type="text/html")


@pytest.mark.parametrize(
    ("scripted", "error", "code", "words"),
    [
        (refusal(401, "Unauthorized", "Unauthorized"), UnauthorizedError, 401, "does not accept our credentials (401)"),
        (refusal(403, "Forbidden", 'User "x" cannot get'), RefusedError, 403, 'refused (403): User "x" cannot get'),
        (refusal(404, "NotFound", 'releases "r" not found'), NotFoundError, 404, 'releases "r" not found'),
        (answer(404, "404 page not found", content_type="text/plain"), NotFoundError, 404, "CustomResourceDefinition"),
        (answer(404, "<h1>Not Found</h1>", content_type="text/html"), UnavailableError, 404, "proxy or a login page"),
        (refusal(409, "AlreadyExists", "already exists"), ConflictError, 409, "already exists"),
        (refusal(410, "Expired", "too old"), GoneError, 410, "too old"),
        (refusal(422, "Invalid", "weight is wrong"), RefusedError, 422, "refused (422): weight is wrong"),
        (answer(429, "slow down", {"Retry-After": "7"}, "text/plain"), UnavailableError, 429, "asks us to slow down (429)"),
        (refusal(500, "InternalError", "etcd leader changed"), UnavailableError, 500, "failed (500): etcd leader changed"),
        (answer(503, "<html>down</html>", content_type="text/html"), UnavailableError, 503, "not from Kubernetes"),
        (answer(503, "no healthy upstream", content_type="text/plain"), UnavailableError, 503, "no healthy upstream"),
        (HTML, UnavailableError, 200, "Sign in"),
        (answer(302, "", {"Location": "/login"}), UnavailableError, 302, "not from Kubernetes"),
        (answer(200, "[1]"), UnavailableError, 200, "not from Kubernetes"),
        (answer(200, "{}"), UnavailableError, 200, "not from Kubernetes"),
        (answer(200, {"metadata": {"name": "another"}}), UnavailableError, 200, "not from Kubernetes"),
        (answer(200, {"metadata": "r"}), UnavailableError, 200, "not from Kubernetes"),
        (answer(500, b"\xff\xfe"), UnavailableError, 500, "failed (500)"),
        (b"", UnavailableError, 0, "closed the connection"),
        (None, UnavailableError, 0, "did not answer in time"),
        ((answer(200, {"a": 1})[:-3], "close"), UnavailableError, 0, "in the middle of its answer"),
        ((chunked(b'{"a"', end=False), "close"), UnavailableError, 0, "in the middle of its answer"),
    ],
)
def test_a_bad_answer_is_one_error_with_one_sentence(server, kube, scripted, error, code, words):  # noqa: PLR0917 - a table of cases
    server.script = [scripted]

    with pytest.raises(KubeError) as caught:
        kube.get(RELEASE, "shop", "r")

    assert type(caught.value) is error
    assert caught.value.code == code
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_a_connection_that_ends_without_an_answer_is_told_in_words():
    """urllib3 puts the fault itself beside its own words, so that its text is a tuple."""
    fault = ProtocolError("Connection aborted.", RemoteDisconnected("Remote end closed connection without response"))

    told = str(error_of_transport(fault, "http://api"))
    assert told == "The API server at http://api closed the connection: Remote end closed connection without response."


def test_nothing_is_ever_sent_twice(server, kube):
    server.script = [b"", b"", None]
    for _ in range(3):
        with pytest.raises(UnavailableError):
            kube.patch(RELEASE, "shop", "r", {"spec": {}})

    assert len(server.requests) == 3


def test_the_wait_that_a_server_asks_for_is_kept(server, kube):
    server.script = [refusal(429, "TooManyRequests", "later", {"Retry-After": "3"}), refusal(504, "Timeout", "later", retryAfterSeconds=2)]
    waits = []
    for _ in range(2):
        with pytest.raises(UnavailableError) as caught:
            kube.get(RELEASE, "shop", "r")
        waits.append(caught.value.retry_after)

    assert waits == [3.0, 2.0]


def test_an_unreachable_server_is_named(server, kube):
    server.go_down()

    with pytest.raises(UnavailableError, match=f"API server at {server.url} cannot be reached: connection refused"):
        kube.get(RELEASE, "shop", "r")


def test_a_server_without_tls_is_told_apart_from_one_that_is_down(server, tmp_path):
    file = tmp_path / "k"
    file.write_text(
        f"current-context: c\ncontexts: [{{name: c, context: {{cluster: c}}}}]\n"
        f"clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{server.port}'}}}}]\n"
    )
    server.script = [answer(400, "Client sent an HTTP request")]

    with pytest.raises(UnavailableError) as caught:
        connect(str(file)).kube.get(RELEASE, "shop", "r")

    assert caught.value.reason in {"TLS", "Timeout", "Reset"}


class TestRequests:
    def test_every_write_names_its_manager_and_the_right_kind_of_patch(self, server, kube):
        kube.create(RELEASE, "shop", {"metadata": {"name": "r"}})
        kube.patch(RELEASE, "shop", "r", {"a": 1}, subresource="status")
        kube.patch(RELEASE, "shop", "r", [{"op": "test", "path": "/a", "value": 1}], Patch.JSON)
        kube.patch(RELEASE, "shop", "r", {"a": 1}, Patch.APPLY)
        kube.delete(RELEASE, "shop", "r", uid="u", resource_version="7")

        seen = [(m, p, h.get("content-type")) for m, p, h, _ in server.requests]
        base = "/apis/penstock.dev/v1alpha1/namespaces/shop/releases"
        assert seen == [
            ("POST", f"{base}?fieldManager=penstock", "application/json"),
            ("PATCH", f"{base}/r/status?fieldManager=penstock", "application/merge-patch+json"),
            ("PATCH", f"{base}/r?fieldManager=penstock", "application/json-patch+json"),
            ("PATCH", f"{base}/r?fieldManager=penstock&force=true", "application/apply-patch+yaml"),
            ("DELETE", f"{base}/r", "application/json"),
        ]
        assert b'"preconditions": {"uid": "u", "resourceVersion": "7"}' in server.requests[-1][3]

    def test_the_token_goes_with_every_request(self, server, kube):
        kube.get(RELEASE, "shop", "r")

        assert server.requests[0][2]["authorization"] == "Bearer secret"

    def test_a_name_cannot_leave_its_place_in_the_path(self, server, kube):
        server.script = [answer(200, {"metadata": {"name": "../../secrets"}})]
        kube.get(RELEASE, "shop", "../../secrets")

        assert server.requests[0][1].endswith("/releases/..%2F..%2Fsecrets")

    def test_each_warning_is_logged_once(self, server, kube, caplog):
        server.script = [answer(200, {"metadata": {"name": "r"}}, {"Warning": '299 - "unknown field spec.typo"'})] * 2
        kube.get(RELEASE, "shop", "r")
        kube.get(RELEASE, "shop", "r")

        assert [r.getMessage() for r in caplog.records] == ["The API server warns: unknown field spec.typo"]


class TestLists:
    def test_all_pages_are_one_list_at_the_revision_of_the_first(self, server, kube):
        server.script = [
            answer(200, {"metadata": {"resourceVersion": "5", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]}),
            answer(200, {"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"name": "b"}}]}),
        ]
        listing = kube.list(RELEASE, "shop", labels="a=b")

        assert [item["metadata"]["name"] for item in listing.items] == ["a", "b"]
        assert listing.items[0]["kind"] == "Release"
        assert listing.resource_version == "5"
        assert "continue=more" in server.requests[1][1]
        assert "labelSelector=a%3Db" in server.requests[1][1]

    def test_pages_that_grew_too_old_are_read_again_in_one_piece(self, server, kube):
        server.script = [
            answer(200, {"metadata": {"resourceVersion": "5", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]}),
            refusal(410, "Expired", "token expired"),
            answer(200, {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "c"}}]}),
        ]

        assert [item["metadata"]["name"] for item in kube.list(RELEASE).items] == ["c"]
        assert "limit" not in server.requests[2][1]

    @pytest.mark.parametrize(
        "body",
        [
            {"metadata": {"resourceVersion": "5"}, "items": ["a", 7]},
            {"metadata": {"resourceVersion": "5"}, "items": [{"name": "a"}]},
            {"metadata": {"resourceVersion": "5"}, "items": "none"},
            {"metadata": [], "items": []},
            {"ok": True},
        ],
        ids=str,
    )
    def test_what_is_no_list_of_objects_is_not_from_kubernetes(self, server, kube, body):
        """Without its items it would read as an empty one: everything that was there would count as deleted."""
        server.script = [answer(200, body)]

        with pytest.raises(UnavailableError, match="is not from Kubernetes"):
            kube.list(RELEASE, "shop")

    def test_a_typed_list_of_nothing_may_say_null(self, server, kube):
        server.script = [answer(200, {"metadata": {"resourceVersion": "5"}, "items": None})]

        assert kube.list(RELEASE, "shop").items == []


def line(type_: str, name: str, revision: str) -> bytes:
    return f'{{"type":"{type_}","object":{{"metadata":{{"name":"{name}","resourceVersion":"{revision}"}}}}}}\n'.encode()


class TestWatches:
    def test_events_are_whole_lines_however_they_are_cut(self, server, kube):
        both = line("ADDED", "a", "1") + b"\n" + line("MODIFIED", "a", "2")
        server.script = [chunked(both[:30], both[30:31], both[31:])]

        events = list(kube.watch(RELEASE, "shop", "0", timeout_seconds=1))

        assert [(e.type, e.object["metadata"]["resourceVersion"]) for e in events] == [("ADDED", "1"), ("MODIFIED", "2")]
        assert "allowWatchBookmarks=true" in server.requests[0][1]

    def test_an_answer_without_chunks_is_read_as_it_comes(self, server, kube):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        server.script = [(head + line("ADDED", "a", "1"), "close")]

        assert [e.type for e in kube.watch(RELEASE, "shop", "0", timeout_seconds=1)] == ["ADDED"]

    def test_an_expired_revision_inside_a_good_answer_is_gone(self, server, kube):
        server.script = [chunked(b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n')]

        with pytest.raises(GoneError):
            list(kube.watch(RELEASE, "shop", "1", timeout_seconds=1))

    @pytest.mark.parametrize(
        ("scripted", "reason"),
        [
            ((chunked(line("ADDED", "a", "1"), end=False), "open"), "Silence"),
            ((chunked(line("ADDED", "a", "1"), end=False), "close"), "HalfAnswer"),
            (chunked(b'{"type":"ADD'), "HalfAnswer"),
            (chunked(b"<html>\n"), "NotKubernetes"),
            (chunked(b'{"type":"ERROR","object":{"code":500}}\n'), "Error"),
        ],
    )
    def test_a_broken_stream_says_how_it_broke(self, server, kube, scripted, reason):
        server.script = [scripted]

        with pytest.raises(UnavailableError) as caught:
            list(kube.watch(RELEASE, "shop", "0", timeout_seconds=1))

        assert caught.value.reason == reason
