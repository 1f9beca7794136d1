"""Variants: named overlays of `sequence` and `constants`; the spec that each makes, and where its values stand."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.document import Document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pcs_runner.errors import Problem
    from pcs_runner.spec.document import Path

SECTIONS = ("sequence", "constants")
REPLACED_WHOLE = frozenset({"register", "layout", "device"})
"""Mappings of a sequence that an overlay replaces instead of merging."""

OTHER_FORMS = ("file", "python")
"""Keys that make a sequence another form; a variant of another form replaces the sequence whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantDocument(Document):
    """A spec with one of its variants laid over it; a problem stands where the value was written.

    Attributes:
        base: The spec as it was written.
        variant: Name of the variant.
    """

    base: Document
    variant: str

    def problem(
        self, path: Path, message: str, *, hint: str = "", key: bool = False, offset: int = 0, warning: bool = False
    ) -> Problem:
        """A problem at the place in the spec where the value of this path was written."""
        where = variant_path(self.base.data, self.variant, path)
        return self.base.problem(where, message, hint=hint, key=key, offset=offset, warning=warning)


def variant_document(document: Document, name: str) -> VariantDocument:
    """The document of a variant.

    Args:
        document: A spec that keeps the schema.
        name: One of its variants.
    """
    overlay = document.data["variants"][name]
    data = {key: value for key, value in document.data.items() if key != "variants"}
    for section in SECTIONS:
        if section in overlay:
            data[section] = _merged(data.get(section, {}), overlay[section], (section,), document.data)
    shared = {one.name: getattr(document, one.name) for one in fields(Document) if one.name != "data"}
    return VariantDocument(**shared, data=data, base=document, variant=name)


def variant_path(data: Mapping[str, Any], name: str, path: Path) -> Path:
    """Where in the spec the value of a path of the variant was written."""
    if not path or path[0] not in SECTIONS:
        return path
    overlay = data["variants"][name]
    for depth, step in enumerate(path):
        if step not in overlay:
            return path
        overlay = overlay[step]
        if not isinstance(overlay, dict) or _is_replaced(data, overlay, path[: depth + 1]):
            break
    return ("variants", name, *path)


def constants_changed(data: Mapping[str, Any]) -> Iterator[str]:
    """The constants that a variant overrides or adds."""
    for overlay in data.get("variants", {}).values():
        yield from overlay.get("constants", {})


def _is_replaced(data: Mapping[str, Any], overlay: Mapping[str, Any], path: Path) -> bool:
    """Whether a mapping of an overlay replaces what is below it."""
    if path == ("sequence",):
        return bool(overlay) and _form(data["sequence"]) != _form(overlay)
    return len(path) == 2 and path[0] == "sequence" and path[1] in REPLACED_WHOLE


def _form(sequence: Mapping[str, Any]) -> str:
    return next((key for key in OTHER_FORMS if key in sequence), "")


def _merged(below: Mapping[str, Any], above: Mapping[str, Any], path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON merge patch (RFC 7386), but for what is replaced whole."""
    result = {} if _is_replaced(data, above, path) else dict(below)
    for key, value in above.items():
        old = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merged(old if isinstance(old, dict) else {}, value, (*path, key), data)
        else:
            result[key] = value
    return result
