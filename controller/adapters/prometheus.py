"""The Prometheus port over prometheus-api-client, with its sharp edges taken off.

What the library does by itself and this module prevents: three silent retries, which turn a limit of 0.5 s
into 8 s; a dropped `warnings` and result type; a bare KeyError for an error in a 200; bodies of any
size. Its session gets a response hook that reads the body with a limit and a deadline, keeps it for
`decode`, and hands the library an empty answer.

It must not judge: a fault is an answer too, and nothing here raises. Used by many threads at once.
"""

import base64
import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError
from urllib3.util.retry import Retry

from controller.adapters.prometheus_config import PrometheusConfig, Provider
from controller.adapters.prometheus_decode import decode, refusal
from controller.ports import Answer, AnswerFault

MAX_BODY_BYTES = 10_000_000
"""A larger answer is cut off: no check needs it, and 20 at once would end the controller."""

POOL_SIZE = 16
"""Connections and threads of one provider."""

MEMO_SECONDS = 1.0
"""How long the answer to the same query of the same moment is given again without asking."""

_ONCE = Retry(0, read=False)
"""Ask once. Without `read=False` a read time-out comes wrapped as a failed connection."""

_LIBRARY_WORDS = re.compile(r"<?HTTPS?Connection\S*\([^)]*\)[^:]*: |\[SSL: \w+\] | \(_ssl\.c:\d+\)|\[Errno -?\d+\] ")
"""Of a message about a connection: what says nothing to people who look for the cause."""

_EMPTY = b'{"data":{"result":[]}}'
_CHUNK_BYTES = 65_536
_DATE_RESOLUTION_SECONDS = 0.5
"""The Date header names the whole second that has begun; half of one is the expected rest."""


@dataclass(slots=True)
class _Exchange:
    """One query on its way: what the hook has read, for the thread that asked."""

    deadline: float
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


class _TooLargeError(Exception):
    """The body passed the limit."""


class _LateError(Exception):
    """The deadline passed while the body was read."""


class _CredentialsError(Exception):
    """A token or password file cannot be read."""


_FAILURES: tuple[tuple[tuple[type[Exception], ...], AnswerFault, str], ...] = (
    ((_TooLargeError,), AnswerFault.TOO_LARGE, ""),
    ((_CredentialsError,), AnswerFault.UNAUTHORIZED, ""),
    ((requests.exceptions.TooManyRedirects,), AnswerFault.SERVER_ERROR, "redirected in circles: "),
    ((requests.exceptions.ContentDecodingError, DecodeError), AnswerFault.UNREADABLE, "an answer that cannot be unpacked"),
    (
        (requests.exceptions.ChunkedEncodingError, HTTPError, http.client.HTTPException),
        AnswerFault.UNREADABLE,
        "half an answer: the connection ended in the middle of it",
    ),
    ((requests.exceptions.RequestException, OSError), AnswerFault.UNREACHABLE, ""),
)
"""In this order: the first kind that an error is of. Words that end in a colon, and none at all, are followed by the error's own."""


class _Session(requests.Session):
    """Sends what the library asks for without building each request from scratch: a tenth of a poll's CPU.

    All requests of a provider are alike but for their parameters and their credentials, which are read anew.
    """

    def request(self, method: str | bytes, url: str | bytes, **asked: Any) -> requests.Response:  # type: ignore[override]
        """As `requests` does it, with the session's own headers, hooks and trust."""
        request = requests.PreparedRequest()
        request.prepare_method(str(method))
        request.url = f"{url!s}?{urlencode(asked['params'])}"
        request.hooks = self.hooks
        request.prepare_headers(self.headers)
        request.prepare_cookies(self.cookies)
        assert callable(self.auth)  # noqa: S101 - `_credentials` made it
        self.auth(request)
        return self.send(request, timeout=asked["timeout"], verify=self.verify, allow_redirects=True)


