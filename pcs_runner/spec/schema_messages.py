"""jsonschema's errors as problems in plain words: what is wrong, where it stands, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.source import is_secret, quoted, quoted_key
from pcs_runner.spec.synonyms import synonym

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pcs_runner.errors import Problem
    from pcs_runner.spec.document import Document, Path

VERSION = 1

_LISTED = 10
_OTHER_FORMS: dict[Path, tuple[str, ...]] = {("sequence",): ("file", "python")}
"""Keys that choose another form of the same mapping; they are suggested too."""
_KINDS = {"number": "a number", "integer": "an integer", "string": "text", "boolean": "true or false", "array": "a list"}
_KINDS |= {"object": "a mapping", "null": "null"}
_SPOKEN_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def explain(document: Document, errors: Iterable[Any]) -> Iterator[Problem]:
    """One problem for each cause among jsonschema's errors.

    Args:
        document: What was checked.
        errors: From `iter_errors`, for a schema without unions other than those of `schema_rewrite`.
    """
    data = document.data
    version = data.get("version")
    if type(version) is int and version > VERSION:
        message = f"this spec is version {version}; this pcs-runner reads version {VERSION}"
        yield document.problem(("version",), message, hint="upgrade: pip install --upgrade pcs-runner")
        return
    by_path: dict[Path, list[Any]] = {}
    for error in errors:
        by_path.setdefault(tuple(error.absolute_path), []).append(error)
    for path, group in by_path.items():
        yield from _at_one_path(document, path, group)


def _at_one_path(document: Document, path: Path, errors: list[Any]) -> Iterator[Problem]:
    """The problems of one value; what follows from another of them is left out."""
    by_keyword: dict[str, Any] = {}
    for error in errors:
        by_keyword.setdefault(error.validator, error)
    if "type" in by_keyword:
        yield _wrong_type(document, path, by_keyword["type"])
        return
    yield from _key_problems(document, path, errors, by_keyword)
    if "anyOf" in by_keyword:
        yield _no_mark(document, path, by_keyword["anyOf"])
    for keyword in ("const", "enum", "pattern"):
        if keyword in by_keyword:
            yield _VALUE_MESSAGES[keyword](document, path, by_keyword[keyword])
            return
    for keyword in _LIMITS.keys() & by_keyword.keys():
        yield _limit(document, path, by_keyword[keyword])


def _key_problems(document: Document, path: Path, errors: list[Any], by_keyword: dict[str, Any]) -> Iterator[Problem]:
    """Keys that are unknown, missing, or too many of a kind; a misspelt key is not reported as missing too."""
    meant: set[str] = set()
    unknown = _unknown_keys(by_keyword["additionalProperties"]) if "additionalProperties" in by_keyword else []
    for key in unknown:
        problem, name = _unknown_key(document, path, key, by_keyword["additionalProperties"])
        meant.add(name)
        yield problem
    missing = dict.fromkeys(key for error in errors if error.validator == "required" for key in _missing_keys(error))
    if not meant & set(_OTHER_FORMS.get(path, ())):
        for key in missing.keys() - meant:
            yield document.problem(path, f"missing key {quoted(key)}", hint=_missing_hint(key, errors))
    if "oneOf" in by_keyword:
        yield from _exactly_one(document, path, by_keyword["oneOf"], misspelt=bool(unknown))
    elif "dependentRequired" in by_keyword:
        yield _dependent(document, path, by_keyword["dependentRequired"])


def _shown(value: Any, path: Path) -> str:
    """A value for a message; nothing of a secret, and only the kind of a collection."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if _is_secret_path(path):
        return "***"
    if isinstance(value, str):
        return f"the text {quoted(value)}" if value else "an empty text"
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else _number(value)


def _is_secret_path(path: Path) -> bool:
    return any(isinstance(step, str) and is_secret(step) for step in path)


def _number(value: float) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _listed(names: Iterable[str], limit: int = _LISTED) -> str:
    every = list(names)
    return ", ".join(every[:limit]) + (f", … ({len(every) - limit} more)" if len(every) > limit else "")


def _nearest(name: str, names: Iterable[str]) -> str:
    """The one of the names that was probably meant, or empty."""
    by_lower = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""


def _expected(schema: dict[str, Any]) -> str:
    if "title" in schema:
        return str(schema["title"])
    if "enum" in schema:
        return f"one of {_listed(map(str, schema['enum']))}"
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    kinds = ["an expression" if name == "string" and "number" in types else _KINDS[name] for name in types]
    return kinds[0] if len(kinds) == 1 else f"{', '.join(kinds[:-1])} or {kinds[-1]}"


def _wrong_type(document: Document, path: Path, error: Any) -> Problem:
    value, schema = error.instance, error.schema
    message = f"expected {_expected(schema)}, got {_shown(value, path)}"
    return document.problem(path, message, hint=_type_hint(value, schema, secret=_is_secret_path(path)))


def _type_hint(value: Any, schema: dict[str, Any], *, secret: bool) -> str:
    types = schema["type"]
    if value is None:
        return "give it a value, or remove the key"
    if isinstance(value, str) and not secret:
        if "boolean" in types:
            return f"write {_SPOKEN_BOOLEANS.get(value.lower(), 'true or false')}"
        if re.fullmatch(r"-?[0-9]{1,18}", value) and ("integer" in types or "number" in types):
            return f"remove the quotes: {value}"
    if isinstance(value, float) and "integer" in types and value.is_integer():
        return f"write {int(value)}" if abs(value) < 1e15 else "write it without point and exponent"
    if isinstance(value, (int, float)) and "string" in types and not {"number", "enum"} & {*types, *schema} and not secret:
        return f'quote it: "{_number(value) if not isinstance(value, bool) else str(value).lower()}"'
    return ""


