"""The page `spec-reference.md`, made from the JSON Schema of the language: each key with what it takes and what it means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.schema import spec_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

INTRODUCTION = """\
# The keys of a spec

Made from the schema that `pcs-run schema` prints and that editors complete from. "Number" is a number or an
[expression](spec-language.md#numbers-and-expressions); units are Pulser's: ns, µm, rad/µs, rad.
"""

PARTS: Mapping[str, tuple[str, ...]] = {
    "Sequence": ("InlineSequence", "FileSequence", "PythonSequence", "PythonCall", "VariableDeclaration", "DeviceFile"),
    "Operations": ("op",),
    "Waveforms": ("kind",),
    "Register and layout": ("Register", "Layout", "Arguments", "Atom", "Trap"),
    "Jobs and sweeps": (
        "JobGroup", "SweepNode", "AxisRange", "Linspace", "Logspace", "Geomspace", "Arange", "Order",
        "RandomSamples", "Distribution", "Uniform", "Normal", "Integers", "Choice", "Loguniform",
    ),
    "Batch, targets, results": ("BatchOptions", "OnFailure", "TargetOptions", "ResultOptions", "Budget"),
}  # fmt: skip
"""Heading -> definitions: by name, by a part of the name, or by the key that tells their kind."""

NUMBER = {"number", "string"}


def write(file: Path) -> None:
    """Write the page, if it changed."""
    text = "\n".join(_page(spec_schema())) + "\n"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def _page(schema: Mapping[str, Any]) -> Iterator[str]:
    yield INTRODUCTION
    yield "## Top level\n"
    yield from _table(schema)
    left = {name: one for name, one in schema["$defs"].items() if "properties" in one and "description" in one}
    for heading, wanted in PARTS.items():
        yield f"\n## {heading}\n"
        for name in _members(left, wanted):
            yield from _definition(name, left.pop(name))
    yield "\n## Other mappings\n"
    for name, one in left.items():
        yield from _definition(name, one)


def _members(left: Mapping[str, Any], wanted: tuple[str, ...]) -> list[str]:
    """Definitions of a part, in the order in which they are wanted, then by name."""

    def rank(name: str) -> int | None:
        for k, word in enumerate(wanted):
            told = left[name]["properties"].get(word, {}) if word in ("op", "kind") else {}
            if name == word or "const" in told or (word.istitle() and word in name and word not in left):
                return k
        return None

    ranked = [(rank(name), name) for name in left]
    return [name for _, name in sorted((k, name) for k, name in ranked if k is not None)]


def _definition(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    told = next(
        (schema["properties"][word]["const"] for word in ("op", "kind") if "const" in schema["properties"].get(word, {})), None
    )
    yield f"\n({_anchor(name)})=\n\n### {f'`{told}`' if told else _spaced(name)}\n"
    yield _clean(schema.get("description", "")) + "\n"
    if "oneOf" in schema:
        yield "Exactly one of these.\n"
    yield from _table(schema)


def _table(schema: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | takes | default | meaning |\n|---|---|---|---|"
    required = set(schema.get("required", ()))
    for key, one in schema["properties"].items():
        if "const" in one and key in ("op", "kind"):
            continue
        default = (
            "required" if key in required else f"`{_plain(one['default'])}`" if one.get("default") not in (None, {}, []) else ""
        )
        yield f"| `{key}` | {_type(one)} | {default} | {_clean(one.get('description', ''))} |"
    yield ""


def _type(one: Mapping[str, Any]) -> str:
    """What a key takes, in words."""
    if "$ref" in one:
        name = one["$ref"].rpartition("/")[2]
        return f"[{_spaced(name)}](#{_anchor(name)})" if name not in SIMPLE else SIMPLE[name]
    if "then" in one:  # null, which takes a key away, or what the key takes elsewhere
        return _type(one["then"])
    if "const" in one:
        return f"`{_plain(one['const'])}`"
    if "enum" in one:
        return ", ".join(f"`{_plain(value)}`" for value in one["enum"])
    if (several := one.get("anyOf") or one.get("oneOf")) is not None:
        return " or ".join(dict.fromkeys(_type(each) for each in several if each != {"type": "null"}))
    kinds = one.get("type", "")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds) - {"null"}
    if kinds == {"array"}:
        return f"list of {_type(one['items'])}" if isinstance(one.get("items"), dict) and one["items"] else "list"
    if kinds >= NUMBER:
        return "number, or a list of them" if "array" in kinds else "number"
    words = {
        "string": "text",
        "integer": "integer",
        "boolean": "`true` or `false`",
        "object": "mapping",
        "number": "number",
        "array": "list",
    }
    return " or ".join(words[kind] for kind in words if kind in kinds) or "see there"


SIMPLE = {
    "Param": "number",
    "ParamList": "list of numbers",
    "Axis": "list of values, or an [axis range](#def-axisrange)",
    "Waveform": "number, or a [waveform](#waveforms)",
    "WaveformObject": "[waveform](#waveforms)",
    "Operation": "[operation](#operations)",
    "Register": "[register](#register-and-layout)",
    "Layout": "name, or a [layout](#register-and-layout)",
    "Device": "name, `{file: FILE}` or mapping",
    "DetuningMap": "weights by atom, or [weighted traps](#def-weightedtraps)",
    "TreeOperand": "number or tree",
}
"""Definitions without a section of their own."""


def _anchor(name: str) -> str:
    return f"def-{name.lower()}"


def _spaced(name: str) -> str:
    """`BatchOptions` -> `batch options`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _clean(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
