"""Reads PromQL without evaluating it."""
import promql_parser as pp
class PromqlSyntaxError(ValueError):
    line = 1; column = 1; message = ""
def parse(text: str) -> pp.Expr:
    try:
        return pp.parse(text)
    except ValueError as e:
        x = PromqlSyntaxError(str(e)); x.message = str(e)
        raise x from e
