"""pydantic's JSON Schema of the language, rewritten so that an error always comes from the branch that was meant.

A `oneOf` blames every branch at once. Here each union becomes a list of allowed types and one `if`/`then` a branch, decided by
the tag (`op`, `kind`), by the type, or, between two kinds of mapping, by the keys that only one of them has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcs_runner.spec.jobs import RANGE_KINDS, SWEEP_KINDS, Distribution
from pcs_runner.spec.models import Spec
from pcs_runner.spec.sequences import CONSTRUCTORS, LAYOUTS
from pcs_runner.spec.values import IDENTIFIER_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable

Schema = dict[str, Any]

SCHEMA_ID = "https://raw.githubusercontent.com/pcs-runner/pcs-runner/main/schemas/pcs-spec.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

NULLABLE = frozenset({"measurement", "prefix"})
"""Fields where null means something; elsewhere an empty value is a mistake."""

EXACTLY_ONE: dict[str, tuple[str, ...]] = {
    "SweepNode": SWEEP_KINDS,
    "AxisRange": (*RANGE_KINDS, "file"),
    "Distribution": tuple(Distribution.model_fields),
    "RegisterConstructor": CONSTRUCTORS,
    "TrapLayout": LAYOUTS,
}

_HAS_MAPPING = {"not": {"additionalProperties": {"not": {"type": "object"}}}}

MARKS: dict[str, Schema] = {
    "ExpressionTree": {"required": ["expression"]},
    "VariableRef": {"required": ["variable"]},
    "FileSequence": {"required": ["file"]},
    "PythonSequence": {"required": ["python"]},
    "Atom": {"required": ["name"]},
    "MappableAtom": {"required": ["qid"]},
    "WeightedTraps": {"required": ["traps"], "properties": {"traps": {"type": "array"}}},
    "DeviceFile": {"required": ["file"], "maxProperties": 1},
    "RegisterConstructor": {
        "anyOf": [*({"required": [key]} for key in (*CONSTRUCTORS, "automatic_layout")), _HAS_MAPPING],
    },
}
"""What tells a mapping from the others that may stand in its place."""

NAMES = {
    "Param": "a number or an expression",
    "ParamList": "a list of numbers or an expression",
    "TreeOperand": "a number, a list or an expression tree",
    "Waveform": "a number, an expression or a waveform",
    "Register": "a register constructor or coordinates",
    "Layout": "the name of a layout or a mapping",
    "DetuningMap": "weights by atom or by trap",
    "Device": "the name of a device or a mapping",
    "Axis": "a list or a range such as `{linspace: {start, stop, num}}`",
    "jobs": "a job group or a list of them",
}
"""How messages and editors name what a union takes: its title."""


def published_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of the language."""
    raw = Spec.model_json_schema(by_alias=True)
    definitions = raw.pop("$defs")
    rewritten = {name: _definition(name, schema, definitions) for name, schema in sorted(definitions.items())}
    root = _rewrite(raw, definitions)
    _narrow(root, rewritten)
    return {"$schema": DIALECT, "$id": SCHEMA_ID, "title": "pcs-runner experiment", **root, "$defs": rewritten}


_EXPRESSION: Schema = {"type": ["number", "string"]}
_NULLABLE_OBJECT: Schema = {"type": ["object", "null"]}

_WORDS_AND_TRAPS: dict[str, tuple[Schema, str]] = {
    "variant": ({"type": "string"}, "Names of the spec's `variants`."),
    "qubits": (
        {
            "type": ["array", "object"],
            "items": _EXPRESSION,
            "additionalProperties": _EXPRESSION,
            "minItems": 1,
            "minProperties": 1,
        },
        "Traps of a mappable register: a list, first atom first, or atom: trap.",
    ),
}
"""Swept names whose values are no numbers: the schema of one value, and the description."""


def _narrow(root: Schema, definitions: dict[str, Schema]) -> None:
    """Say what pydantic leaves open: overlays, which are checked again when they are merged, and names that take no numbers."""
    batch = definitions["TargetOptions"]["properties"]["batch"]
    definitions["TargetOptions"]["properties"]["batch"] = {
        "$ref": "#/$defs/BatchOptions",
        "description": batch["description"],
    }
    definitions["SequenceOverlay"] = _sequence_overlay(definitions)
    overlay = {
        "type": "object",
        "properties": {
            "sequence": {"$ref": "#/$defs/SequenceOverlay"},
            "constants": {**root["properties"]["constants"], "description": "Constants with another value, and new ones."},
        },
    }
    for pattern in root["properties"]["variants"]["patternProperties"]:
        root["properties"]["variants"]["patternProperties"][pattern] = {**overlay, "additionalProperties": False}
    node = definitions["SweepNode"]["properties"]
    for kind in ("grid", "zip"):
        _name_words(node[kind], lambda value: {"type": ["array", "object"], "allOf": _axis_of(value)})
    _name_words(node["points"]["items"], lambda value: value)


def _axis_of(value: Schema) -> list[Schema]:
    """A list of these values, or a column of a file."""
    listed = {"if": {"type": "array"}, "then": {"minItems": 1, "items": value}}
    return [listed, {"if": {"type": "object"}, "then": {"$ref": "#/$defs/AxisRange"}}]


def _name_words(names: Schema, form: Callable[[Schema], Schema]) -> None:
    """Give `variant` and `qubits` values of their own, and the other names numbers."""
    patterns = names["patternProperties"]
    numbers = patterns.pop(IDENTIFIER_PATTERN)
    patterns[IDENTIFIER_PATTERN.replace("^", f"^(?!(?:{'|'.join(_WORDS_AND_TRAPS)})$)", 1)] = numbers
    names["properties"] = {name: {**form(value), "description": text} for name, (value, text) in _WORDS_AND_TRAPS.items()}


