"""Data of answers -> `Batch`, `Job` and small frozen values; what is not one is an `AnswerError`, not a crash."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pcs_runner.pcs.batch import Batch
from pcs_runner.pcs.endpoints import is_id
from pcs_runner.pcs.errors import AnswerError, safe_text
from pcs_runner.pcs.job import Job
from pcs_runner.pcs.protocol import BatchStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.pcs.protocol import Client

P = TypeVar("P", Batch, Job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """What a request to cancel several things did.

    Attributes:
        ids: Of those that were cancelled.
        errors: Id -> why it was not.
    """

    ids: tuple[str, ...]
    errors: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project of the user.

    Attributes:
        id: Its id, as `PASQAL_PROJECT_ID` takes it.
        name: Its name.
        fields: Everything that the service says about it.
    """

    id: str
    name: str
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What an hour or a shot costs.

    Attributes:
        metric: `shot`, `hour`, or what else the contract says; None when it says nothing.
        price: Credits for one of them; None when the contract says nothing.
    """

    metric: str | None
    price: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a project may spend.

    Attributes:
        qpu: Price of QPU time.
        emulator: Price of emulator time.
        remaining_qpu_credits: Credits left for QPUs; None when it is not known.
        remaining_emu_credits: Credits left for emulators; None when it is not known.
        fields: Everything that the service says about it.
    """

    qpu: Price
    emulator: Price
    remaining_qpu_credits: float | None
    remaining_emu_credits: float | None
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What waits for a device.

    Attributes:
        batches: Number of batches.
        jobs: Number of their jobs; None when the service does not say for all of them.
    """

    batches: int
    jobs: int | None


def payload(kind: type[P], data: object, client: Client, name: str, *, expected: str | None = None) -> P:
    """A batch or a job out of the data of an answer.

    Args:
        kind: `Batch` or `Job`.
        data: The data.
        client: Asked by the object later.
        name: Method and path, for the message.
        expected: The id that was asked for.

    Raises:
        AnswerError: The data is not one, its id cannot be one, or it is another one than was asked for.
    """
    noun = kind.__name__.lower()
    if not isinstance(data, dict):
        raise AnswerError(f"{name} was answered with something that is not a {noun}", request=name)
    if not is_id(data.get("id")):
        raise AnswerError(f"{name} was answered with a {noun} whose id is {safe_text(repr(data.get('id')), 80)}", request=name)
    if expected is not None and data["id"] != expected:
        raise AnswerError(f"{name} was answered with another {noun}, {data['id']}", request=name)
    try:
        return kind(**{**data, "_client": client})
    except (TypeError, ValueError, AttributeError) as error:
        wrong = AnswerError(f"{name} was answered with a {noun} that cannot be read ({type(error).__name__})", request=name)
    raise wrong


def batch_status(data: object, name: str) -> BatchStatus:
    """The small answer of polling; counts that are not numbers are left out.

    Raises:
        AnswerError: There is no status.
    """
    status = data.get("status") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(status, str):
        raise AnswerError(f"{name} was answered without a status", request=name)
    counts = data.get("jobs_count_per_status")
    known = {str(key): count for key, count in counts.items() if type(count) is int} if isinstance(counts, dict) else {}
    return BatchStatus(status=safe_text(status, 80), jobs_count_per_status=known)


def cancelled(data: object, key: str, name: str) -> Cancelled:
    """Which of several things were cancelled; `key` is `jobs` or `batches`.

    Raises:
        AnswerError: The data does not say.
    """
    items = data.get(key) if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(items, list):
        raise AnswerError(f"{name} was answered without {key}", request=name)
    ids = [item.get("id") if isinstance(item, dict) else item for item in items]
    errors = data.get("errors")
    reasons = {str(one): safe_text(why, 500) for one, why in errors.items()} if isinstance(errors, dict) else {}
    return Cancelled(ids=tuple(str(one) for one in ids if is_id(one)), errors=reasons)


def projects(data: object, name: str) -> tuple[Project, ...]:
    """The projects of a list; entries without an id are left out.

    Raises:
        AnswerError: The data is not a list.
    """
    items = [item for item in _list(data, name) if isinstance(item, dict) and is_id(item.get("id"))]
    return tuple(Project(id=item["id"], name=safe_text(item.get("name"), 200), fields=item) for item in items)


def contracts(data: object, name: str) -> tuple[Contract, ...]:
    """The contracts of a project; one alone may come without a list around it.

    Raises:
        AnswerError: The data is neither.
    """
    items = [data] if isinstance(data, dict) else _list(data, name)
    return tuple(_contract(item) for item in items if isinstance(item, dict))


def _contract(item: dict[str, Any]) -> Contract:
    return Contract(
        qpu=_price(item.get("qpu_pricing")),
        emulator=_price(item.get("emulator_pricing")),
        remaining_qpu_credits=_number(item.get("remaining_qpu_credits")),
        remaining_emu_credits=_number(item.get("remaining_emu_credits")),
        fields=item,
    )


def _price(value: object) -> Price:
    known = value if isinstance(value, dict) else {}
    metric = known.get("metric")
    return Price(metric=safe_text(metric, 40).lower() if isinstance(metric, str) else None, price=_number(known.get("price")))


def _number(value: object) -> float | None:
    """A number, also as text (money is sometimes sent so); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None


def queue(data: object, name: str) -> Queue:
    """What waits for a device, from the list of its batches.

    Raises:
        AnswerError: The data is not a list.
    """
    items = _list(data, name)
    counts = [item.get("jobs_count") if isinstance(item, dict) else None for item in items]
    whole = [count for count in counts if type(count) is int and count >= 0]
    return Queue(batches=len(items), jobs=sum(whole) if len(whole) == len(counts) else None)


def device_specs(data: object, name: str) -> dict[str, str]:
    """Device name -> spec (a JSON string), from either of the two shapes that the API has; broken entries are left out.

    Raises:
        AnswerError: The data has neither shape.
    """
    if isinstance(data, dict):
        pairs = list(data.items())
    else:
        items = [item for item in _list(data, name) if isinstance(item, dict)]
        pairs = [(item.get("device_type"), item.get("specs")) for item in items]
    found: dict[str, str] = {}
    for key, spec in pairs:
        text = _json_text(spec)
        if isinstance(key, str) and is_id(key) and text is not None:
            found[key] = text
    return found


def _json_text(spec: object) -> str | None:
    import json

    if isinstance(spec, dict):
        return json.dumps(spec)
    if not isinstance(spec, str):
        return None
    try:
        return spec if isinstance(json.loads(spec), dict) else None
    except (ValueError, RecursionError):
        return None


def _list(data: object, name: str) -> list[Any]:
    if not isinstance(data, list):
        raise AnswerError(f"{name} was answered with something that is not a list", request=name)
    return data
