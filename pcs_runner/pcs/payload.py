"""How payloads of the API are read: every field leniently, nothing unknown lost, nothing odd fatal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, PlainValidator, PrivateAttr, ValidationError, WrapValidator

from pcs_runner.pcs.errors import NoClientError
from pcs_runner.pcs.protocol import JobRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import ValidatorFunctionWrapHandler

    from pcs_runner.pcs.protocol import Client

T = TypeVar("T")


def read_time(value: object) -> object:
    """An ISO 8601 string as a timezone-aware datetime (UTC when it says nothing); anything else as it came."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _kept_when_odd(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return value


def _empty_when_null(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    return [] if value is None else _kept_when_odd(value, read)


Time = Annotated[datetime | str | None, PlainValidator(read_time)]
"""A timestamp; a string only when it could not be read as ISO 8601."""

Lenient = Annotated[T, WrapValidator(_kept_when_odd)]
"""A field whose odd value is kept as it came: an API that changes must not stop a run that does not need the field."""

TextList = Annotated[list[str], WrapValidator(_empty_when_null)]
"""A list of strings; null is an empty one."""


class Payload(BaseModel):
    """An object of the API with the client that can ask for more of it."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True, arbitrary_types_allowed=True, protected_namespaces=())

    _client: Client | None = PrivateAttr(default=None)

    def _asking(self) -> Client:
        """The client, for a request.

        Raises:
            NoClientError: The object was built without one.
        """
        if self._client is None:
            kind = type(self).__name__
            raise NoClientError(f"{kind} {getattr(self, 'id', '?')} has no client, so nothing can be asked of the service")
        return self._client

    def _take_fields(self, fresh: Payload) -> None:
        """Replace all fields, declared and unknown, by those of `fresh`; private state stays."""
        self.__dict__.update(fresh.__dict__)
        if self.__pydantic_extra__ is not None:
            self.__pydantic_extra__.update(fresh.__pydantic_extra__ or {})
        self.__pydantic_fields_set__.update(fresh.__pydantic_fields_set__)


def job_requests(jobs: Iterable[JobRequest | Mapping[str, Any]]) -> list[JobRequest]:
    """Jobs as users write them, `JobRequest` or `{runs, variables}` or `{runs, sequence}`, as requests.

    Raises:
        TypeError: An element is neither, or has no `runs`.
    """
    return [job if isinstance(job, JobRequest) else _job_request(job) for job in jobs]


def _job_request(job: object) -> JobRequest:
    if not isinstance(job, Mapping) or "runs" not in job:
        raise TypeError(f"a job is a mapping {{runs, variables}} or {{runs, sequence}}, or a JobRequest; got {job!r:.200}")
    return JobRequest(runs=job["runs"], variables=job.get("variables"), sequence=job.get("sequence"))
