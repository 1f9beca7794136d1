"""The JSON Schema check: all problems of a spec at once, each where it stands, in our words."""

from __future__ import annotations

import functools
import json
import pathlib
import re
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import Problem, SpecError
from pcs_runner.spec.schema_messages import explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError

    from pcs_runner.spec.document import Document, Path
    from pcs_runner.spec.models import Spec

SCHEMA_FILE = "pcs-spec.schema.json"

_PACKAGE = pathlib.Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "schemas" / SCHEMA_FILE, _PACKAGE.parent / "schemas" / SCHEMA_FILE)  # in a wheel, in a checkout
_SIMPLE = frozenset({"type", "items", "properties", "patternProperties", "additionalProperties"})
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "number": (int, float),
    "integer": (int,),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


def spec_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the language, made from the pydantic models."""
    from pcs_runner.spec.schema_rewrite import published_schema

    return published_schema()


def schema_text() -> str:
    """The published schema as text, from the wheel or the checkout."""
    place = next((place for place in _PLACES if place.is_file()), None)
    if place is None:
        raise FileNotFoundError(f"{SCHEMA_FILE} is missing from the installation")
    return place.read_text(encoding="utf-8")


def validate(document: Document) -> Spec:
    """Check a document against the language.

    Raises:
        SpecError: Every problem that the schema finds; where it finds none, every problem that the models find.
    """
    try:
        problems = list(explain(document, _validator().iter_errors(document.data)))
    except RecursionError:
        problems = [document.problem((), "the spec nests too deeply to be checked", hint="flatten its expression trees")]
    if problems:
        raise SpecError(problems)
    return _as_spec(document)


def _as_spec(document: Document) -> Spec:
    from pydantic import ValidationError

    from pcs_runner.spec.models import Spec

    try:
        return Spec.model_validate(document.data)
    except ValidationError as error:
        raise SpecError(_model_problems(document, error)) from None


def _model_problems(document: Document, error: ValidationError) -> Iterator[Problem]:
    """What only the models know: rules that JSON Schema cannot say."""
    seen = set()
    for detail in error.errors(include_url=False, include_input=False):
        message = detail["msg"].removeprefix("Value error, ").removesuffix(".")
        path = _path_in_data(document.data, detail["loc"])
        if (path, message) not in seen:
            seen.add((path, message))
            yield document.problem(path, message[:1].lower() + message[1:])


def _path_in_data(data: Any, location: tuple[str | int, ...]) -> Path:
    """Pydantic's location without the tags of unions that it mixes in."""
    path: list[str | int] = []
    for step in location:
        inside = step in data if isinstance(data, dict) else isinstance(data, list) and step in range(len(data))
        if inside:
            path.append(step)
            data = data[step]
    return tuple(path)


@functools.cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, validators

    integers = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    keyword = Draft202012Validator.VALIDATORS["items"]

    def items(validator: Any, schema: Any, instance: Any, parent: Any) -> Iterator[Any]:
        """A long list of numbers or points is checked some ten times faster than by jsonschema's own `items`."""
        if isinstance(instance, list) and all(_surely_valid(schema, item) for item in instance):
            return
        yield from keyword(validator, schema, instance, parent)

    extend: Any = validators.extend
    kind = extend(Draft202012Validator, {"items": items}, type_checker=integers)
    return kind(json.loads(schema_text()))


def _surely_valid(schema: Any, instance: Any) -> bool:
    """True when a value keeps a simple schema; False also when the schema is not simple."""
    if not isinstance(schema, dict) or not schema.keys() <= _SIMPLE:
        return False
    names = schema.get("type", ())
    kind = type(instance)
    if not any(kind in _PYTHON_TYPES.get(name, ()) for name in ((names,) if isinstance(names, str) else names)):
        return False
    if kind is list:
        return "items" not in schema or all(_surely_valid(schema["items"], item) for item in instance)
    if kind is dict:
        patterns = schema.get("patternProperties", {})
        return (
            len(patterns) == 1
            and not schema.get("properties", {}).keys() & instance.keys()
            and all(
                _is_match(pattern, key) and _surely_valid(patterns[pattern], value)
                for pattern in patterns
                for key, value in instance.items()
            )
        )
    return True


@functools.lru_cache(maxsize=1024)
def _is_match(pattern: str, key: str) -> bool:
    return re.search(pattern, key) is not None


if __name__ == "__main__":
    _PLACES[1].parent.mkdir(exist_ok=True)
    _PLACES[1].write_text(json.dumps(spec_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