class HttpPrometheus:
    """One provider over HTTP.

    Args:
        provider: address and credentials.
        max_body_bytes: of one answer, decompressed.
    """

    def __init__(self, provider: Provider, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._provider = provider
        self._max_body_bytes = max_body_bytes
        self._local = threading.local()
        self._lock = threading.Lock()
        self._memo: dict[tuple[str, float], tuple[float, Future[Answer]]] = {}
        self._prune_at = 0.0
        self._threads = ThreadPoolExecutor(max_workers=POOL_SIZE, thread_name_prefix=f"prometheus-{provider.name}")
        self._client = self._connect(provider)

    def _connect(self, provider: Provider) -> PrometheusConnect:
        session = _Session()
        session.trust_env = False  # a .netrc or a proxy of the environment must not change who is asked, or as whom
        session.max_redirects = 3
        session.verify = provider.ca_file or True
        session.headers.update(provider.headers)
        session.auth = _credentials(provider)
        session.hooks["response"].append(self._keep)
        client = PrometheusConnect(url=provider.url, session=session, retry=_ONCE, timeout=provider.timeout)
        # The library mounts an adapter with its own small pool; ours takes its place, also for redirects.
        for prefix in (provider.url, "http://", "https://"):
            session.mount(prefix, HTTPAdapter(pool_maxsize=POOL_SIZE, max_retries=_ONCE))
        return client

    def query(self, promql: str, time: float) -> Answer:
        """The instant query API at `time`. The same query of the same moment is asked once, also by several threads."""
        future = self._asked(promql, time)
        try:
            return future.result(timeout=self._provider.timeout)
        except FutureTimeoutError:
            future.cancel()
            return refusal(AnswerFault.TIMEOUT, f"no answer within {self._provider.timeout:g} s")
        except Exception as error:  # noqa: BLE001 - the port never raises: a defect here must not end a rollback
            return refusal(AnswerFault.UNREADABLE, f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Forget waiting queries and close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _asked(self, promql: str, at: float) -> Future[Answer]:
        now = time.monotonic()
        with self._lock:
            if now >= self._prune_at:
                self._memo = {key: kept for key, kept in self._memo.items() if kept[0] > now or not kept[1].done()}
                self._prune_at = now + MEMO_SECONDS
            until, known = self._memo.get((promql, at), (0.0, None))
            if known is not None and (not known.done() or (until > now and _good(known))):
                return known
            future = self._threads.submit(self._ask, promql, at, now + self._provider.timeout)
            self._memo[promql, at] = (now + MEMO_SECONDS, future)
            return future

    def _ask(self, promql: str, at: float, deadline: float) -> Answer:
        begun = time.monotonic()
        left = deadline - begun
        if left <= 0:
            return refusal(AnswerFault.TIMEOUT, "the query waited too long for a free connection")
        exchange = self._local.exchange = _Exchange(deadline)
        try:
            # Prometheus itself stops at the deadline too; its durations are whole numbers with a unit.
            params = {"time": f"{at:.3f}", "timeout": f"{max(1, int(left * 1000))}ms"}
            self._client.custom_query(promql, params=params, timeout=left)
        except Exception as error:  # noqa: BLE001 - every way to fail is an answer with a fault
            if exchange.body is None:
                return without_secrets(_failed(error, self._provider), self._provider)
        answer = without_secrets(decode(exchange.status, exchange.headers, exchange.body or b""), self._provider)
        if answer.server_time is None:
            return answer
        # The caller compares with its own clock as of the moment of asking.
        elapsed = time.monotonic() - begun
        return replace(answer, server_time=answer.server_time + _DATE_RESOLUTION_SECONDS - elapsed)

    def _keep(self, response: requests.Response, *_args: Any, **_kwargs: Any) -> requests.Response:
        """The response hook: read the body within limit and deadline, keep it, leave the library an empty answer."""
        if response.is_redirect:
            return response
        exchange: _Exchange = self._local.exchange
        body = _read(response, exchange.deadline, self._max_body_bytes)
        exchange.status, exchange.headers, exchange.body = response.status_code, dict(response.headers), body
        vars(response).update(_content=_EMPTY, _content_consumed=True)  # as requests does itself once a body is read
        return response


def _good(future: Future[Answer]) -> bool:
    """Whether an answer may be given again: a fault is asked anew."""
    return not future.cancelled() and future.exception() is None and future.result().fault is None


def _read(response: requests.Response, deadline: float, limit: int) -> bytes:
    try:
        body = b"".join(_parts(response, deadline, limit))
    except BaseException:
        response.close()
        raise
    response.raw.release_conn()
    return body


def _parts(response: requests.Response, deadline: float, limit: int) -> Iterator[bytes]:
    size = 0
    # read1 returns what has arrived; read would wait for a whole chunk of a server that trickles.
    while part := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        size += len(part)
        if size > limit:
            raise _TooLargeError(f"more than {limit:,} bytes")
        if time.monotonic() > deadline:
            raise _LateError
        yield part


def _failed(error: Exception, provider: Provider) -> Answer:
    """The answer for an exchange that brought no body."""
    if isinstance(error, (_LateError, requests.exceptions.Timeout, ReadTimeoutError)):
        return refusal(AnswerFault.TIMEOUT, f"no answer within {provider.timeout:g} s")
    for kinds, fault, words in _FAILURES:
        if isinstance(error, kinds):
            if fault is AnswerFault.UNREACHABLE:
                words = f"{urlsplit(provider.url).netloc}: "  # noqa: PLW2901 - who was asked, where the table has no words
            return refusal(fault, words if words and not words.endswith(": ") else f"{words}{_cause(error)}")
    return refusal(AnswerFault.UNREADABLE, f"{type(error).__name__}: {_cause(error)}")


def _cause(error: BaseException) -> str:
    """The words of the innermost error: those around it repeat the whole query and would push the cause out of sight."""
    while inner := next((part for part in (getattr(error, "reason", None), *error.args) if isinstance(part, BaseException)), None):
        error = inner
    return _LIBRARY_WORDS.sub("", str(error))


def _credentials(provider: Provider) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Sets the Authorization header of each request from the files as they are at that moment."""

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if provider.bearer_token_file:
            request.headers["Authorization"] = f"Bearer {_secret(provider.bearer_token_file)}"
        elif provider.basic_auth:
            pair = f"{provider.basic_auth.username}:{_secret(provider.basic_auth.password_file)}"
            request.headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return request

    return authorize


SHORTEST_SECRET = 4
"""Shorter values are words, not secrets: nobody could read a message in which each of them is hidden."""


def without_secrets(answer: Answer, provider: Provider) -> Answer:
    """The answer's words without what was sent to get it: messages stand in statuses, records, Events and bundles."""
    if not (answer.message or answer.warnings):
        return answer
    secrets = sorted(filter(None, _secrets(provider)), key=len, reverse=True)
    return replace(answer, message=_hidden(answer.message, secrets), warnings=tuple(_hidden(one, secrets) for one in answer.warnings))


def _secrets(provider: Provider) -> Iterator[str]:
    yield from provider.headers.values()
    for path in (provider.bearer_token_file, provider.basic_auth.password_file if provider.basic_auth else None):
        if path:
            try:
                secret = _secret(path)
            except _CredentialsError:
                continue
            yield secret
            if provider.basic_auth:
                yield base64.b64encode(f"{provider.basic_auth.username}:{secret}".encode()).decode()


def _hidden(text: str, secrets: Sequence[str]) -> str:
    """The text with each secret as dots, also one that is cut off at the text's end."""
    for secret in secrets:
        if len(secret) < SHORTEST_SECRET:
            continue
        text = text.replace(secret, "...")
        cut = next((size for size in range(len(secret) - 1, SHORTEST_SECRET - 1, -1) if text.endswith(secret[:size])), 0)
        text = f"{text[: len(text) - cut]}..." if cut else text
    return text


def _secret(path: str) -> str:
    try:
        secret = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _CredentialsError(f"the file {path} cannot be read: {error}") from error
    if not secret:
        raise _CredentialsError(f"the file {path} is empty")
    return secret


class HttpProviders:
    """All providers of the configuration; the first is the default."""

    def __init__(self, config: PrometheusConfig) -> None:
        self._providers = {provider.name: HttpPrometheus(provider) for provider in config.providers}
        self._default = config.providers[0].name if config.providers else ""

    def provider(self, name: str) -> HttpPrometheus | None:
        """The provider of that name, or None; "" is the default one."""
        return self._providers.get(name or self._default)

    def close(self) -> None:
        """Close all connections."""
        for provider in self._providers.values():
            provider.close()
