"""Queries of the lists: what they find is told in tests of the API; here is what they refuse, and how pages are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pcs_runner.emulator.queries import BATCH_ORDERS, JOB_ORDERS, BatchQuery, JobQuery, Page
from pcs_runner.emulator.rules import NewBatch, NewJob
from pcs_runner.emulator.server.exchange import HttpError
from pcs_runner.emulator.server.filters import batch_page, batch_query, job_page, job_query
from pcs_runner.emulator.settings import TwinSettings
from pcs_runner.emulator.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = TwinSettings()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("limit", "0")], "limit: must be an integer from 1 to 100; got '0'"),
        ([("limit", "101")], "limit: must be an integer from 1 to 100; got '101'"),
        ([("limit", "ten")], "limit: must be an integer from 1 to 100; got 'ten'"),
        ([("offset", "-1")], "offset: must be an integer from 0; got '-1'"),
        ([("offset", "9" * 40)], "offset: must be an integer from 0; got '" + "9" * 40 + "'"),
        ([("order_by", "number; DROP")], "order_by: must be one of batches"),
        ([("order_by_direction", "asc")], "order_by_direction: must be one of ASC, DESC; got 'asc'"),
    ],
)
def test_pages_out_of_bounds_are_422(pairs: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(HttpError) as refused:
        batch_page(pairs)
    assert refused.value.status == 422
    assert refused.value.detail is not None
    if "DROP" not in pairs[0][1]:
        assert refused.value.message == message


@pytest.mark.parametrize(
    "pair",
    [("status", "FINISHED"), ("open", "maybe"), ("start_date", "yesterday"), ("min_jobs", "x"), ("queue_priority", "URGENT")],
)
def test_batch_filters_that_make_no_sense_are_422(pair: tuple[str, str]) -> None:
    with pytest.raises(HttpError, match=pair[0]) as refused:
        batch_query([pair], SETTINGS)
    assert refused.value.status == 422


@pytest.mark.parametrize("pair", [("status", "TIMED_OUT"), ("errors", "2"), ("max_runs", "-1"), ("end_date", "2026-13-01")])
def test_job_filters_that_make_no_sense_are_422(pair: tuple[str, str]) -> None:
    with pytest.raises(HttpError, match=pair[0]):
        job_query([pair], SETTINGS)


def test_times_are_read_in_any_zone() -> None:
    query = batch_query([("start_date", "2026-11-22T10:00:00+02:00"), ("end_date", "2026-11-22T10:00:00")], SETTINGS)
    assert (query.created_from, query.created_to) == ("2026-11-22T08:00:00+00:00", "2026-11-22T10:00:00+00:00")


@pytest.mark.parametrize("pair", [("project_id", "x"), ("user_id", "x"), ("queue_priority", "LOW")])
def test_others_have_nothing_here(pair: tuple[str, str]) -> None:
    assert batch_query([pair], SETTINGS).nothing


def test_complete_is_the_opposite_of_open() -> None:
    assert batch_query([("complete", "False")], SETTINGS).open is True
    assert batch_query([("complete", "true"), ("open", "true")], SETTINGS).nothing
    assert not batch_query([("complete", "true"), ("open", "false")], SETTINGS).nothing


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Three batches of two jobs with 1 to 6 runs."""
    store = Store(tmp_path / "twin.db")
    ids = (f"{n:02d}" for n in range(100))
    with store.transaction():
        for n in range(3):
            batch = NewBatch(
                sequence_builder="{}",
                jobs=(),
                open=n == 2,
                device_type=f"D{n % 2}",
                tags=["all", f"t{n}"],
                webhook=None,
                configuration=None,
                backend_configuration=None,
            )
            number = store.add_batch(batch, f"batch-{n}", f"2026-11-2{n}T00:00:00+00:00", 0.0)
            jobs = [NewJob(runs=2 * n + k, variables=None, sequence=None) for k in (1, 2)]
            store.add_jobs(number, jobs, ids, f"2026-11-2{n}T00:00:00.5+00:00")
    yield store
    store.close()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (BatchQuery(), "210"),
        (BatchQuery(ids=["batch-0", "batch-2", "nowhere"]), "20"),
        (BatchQuery(id_prefix="batch-1"), "1"),
        (BatchQuery(id_prefix="b%"), ""),
        (BatchQuery(device_types=["D0"]), "20"),
        (BatchQuery(open=True), "2"),
        (BatchQuery(open=False, tag="all"), "10"),
        (BatchQuery(tag="t1"), "1"),
        (BatchQuery(created_from="2026-11-21T00:00:00+00:00"), "21"),
        (BatchQuery(created_to="2026-11-20T23:00:00+00:00"), "0"),
        (BatchQuery(min_jobs=3), ""),
        (BatchQuery(max_jobs=2, statuses=["PENDING"]), "210"),
        (BatchQuery(nothing=True), ""),
    ],
)
def test_batches_are_found(store: Store, query: BatchQuery, found: str) -> None:
    rows, total = store.find_batches(query, Page())
    assert ("".join(row["id"][-1] for row in rows), total) == (found, len(found))


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        (JobQuery(), [6, 5, 4, 3, 2, 1]),
        (JobQuery(batch_ids=["batch-1"]), [4, 3]),
        (JobQuery(batch_ids=["batch-0", "batch-2", "x"]), [6, 5, 2, 1]),
        (JobQuery(batch_ids=["x"]), []),
        (JobQuery(min_runs=3, max_runs=5), [5, 4, 3]),
        (JobQuery(ids=["00", "05"]), [6, 1]),
        (JobQuery(errors=True), []),
        (JobQuery(errors=False, statuses=["PENDING"], batch_ids=["batch-0"]), [2, 1]),
        (JobQuery(created_from="2026-11-22T00:00:00.4+00:00"), [6, 5]),
        (JobQuery(created_from="2026-11-22T00:00:00.6+00:00"), []),
    ],
)
def test_jobs_are_found(store: Store, query: JobQuery, runs: list[int]) -> None:
    rows, total = store.find_jobs(query, Page())
    assert ([row["runs"] for row in rows], total) == (runs, len(runs))


