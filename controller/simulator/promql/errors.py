"""Why a query gives no result, in the classes of Prometheus's HTTP API."""


class QueryError(Exception):
    """A query has no answer. `error_type` is the API's word for why; `str()` is one sentence."""

    error_type = "execution"
    http_status = 422


class BadQueryError(QueryError):
    """The text is not PromQL, or a parameter of the request is wrong: HTTP 400."""

    error_type = "bad_data"
    http_status = 400


class UnsupportedError(BadQueryError):
    """Valid PromQL that this evaluator does not know; the sentence names the function or feature."""


class ExecutionError(QueryError):
    """Valid PromQL that fails on the data it meets, such as a many-to-many match: HTTP 422."""
