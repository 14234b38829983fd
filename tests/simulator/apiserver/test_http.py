"""The HTTP front: connections, discovery, tables, and what is not in the sandbox."""

import socket
import threading
import time

import httpx
import pytest

from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.http import HttpFront
from controller.simulator.apiserver.store import ApiServer

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


@pytest.fixture
def server():
    return ApiServer(time.time)


@pytest.fixture
def client(server):
    with HttpFront(server) as front, httpx.Client(base_url=front.url, timeout=5, verify=False) as client:
        yield client


def test_one_connection_serves_many_requests(client):
    codes = {client.get("/version").status_code for _ in range(20)}

    assert codes == {200}
    assert client.get("/version").json()["minor"] == "36"


@pytest.mark.parametrize("path", ["/apis/batch/v1/jobs", "/apis/no.where/v1", "/metrics", "/api/v1/nodes", "/apis/no.where"])
def test_what_is_not_served_is_a_status_that_says_so(client, path):
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.json()["kind"] == "Status"
    assert answer.json()["message"].endswith("is not in the sandbox")


def test_a_subresource_of_a_pod_is_not_in_the_sandbox(client):
    answer = client.get("/api/v1/namespaces/default/pods/x/log")

    assert (answer.status_code, answer.json()["reason"]) == (501, "NotImplemented")


def test_every_served_kind_is_discovered_in_both_forms(client):
    old = {entry["name"] for entry in client.get("/apis/apps/v1").json()["resources"]}
    accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    groups = client.get("/apis", headers=accept).json()["items"]
    new = {r["resource"] for g in groups if g["metadata"]["name"] == "apps" for v in g["versions"] for r in v["resources"]}

    assert old == {"deployments", "deployments/status", "deployments/scale", "replicasets", "replicasets/status", "replicasets/scale"}
    assert new == {"deployments", "replicasets"}


def test_a_list_can_be_a_table(client):
    client.post("/api/v1/namespaces/default/configmaps", json={"metadata": {"name": "c"}, "data": {"a": "b"}})
    table = client.get("/api/v1/namespaces/default/configmaps", headers=TABLE).json()

    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert table["rows"][0]["cells"][:2] == ["c", 1]


def test_the_schema_of_a_built_in_kind_has_descriptions(client):
    schemas = client.get("/openapi/v3/apis/apps/v1").json()["components"]["schemas"]
    spec = schemas["io.k8s.client.V1DeploymentSpec"]["properties"]

    assert spec["replicas"]["description"].startswith("Number of desired pods")


def test_protobuf_is_refused_politely(client):
    answer = client.post("/api/v1/namespaces", content=b"k8s\0", headers={"Content-Type": "application/vnd.kubernetes.protobuf"})

    assert answer.status_code == 415


def test_a_refusal_with_a_time_to_wait_has_the_header(server, client):
    def overloaded(_attempt):
        raise ApiError(429, "too many requests", retry_after=3)

    server.admission = overloaded
    answer = client.post("/api/v1/namespaces/default/configmaps", json={"metadata": {"name": "c"}})

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")


def test_a_token_names_the_user(server):
    users = []
    server.on_commit(lambda commit: users.append(commit.user))
    with HttpFront(server, tokens={"secret": "alice"}) as front:
        place = f"{front.url}/api/v1/namespaces/default/configmaps"
        body = {"metadata": {"name": "c"}}
        refused = httpx.post(place, json=body)
        stored = httpx.post(place, json=body, headers={"Authorization": "Bearer secret"})

    assert (refused.status_code, stored.status_code, users) == (401, 201, ["alice"])


def test_stopping_ends_open_watches(server):
    front = HttpFront(server).start()
    ended, lines = threading.Event(), []

    def watch():
        with httpx.stream("GET", f"{front.url}/api/v1/namespaces?watch=1", timeout=10) as answer:
            for line in answer.iter_lines():
                lines.append(line)
                if len(lines) == 4:
                    ready.set()
        ended.set()

    ready = threading.Event()
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    assert ready.wait(5)
    front.stop()

    assert ended.wait(5)
    assert len(lines) == 4


def test_a_store_outlives_its_front(server):
    with HttpFront(server) as front:
        httpx.post(f"{front.url}/api/v1/namespaces/default/configmaps", json={"metadata": {"name": "c"}})
    with HttpFront(server) as front, httpx.stream("GET", f"{front.url}/api/v1/configmaps?watch=1&timeoutSeconds=5") as answer:
        first = next(answer.iter_lines())

    assert '"name":"c"' in first


@pytest.mark.parametrize("raw", [b"nonsense\r\n\r\n", b"GET\r\n\r\n"])
def test_what_is_no_http_is_answered_400_and_the_server_lives_on(server, raw):
    with HttpFront(server) as front:
        host, port = front.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(raw)
            first = connection.recv(100)
        alive = httpx.get(f"{front.url}/readyz")

    assert first.startswith(b"HTTP/1.1 400")
    assert alive.text == "ok"