def test_pages_follow_one_another(store: Store) -> None:
    seen = []
    for offset in range(0, 8, 2):
        rows, total = store.find_jobs(JobQuery(), Page(limit=2, offset=offset, order_by="creation_order", descending=False))
        assert total == 6
        seen += [row["runs"] for row in rows]
    assert seen == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("order", JOB_ORDERS)
@pytest.mark.parametrize("batch_ids", [(), ("batch-1",)])
def test_every_order_of_jobs_works(store: Store, order: str, batch_ids: tuple[str, ...]) -> None:
    up = store.find_jobs(JobQuery(batch_ids=batch_ids), job_page([("order_by", order), ("order_by_direction", "ASC")]))
    down = store.find_jobs(JobQuery(batch_ids=batch_ids), job_page([("order_by", order)]))
    assert [row["runs"] for row in up[0]] == [row["runs"] for row in down[0]][::-1]


@pytest.mark.parametrize("order", BATCH_ORDERS)
def test_every_order_of_batches_works(store: Store, order: str) -> None:
    rows, _ = store.find_batches(BatchQuery(), batch_page([("order_by", order), ("order_by_direction", "ASC")]))
    assert len(rows) == 3


def test_a_list_of_one_batch_needs_no_sorting(store: Store) -> None:
    """10,000 jobs page by page would be sorted 100 times otherwise."""
    query, page = JobQuery(batch_ids=("batch-1",)), Page(order_by="creation_order", descending=False)
    where, values = query.where()
    plan = store._rows(f"EXPLAIN QUERY PLAN SELECT * FROM jobs j WHERE {where} ORDER BY {query.order(page)}", values)
    assert not any("TEMP B-TREE" in row["detail"] for row in plan)
