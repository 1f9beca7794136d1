"""YAML 1.2's core schema: what an unquoted word means."""

from __future__ import annotations

import math
import re

MAX_INTEGER_DIGITS = 4300

_CORE = "tag:yaml.org,2002:"
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_RADIX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_TAGGED: dict[str, tuple[type, ...]] = {
    _CORE + "int": (int,),
    _CORE + "float": (int, float),
    _CORE + "bool": (bool,),
    _CORE + "null": (type(None),),
}

Scalar = str | int | float | bool | None


class RefusedScalarError(Exception):
    """A scalar that YAML allows and a spec does not.

    Args:
        message: What is wrong, without the value.
        hint: What to do now.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def plain_value(text: str) -> Scalar:
    """The value of an unquoted scalar: null, boolean, integer, float, else the text itself.

    Raises:
        RefusedScalarError: NaN, infinity, and numbers that nothing here can hold.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _DECIMAL.fullmatch(text):
        return _integer(text, 10)
    if _FLOAT.fullmatch(text):
        return _finite(float(text))
    if _RADIX.fullmatch(text):
        return _integer(text[2:], 8 if text[1] == "o" else 16)
    if _NOT_FINITE.fullmatch(text):
        raise RefusedScalarError("NaN and infinity are refused")
    return text


def tagged_value(tag: str, text: str) -> Scalar:
    """The value of a scalar with one of the core tags (`!!str`, `!!int`, `!!float`, `!!bool`, `!!null`).

    Raises:
        RefusedScalarError: Any other tag, a value that does not fit its tag, and whatever `plain_value` refuses.
    """
    if tag == _CORE + "str":
        return text
    types = _TAGGED.get(tag)
    if types is None:
        raise RefusedScalarError("a tag (`!...`) is refused here", "remove the tag, or quote the text if `!` is part of it")
    value = plain_value(text)
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise RefusedScalarError(f"the value does not fit its tag `!!{tag.removeprefix(_CORE)}`", "remove the tag")
    if isinstance(value, int) and tag == _CORE + "float":
        return _as_float(value)
    return value


def _integer(digits: str, base: int) -> int:
    refused = RefusedScalarError(f"an integer of more than {MAX_INTEGER_DIGITS} digits", "write it as a float, for example 1e300")
    if len(digits) > MAX_INTEGER_DIGITS + 1:
        raise refused
    try:
        value = int(digits, base)
        str(value)  # a hexadecimal one within the limit may be beyond it in decimal
    except ValueError:
        raise refused from None
    return value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return _finite(math.inf)


def _finite(value: float) -> float:
    if math.isinf(value):
        raise RefusedScalarError("the number is beyond what a float can hold (about 1.8e308); NaN and infinity are refused")
    return value
