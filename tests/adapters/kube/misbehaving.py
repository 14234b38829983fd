"""An HTTP server on loopback that answers each request with the next of its scripted answers, right or wrong."""

import contextlib
import json
import socket
import threading
from dataclasses import dataclass, field

STATUS = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}


def answer(status: int, body: object, headers: dict[str, str] | None = None, content_type: str = "application/json") -> bytes:
    """A whole HTTP answer."""
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", f"Content-Length: {len(raw)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def refusal(status: int, reason: str, message: str, headers: dict[str, str] | None = None, **details: object) -> bytes:
    """A Kubernetes Status."""
    return answer(status, STATUS | {"code": status, "reason": reason, "message": message, "details": details}, headers)


def chunked(*chunks: bytes, end: bool = True) -> bytes:
    """A chunked answer; without its end it is half an answer."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(f"{len(c):x}\r\n".encode() + c + b"\r\n" for c in chunks)
    return head + body + (b"0\r\n\r\n" if end else b"")


@dataclass
class Misbehaving:
    """`script` holds what each coming request gets: bytes are sent; b"" resets the connection; None stays silent.

    After bytes that are no whole answer the connection is closed (`HALF`) or stays open (`OPEN`) by the second
    member of a tuple.
    """

    script: list = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def __enter__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def go_down(self):
        """Accept nothing any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __exit__(self, *_exc):
        self.go_down()
        for connection in self._open:
            connection.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while self._one(connection):
                pass
        except OSError:
            pass

    def _one(self, connection) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return False
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
        while len(body) < int(headers.get("content-length", 0)):
            body += connection.recv(65536)
        method, path, _ = first.split(" ")
        self.requests.append((method, path, headers, body))
        scripted = self.script.pop(0) if self.script else answer(200, {"metadata": {"name": "r"}})
        data, then = scripted if isinstance(scripted, tuple) else (scripted, "next")
        if data is None:
            return self._leave_open()
        if not data:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            connection.close()
            return False
        connection.sendall(data)
        if then == "close":
            connection.close()
        return then == "next" or self._leave_open()

    def _leave_open(self) -> bool:
        return False