def _sequence_overlay(definitions: dict[str, Schema]) -> Schema:
    """What a variant says about its sequence: any key; null takes a key away."""
    properties: dict[str, Schema] = {}
    for model in ("InlineSequence", "FileSequence", "PythonSequence"):
        for name, schema in definitions[model]["properties"].items():
            described = {"description": schema["description"]} if "description" in schema else {}
            if schema.get("type") == "object":
                properties[name] = {**_NULLABLE_OBJECT, **described}
            else:
                properties[name] = {**described, "if": {"not": {"type": "null"}}, "then": schema}
    return {
        "type": "object",
        "description": "Keys of the sequence with another value; null takes one away, mappings merge (JSON merge patch).",
        "properties": properties,
        "additionalProperties": False,
    }


def _definition(name: str, schema: Schema, definitions: dict[str, Schema]) -> Schema:
    result = _rewrite(schema, definitions)
    if name in EXACTLY_ONE:
        result["oneOf"] = [{"required": [key]} for key in EXACTLY_ONE[name]]
    if name == "AxisRange":
        result["dependentRequired"] = {"file": ["column"], "column": ["file"]}
    return {"title": NAMES[name], **result} if name in NAMES else result


def _rewrite(schema: Schema, definitions: dict[str, Schema], field: str = "") -> Schema:
    """One schema and everything below it; `field` is the property that it describes."""
    result: Schema = {}
    for keyword, value in schema.items():
        if keyword in ("title", "discriminator", "oneOf", "anyOf") or (keyword == "default" and value in (None, {}, [], "")):
            continue
        if keyword == "default" and isinstance(value, dict):
            continue
        result[keyword] = _below(keyword, value, definitions)
    if "patternProperties" in result:
        result.setdefault("additionalProperties", False)
    branches = schema.get("oneOf", schema.get("anyOf"))
    if branches is None:
        return result
    tag = schema.get("discriminator")
    union = _tagged(tag) if tag else _by_shape(branches, definitions, keep_null=field in NULLABLE)
    return {**({"title": NAMES[field]} if field in NAMES else {}), **union, **result}


def _below(keyword: str, value: Any, definitions: dict[str, Schema]) -> Any:
    if keyword in ("properties", "patternProperties"):
        return {name: _rewrite(schema, definitions, name) for name, schema in value.items()}
    if keyword in ("items", "additionalProperties") and isinstance(value, dict):
        return _rewrite(value, definitions)
    return value


def _tagged(discriminator: Schema) -> Schema:
    """A mapping whose `op` or `kind` says which model it is."""
    tag, models = discriminator["propertyName"], discriminator["mapping"]
    cases = [
        {"if": {"properties": {tag: {"const": name}}, "required": [tag]}, "then": {"$ref": ref}} for name, ref in models.items()
    ]
    return {
        "type": "object",
        "required": [tag],
        "properties": {tag: {"enum": list(models), "description": f"Which {'operation' if tag == 'op' else 'waveform'}."}},
        "allOf": cases,
    }


def _by_shape(branches: list[Schema], definitions: dict[str, Schema], *, keep_null: bool) -> Schema:
    """A union of which no two branches take the same value."""
    kept = [branch for branch in branches if keep_null or branch != {"type": "null"}]
    if len(kept) == 1:
        return _rewrite(kept[0], definitions)
    rewritten = [_rewrite(branch, definitions) for branch in kept]
    types = [_types(branch, definitions) for branch in kept]
    mappings = [branch for branch, its_types in zip(kept, types, strict=True) if "object" in its_types]
    allowed = list(dict.fromkeys(name for its_types in types for name in its_types))
    if "number" in allowed and "integer" in allowed:
        allowed.remove("integer")
    cases = [
        {"if": _condition(branch, its_types, mappings), "then": schema}
        for branch, its_types, schema in zip(kept, types, rewritten, strict=True)
        if set(schema) - {"type", "title"}
    ]
    union: Schema = {"type": allowed[0] if len(allowed) == 1 else allowed}
    if len(mappings) > 1 and all(_model(branch) in MARKS for branch in mappings):
        some_mark = {"anyOf": [MARKS[_model(branch)] for branch in mappings]}
        cases.insert(0, {"if": {"type": "object"}, "then": some_mark})
    return {**union, "allOf": cases} if cases else union


def _condition(branch: Schema, types: list[str], mappings: list[Schema]) -> Schema:
    """What tells a branch from its neighbours: its types, and where several take a mapping, the marks of one."""
    condition: Schema = {"type": types[0] if len(types) == 1 else types}
    if "object" not in types or len(mappings) == 1:
        return condition
    if _model(branch) in MARKS:
        return condition | MARKS[_model(branch)]
    others = [MARKS[_model(other)] for other in mappings if other is not branch]
    return condition | {"not": others[0] if len(others) == 1 else {"anyOf": others}}


def _model(branch: Schema) -> str:
    return str(branch.get("$ref", "")).rpartition("/")[2]


def _types(schema: Schema, definitions: dict[str, Schema]) -> list[str]:
    """The JSON types that a schema takes."""
    if "$ref" in schema:
        return _types(definitions[_model(schema)], definitions)
    if "type" in schema:
        return [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])
    branches = schema.get("oneOf", schema.get("anyOf"))
    return list(dict.fromkeys(name for branch in branches for name in _types(branch, definitions))) if branches else []
