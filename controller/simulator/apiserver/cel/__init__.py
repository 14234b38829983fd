"""The Common Expression Language, as far as validation rules of custom resources use it.

`compile_rule` turns a rule's text into a closure once; evaluating it then costs about a microsecond for a
comparison of two fields, where the evaluators on PyPI cost hundreds. Differences from the real one: expressions are
not type-checked beforehand (a wrong type is an error when the rule runs, which refuses the object), and integers
are not limited to 64 bits.
"""

from controller.simulator.apiserver.cel.compiler import Program, compile_rule
from controller.simulator.apiserver.cel.parser import CelError, CelSyntaxError

__all__ = ["CelError", "CelSyntaxError", "Program", "compile_rule"]
