"""`results.observables`: expressions over the counts of a job, read by the parser of the language.

What only exists there (`correlation[0, 1]`, `probability['0101']`) is lifted out first, each term replaced by a name of the same
length: the one parser reads the rest, and its offsets stay right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcs_runner.spec.expression_nodes import children
from pcs_runner.spec.expressions import (
    FUNCTIONS,
    INTERACTION_COEFF,
    PI,
    Expression,
    ExpressionError,
    IndexNode,
    ListNode,
    name_nodes,
    nearest_hint,
    parse,
)
from pcs_runner.spec.sweep_uses import axis_owners

if TYPE_CHECKING:
    from collections.abc import Collection

    from pcs_runner.errors import Problem
    from pcs_runner.spec.document import Document
    from pcs_runner.spec.expressions import Node
    from pcs_runner.spec.models import Spec
    from pcs_runner.spec.tables import Inputs

PLAIN_TERMS = ("n_mean", "occupation", "staggered_magnetization")
"""Terms that stand alone: mean number of ones, mean over the atoms, and over two sublattices with opposite signs."""

INDEXED_TERMS = ("correlation", "occupation", "probability")
"""Terms that take atoms, or a bitstring."""

RESERVED = frozenset(
    {
        "atom", "atom_2", "attempt", "batch_id", "bitstring", "correlation", "count", "counts", "counts_index", "duration_ns",
        "ended_at", "errors", "group", "index", "job_id", "occupation", "point", "point_index", "raw", "repetition", "row",
        "runs", "sequence", "shot", "shots", "started_at", "status",
    }
)  # fmt: skip
"""Names of columns, variables and dimensions that results have anyway."""

RESERVED_STARTS = ("engine_", "occupation_", "point_")
ERROR_SUFFIX = "_error"

_TERM = re.compile(rf"\b({'|'.join(INDEXED_TERMS)})\s*\[(?P<inside>(?:'[^']*'|\"[^\"]*\"|[^\]'\"])*)\]")
_ARGUMENT = re.compile(r"\s*(?:(?P<number>[0-9]+)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")\s*(?P<end>,|\Z)")
_WANTED = {
    "occupation": "one atom: its number, from 0, or its name in quotes",
    "correlation": "two atoms: their numbers, from 0, or their names in quotes",
    "probability": "one bitstring in quotes, as in probability['0101']",
}


@dataclass(frozen=True, slots=True)
class Term:
    """A number that is computed from the counts of a job.

    Attributes:
        kind: One of `PLAIN_TERMS` or `INDEXED_TERMS`.
        arguments: Atoms (number from 0, or name), or the bitstring; empty for a term that stands alone.
        offset: Where it stands in the text.
    """

    kind: str
    arguments: tuple[int | str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class ObservableExpression:
    """An expression over counts.

    Attributes:
        text: As the user wrote it.
        expression: Arithmetic over the names of the terms.
        terms: Name in `expression` -> term.
    """

    text: str
    expression: Expression
    terms: Mapping[str, Term]


def parse_observable(text: str) -> ObservableExpression:
    """The observable that a text describes.

    Raises:
        ExpressionError: When it describes none; the offset is the culprit's.
    """
    lifted: dict[str, str] = {}
    terms: dict[str, Term] = {}

    def lift(match: re.Match[str]) -> str:
        name = f"_{len(lifted)}".ljust(len(match[0]), "_")
        lifted[name] = match[0]
        terms[name] = _term(match[1], match["inside"], match.start(), match.start("inside"))
        return name

    own = re.search(r"(?<!\w)_\w*", _TERM.sub(lambda match: " " * len(match[0]), text))
    if own is not None:
        raise _unknown(own[0], own.start())
    try:
        expression = parse(_TERM.sub(lift, text))
    except ExpressionError as error:
        raise ExpressionError(_put_back(error.message, lifted), offset=error.offset, hint=_put_back(error.hint, lifted)) from None
    _refuse_lists(expression.root)
    for node in name_nodes(expression.root):
        if node.name in PLAIN_TERMS:
            terms.setdefault(node.name, Term(node.name, (), node.offset))
        elif node.name not in terms:
            raise _unknown(node.name, node.offset)
    if not terms:
        raise ExpressionError("nothing here is computed from the counts", hint=_terms_hint())
    return ObservableExpression(text, expression, terms)


def name_fault(name: str, others: Collection[str], swept: Collection[str]) -> str:
    """Why an observable cannot have this name, or an empty text.

    Args:
        name: Its name.
        others: Names of all observables.
        swept: Names of the points: axes and `let`.
    """
    if name in RESERVED or name.startswith(RESERVED_STARTS):
        return f'an observable cannot be called "{name}", which results have anyway'
    if name in swept:
        return f'an observable cannot be called "{name}", which is a name of the points'
    stem = name.removesuffix(ERROR_SUFFIX)
    if stem != name and stem in others:
        return f'an observable cannot be called "{name}", which is the standard error of "{stem}"'
    if f"{name}{ERROR_SUFFIX}" in swept:
        return (
            f'an observable cannot be called "{name}": its standard error would be called "{name}{ERROR_SUFFIX}", as a point is'
        )
    return ""


def observable_problems(spec: Spec, document: Document, inputs: Inputs) -> list[Problem]:
    """What is wrong with `results.observables`, but for what depends on the register.

    Args:
        spec: The spec.
        document: Its text and positions.
        inputs: Reads the files of sweeps, whose columns are names.
    """
    observables = spec.results.observables
    swept = {owner.name for group in spec.groups for owner in axis_owners(group.sweep, (), inputs) if owner.error is None}
    swept |= {name for group in spec.groups for name in group.let}
    found = []
    for name, text in observables.items():
        path = ("results", "observables", name)
        fault = name_fault(name, observables, swept)
        if fault:
            found.append(document.problem(path, fault, hint="call it otherwise", key=True))
        try:
            parse_observable(text)
        except ExpressionError as error:
            found.append(document.problem(path, f'{error.message} in "{text}"', hint=error.hint, offset=error.offset))
    return found


def _term(kind: str, inside: str, offset: int, start: int) -> Term:
    arguments: list[int | str] = []
    position = 0
    while True:
        match = _ARGUMENT.match(inside, position)
        if match is None:
            at = start + position + len(inside[position:]) - len(inside[position:].lstrip())
            raise ExpressionError(f"{kind}[...] takes {_WANTED[kind]}", offset=at)
        name = match["single"] if match["single"] is not None else match["double"]
        arguments.append(int(match["number"]) if match["number"] is not None else name)
        position = match.end()
        if not match["end"]:
            break
    bits = kind == "probability"
    wanted = 2 if kind == "correlation" else 1
    if len(arguments) != wanted or (bits and (not isinstance(arguments[0], str) or not re.fullmatch("[01]+", arguments[0]))):
        raise ExpressionError(f"{kind}[...] takes {_WANTED[kind]}", offset=start)
    return Term(kind, tuple(arguments), offset)


def _refuse_lists(root: Node) -> None:
    pending = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, (IndexNode, ListNode)):
            raise ExpressionError("an observable is a number: no lists here", offset=node.offset, hint=_terms_hint())
        pending.extend(children(node))


def _unknown(name: str, offset: int) -> ExpressionError:
    if name in ("correlation", "probability"):
        return ExpressionError(f"{name}[...] takes {_WANTED[name]}", offset=offset)
    known = {*PLAIN_TERMS, *INDEXED_TERMS, *FUNCTIONS, PI} - {INTERACTION_COEFF}
    return ExpressionError(f'unknown name "{name}"', offset=offset, hint=nearest_hint(name, known) or _terms_hint())


def _terms_hint() -> str:
    return "use n_mean, occupation, occupation[i], correlation[i, j], staggered_magnetization, probability['0101']"


def _put_back(text: str, lifted: Mapping[str, str]) -> str:
    for name, term in lifted.items():
        text = text.replace(name, term)
    return text
