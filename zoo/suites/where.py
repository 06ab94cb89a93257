"""The filters of `--where`, such as `params<30 and img_size<=224`: comparisons of columns with values.

An expression is parsed as Python and then only read: names are columns, and nothing is called or looked up.
"""

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from zoo.errors import UsageError, did_you_mean
from zoo.suites.generated import COLUMNS, Facts

MAX_LENGTH = 1000
EXAMPLE = "'params<30 and img_size<=224'"
COMPARISONS: Mapping[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.In: ("in", lambda part, whole: part in whole),
    ast.NotIn: ("not in", lambda part, whole: part not in whole),
}
BOOLEANS = ("quantized",)
"""Columns that are conditions by themselves."""
Condition = Callable[[Facts], bool]
_Known = Callable[[Facts], bool | None]
"""A condition that is None if it depends on a fact that is unknown."""


def parse_where(text: str) -> Condition:
    """Return a function that says whether the facts of an entry fit an expression.

    An expression that depends on a value that is unknown of an entry does not fit it, nor does its `not`.

    Args:
        text: Comparisons (`<`, `<=`, `>`, `>=`, `==`, `!=`, `in`, `not in`) of columns, numbers, texts and lists,
            joined by `and`, `or`, `not` and parentheses.

    Raises:
        UsageError: The text is no such expression, or names a column that does not exist.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"--where: an expression has at most {MAX_LENGTH:,} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        condition = _condition(tree, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refused(text) from None
    return lambda facts: condition(facts) is True


def _condition(node: ast.expr, text: str) -> _Known:
    match node:
        case ast.BoolOp(op=op, values=values):
            parts, decides = [_condition(value, text) for value in values], isinstance(op, ast.Or)
            return lambda facts: _joined((part(facts) for part in parts), decides=decides)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _condition(operand, text)
            return lambda facts: None if (known := inner(facts)) is None else not known
        case ast.Compare(left=left, ops=ops, comparators=others):
            compared = [_value(value, text) for value in (left, *others)]
            tests = [_comparison(op, *pair, text) for op, pair in zip(ops, pairwise(compared), strict=True)]
            return lambda facts: _joined((test(facts) for test in tests), decides=False)
        case ast.Name(id=name) if name in BOOLEANS:
            return _value(node, text)
        case _:
            raise _refused(text)


def _joined(parts: Iterable[bool | None], *, decides: bool) -> bool | None:
    """Return the part that decides, which is True for `or` and False for `and`; None if it may be an unknown one."""
    has_unknown = False
    for part in parts:
        if part is decides:
            return decides
        has_unknown = has_unknown or part is None
    return None if has_unknown else not decides


def _value(node: ast.expr, text: str) -> Callable[[Facts], Any]:
    match node:
        case ast.Name(id=name):
            if name not in COLUMNS:
                raise UsageError(
                    f"--where: there is no column {name!r}{did_you_mean(name, list(COLUMNS))}; {_columns()}"
                )
            return lambda facts: facts.get(name)
        case ast.Constant(value=bool() | int() | float() | str() as constant):
            return lambda facts: constant
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as constant)):
            return lambda facts: -constant
        case ast.List(elts=items) | ast.Tuple(elts=items):
            values = [_value(item, text) for item in items]
            return lambda facts: [value(facts) for value in values]
        case _:
            raise _refused(text)


def _comparison(op: ast.cmpop, left: Callable[[Facts], Any], right: Callable[[Facts], Any], text: str) -> _Known:
    if type(op) not in COMPARISONS:
        raise _refused(text)
    sign, compare = COMPARISONS[type(op)]

    def test(facts: Facts) -> bool | None:
        values = left(facts), right(facts)
        if None in values:
            return None
        try:
            return compare(*values)
        except TypeError:
            shown = f"{values[0]!r} {sign} {values[1]!r}"
            raise UsageError(f"--where: {shown} compares a number with a text; write {EXAMPLE}") from None

    return test


def _refused(text: str) -> UsageError:
    return UsageError(f"--where: {text!r} is not a comparison of columns, such as {EXAMPLE}; {_columns()}")


def _columns() -> str:
    return f"the columns are {', '.join(COLUMNS)}"