def _unknown_keys(error: Any) -> list[str]:
    known, patterns = error.schema.get("properties", {}), error.schema.get("patternProperties", {})
    return [key for key in error.instance if key not in known and not any(re.search(pattern, key) for pattern in patterns)]


def _unknown_key(document: Document, path: Path, key: str, error: Any) -> tuple[Problem, str]:
    """The problem, and the known key that was probably meant."""
    here: Path = (*path, key)
    if "patternProperties" in error.schema:
        hint = "a name is letters, digits and _, and does not begin with a digit"
        return document.problem(here, f"{quoted_key(key)} cannot be a name in expressions", hint=hint, key=True), ""
    known = list(dict.fromkeys((*error.schema.get("properties", {}), *_OTHER_FORMS.get(path, ()))))
    message = f"unknown key {quoted_key(key)}"
    name = key.partition(":")[0]
    if name != key and name in known:
        return document.problem(here, message, hint=f"write a space after the colon: `{name}: `", key=True), name
    if is_secret(key):
        hint = "a spec holds no secret; `pcs-run login` keeps it, or the environment gives it"
        return document.problem(here, message, hint=hint, key=True), ""
    left = [name for name in known if name not in error.instance]
    meant = synonym(key, left) or _nearest(key, left)
    hint = f"did you mean {quoted(meant)}?" if meant else f"the keys here are {_listed(known, 12)}" if known else ""
    return document.problem(here, message, hint=hint, key=True), meant


def _missing_keys(error: Any) -> list[str]:
    return [key for key in error.validator_value if key not in error.instance]


def _missing_hint(key: str, errors: list[Any]) -> str:
    """What may stand there, when the schema lists it."""
    for error in errors:
        schema = error.schema.get("properties", {}).get(key, {}) if error.validator == "required" else {}
        if "enum" in schema:
            return f"one of {_listed(map(str, schema['enum']), 20)}"
        if "const" in schema:
            return f"write `{key}: {schema['const']}`"
        if schema.get("description"):
            return f"`{key}`: {schema['description'].removesuffix('.')}"
    return ""


def _exactly_one(document: Document, path: Path, error: Any, *, misspelt: bool) -> Iterator[Problem]:
    """One of several keys is needed; nothing is said when a misspelt one explains that there is none."""
    keys = [key for branch in error.validator_value for key in branch["required"]]
    given = [key for key in error.instance if key in keys]
    if given:
        message = f"only one of {_listed(given)} can stand here"
        yield document.problem((*path, given[1]), message, hint="keep one of them", key=True)
    elif not misspelt:
        yield document.problem(path, f"exactly one of {_listed(keys)} is needed")


def _dependent(document: Document, path: Path, error: Any) -> Problem:
    pairs = [(key, other) for key, others in error.validator_value.items() for other in others]
    needed = [other for key, other in pairs if key in error.instance and other not in error.instance]
    return document.problem(path, f"missing key {', '.join(quoted(key) for key in needed)}")


def _no_mark(document: Document, path: Path, error: Any) -> Problem:
    """A mapping where only Pulser's own mappings can stand."""
    keys = [key for branch in error.validator_value for key in branch.get("required", ())]
    expected = _expected(error.parent.schema) if error.parent is not None else "a number or an expression"
    hint = f"a mapping here has {' or '.join(f'`{key}`' for key in keys)}, as Pulser prints it"
    return document.problem(path, f"expected {expected}, got a mapping", hint=hint)


def _const(document: Document, path: Path, error: Any) -> Problem:
    return document.problem(path, f"expected {_shown(error.validator_value, ())}, got {_shown(error.instance, path)}")


def _enum(document: Document, path: Path, error: Any) -> Problem:
    allowed = [str(value) for value in error.validator_value]
    value = error.instance
    meant = _nearest(value, allowed) if isinstance(value, str) else ""
    shown = quoted(value) if isinstance(value, str) and not _is_secret_path(path) else _shown(value, path)
    hint = f"did you mean {quoted(meant)}?" if meant else ""
    return document.problem(path, f"{shown} is not one of {_listed(allowed, 20)}", hint=hint)


def _pattern(document: Document, path: Path, error: Any) -> Problem:
    if path == ("name",):
        message = f"{quoted(error.instance)} cannot name a run: 1 to 63 of a-z, 0-9, _ and -, not beginning with _ or -"
        suggestion = re.sub(r"[^a-z0-9_-]+", "-", error.instance.lower()).strip("-_")[:63]
        return document.problem(path, message, hint=f'for example "{suggestion}"' if suggestion else "")
    hint = "a name is letters, digits and _, and does not begin with a digit"
    shown = "this text" if _is_secret_path(path) else quoted(error.instance)
    return document.problem(path, f"{shown} cannot be a name in expressions", hint=hint)


_VALUE_MESSAGES = {"const": _const, "enum": _enum, "pattern": _pattern}

_LIMITS = {
    "minimum": "{value} is below the minimum of {limit}",
    "maximum": "{value} is above the maximum of {limit}",
    "exclusiveMinimum": "{value} must be greater than {limit}",
    "exclusiveMaximum": "{value} must be less than {limit}",
    "minLength": "the text has {length} characters, the minimum is {limit}",
    "maxLength": "the text has {length} characters, the maximum is {limit}",
    "minItems": "the list has length {length}, the minimum is {limit}",
    "maxItems": "the list has length {length}, the maximum is {limit}",
    "minProperties": "the mapping is empty",
}


def _limit(document: Document, path: Path, error: Any) -> Problem:
    value = error.instance
    length = len(value) if isinstance(value, (str, list, dict)) else 0
    return document.problem(
        path, _LIMITS[error.validator].format(value=_shown(value, path), limit=error.validator_value, length=length)
    )
