"""`Job`: one job of a batch as the API describes it, with its results on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from pydantic import Field, PrivateAttr

from pcs_runner.pcs.payload import Lenient, Payload, TextList, Time
from pcs_runner.pcs.protocol import TERMINAL

if TYPE_CHECKING:
    from pcs_runner.pcs.protocol import Client, JobResult


class FullResult(TypedDict):
    """The results download as users know it.

    `raw`: bitstrings in shot order, or None; `counter`: bitstring -> count, leftmost character = first atom of the register;
    `serialised_results`: Pulser `Results` in abstract representation (a JSON string), or None.
    """

    raw: list[str] | None
    counter: dict[str, int]
    serialised_results: str | None


class Job(Payload):
    """One job.

    Attributes:
        id: The service's id.
        batch_id: Id of its batch.
        project_id: Id of the project that pays.
        runs: Repetitions.
        status: `PENDING RUNNING DONE ERROR CANCELED TIMED_OUT ...`, an open set, as it was when the object was last fetched.
        variables: Values of the batch's sequence variables, or None.
        errors: What the service said about a failure.
        parent_id: Job that this one is a copy of, or None.
        created_at: When it was accepted.
        updated_at: When it last changed.
        start_timestamp: When it began to run, or None.
        end_timestamp: When it ended, or None.
    """

    id: str
    status: str
    batch_id: Lenient[str | None] = None
    project_id: Lenient[str | None] = None
    runs: Lenient[int | None] = None
    variables: Lenient[dict[str, Any] | None] = None
    errors: TextList = Field(default_factory=list)
    parent_id: Lenient[str | None] = None
    created_at: Time = None
    updated_at: Time = None
    start_timestamp: Time = None
    end_timestamp: Time = None

    _sequence: str | None = PrivateAttr(default=None)
    _sequence_known: bool = PrivateAttr(default=False)
    _full_result: FullResult | None = PrivateAttr(default=None)

    def __init__(self, *, _client: Client | None = None, **data: Any) -> None:
        known = "sequence" in data
        sequence = data.pop("sequence", None)
        super().__init__(**data)
        self._client = _client
        self._sequence = sequence
        self._sequence_known = known

    @property
    def is_terminal(self) -> bool:
        """Whether the status, as last fetched, does not change any more. No request."""
        return self.status in TERMINAL

    @property
    def sequence(self) -> str | None:
        """The job's own sequence (abstract representation, a JSON string), or None when it runs the batch's.

        Does one request on first use when the payload lacked it.
        """
        if not self._sequence_known:
            fresh = self._asking().get_job(self.id)
            self._sequence, self._sequence_known = fresh._sequence, True
        return self._sequence

    @property
    def full_result(self) -> FullResult | None:
        """What the job measured: `raw`, `counter`, `serialised_results`; None unless it is DONE.

        Does requests on first use: the job's status while that was not terminal, then its results. Kept afterwards.
        """
        if self._full_result is None:
            if not self.is_terminal:
                self.refresh()
            if self.status == "DONE":
                for _, result in self._asking().results([self.id]):
                    self._keep_result(result)
        return self._full_result

    @property
    def result(self) -> dict[str, int] | None:
        """The counter of `full_result` (bitstring -> count), None unless the job is DONE. Does the requests of `full_result`."""
        full = self.full_result
        return None if full is None else full["counter"]

    def refresh(self) -> Job:
        """Fetch the job (one request) and update it in place."""
        self._take(self._asking().get_job(self.id))
        return self

    def cancel(self) -> Job:
        """Cancel the job (one request) and update it in place; only a PENDING one can be.

        Raises:
            RefusedError: It is not PENDING any more.
        """
        self._take(self._asking().cancel_job(self.id))
        return self

    def _take(self, fresh: Job) -> None:
        self._take_fields(fresh)
        if fresh._sequence_known:
            self._sequence, self._sequence_known = fresh._sequence, True

    def _keep_result(self, result: JobResult) -> None:
        self._full_result = {
            "raw": None if result.raw is None else list(result.raw),
            "counter": dict(result.counter),
            "serialised_results": result.serialised_results,
        }
