"""`results.parquet` and pandas: one row a job with typed columns, made in batches so that memory does not grow with the jobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pcs_runner.results.durable import replacing
from pcs_runner.results.survey import survey
from pcs_runner.results.tables import ResultColumns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from pcs_runner.results.record import JobRecord
    from pcs_runner.results.source import Source
    from pcs_runner.results.survey import Survey

Table = Literal["results", "counts"]

BATCH_JOBS = 2000
BATCH_ROWS = 50_000
"""Jobs, and bitstrings (distinct ones and raw shots), after which a row group is written."""

MORE_TEXTS = ("sequence", "batch_id", "job_id", "started_at", "ended_at")
MORE_INTEGERS = ("attempt", "point_index", "repetition")
METADATA = b"pcs_runner"


def write_parquet(path: Path, source: Source) -> None:
    """Write the columns of `results.csv` with their types, where each job came from, `counts` (list of bitstring and count), and
    `raw` (shots in order) where they were kept. Provenance is in the schema's metadata, as JSON under `pcs_runner`.

    Args:
        path: The file, replaced atomically.
        source: The records.

    Raises:
        OSError: The disk is full or not writable; the file is as it was.
    """  # noqa: D205 - one sentence
    import pyarrow.parquet as pq

    tables = _Tables(source, survey(source))
    schema = tables.schema.with_metadata({METADATA: json.dumps(dict(source.attributes), ensure_ascii=False).encode()})
    with replacing(path) as stream, pq.ParquetWriter(stream, schema, compression="zstd") as file:
        for batch in tables.batches():
            file.write_batch(batch)


def to_pandas(source: Source, table: Table = "results") -> pd.DataFrame:
    """A table as a DataFrame.

    Args:
        source: The records.
        table: `results`: one row a job, the columns of `results.csv`; `counts`: one row a job and bitstring, the columns of
            `counts.csv` with bitstrings as plain text.
    """
    import pandas as pd
    import pyarrow as pa

    if table == "counts":
        rows = ((record.index, bits, count) for record in source.records() for bits, count in sorted(record.counts.items()))
        frame = pd.DataFrame.from_records(list(rows), columns=["index", "bitstring", "count"])
        return frame.astype({"index": "int64", "count": "int64"})
    tables = _Tables(source, survey(source))
    whole = pa.Table.from_batches(tables.batches(), tables.schema).select(tables.columns.header)
    frame = whole.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    return frame


class _Tables:
    """The schema and the batches of a source."""

    def __init__(self, source: Source, found: Survey) -> None:
        import pyarrow as pa

        self._source, self._found = source, found
        self.columns = ResultColumns(names=list(found.names), observables=list(found.estimates), atoms=source.atoms)
        kinds = {"integer": pa.int64(), "number": pa.float64(), "list": pa.list_(pa.float64())}
        types = {column: kinds.get(found.names[name], pa.string()) for name, column in self.columns.point_columns.items()}
        types |= {"index": pa.int64(), "group": pa.string(), "runs": pa.int64(), "status": pa.string(), "duration_ns": pa.int64()}
        fields = [pa.field(name, types.get(name, pa.float64())) for name in self.columns.header]
        fields += [pa.field(name, pa.int64()) for name in MORE_INTEGERS]
        fields += [pa.field(name, pa.string()) for name in MORE_TEXTS]
        fields.append(pa.field("errors", pa.list_(pa.string())))
        fields.append(pa.field("counts", pa.list_(pa.struct([("bitstring", pa.string()), ("count", pa.int64())]))))
        if found.shots:
            fields.append(pa.field("raw", pa.list_(pa.string())))
        self.schema = pa.schema(_with_unit(field, source.units) for field in fields)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All records in order."""
        jobs: list[JobRecord] = []
        rows = 0
        for record in self._source.records():
            jobs.append(record)
            rows += len(record.counts) + len(record.raw or ())
            if len(jobs) == BATCH_JOBS or rows > BATCH_ROWS:
                yield self._batch(jobs)
                jobs, rows = [], 0
        if jobs:
            yield self._batch(jobs)

    def _batch(self, jobs: Sequence[JobRecord]) -> pa.RecordBatch:
        import pyarrow as pa

        header = self.columns.header
        values: dict[str, Sequence[Any]] = dict(zip(header, zip(*map(self.columns.row, jobs), strict=True), strict=True))
        for name, column in self.columns.point_columns.items():
            if self._found.names[name] == "json":
                values[column] = [_as_json(job.point[name]) if name in job.point else None for job in jobs]
        for name in (*MORE_INTEGERS, *MORE_TEXTS):
            values[name] = [getattr(job, name) for job in jobs]
        values["errors"] = [list(job.errors) for job in jobs]
        arrays = [_counts(jobs) if field.name == "counts" else None for field in self.schema]
        if self._found.shots:
            values["raw"] = [job.raw for job in jobs]
        made = [array or pa.array(values[field.name], field.type) for array, field in zip(arrays, self.schema, strict=True)]
        return pa.record_batch(made, schema=self.schema)


def _counts(jobs: Sequence[JobRecord]) -> pa.Array:
    """The counts of each job as a list of bitstring and count, without a Python object for each pair."""
    import pyarrow as pa

    offsets = [0]
    for job in jobs:
        offsets.append(offsets[-1] + len(job.counts))
    pairs = pa.StructArray.from_arrays(
        [
            pa.array([bits for job in jobs for bits in job.counts], pa.string()),
            pa.array([count for job in jobs for count in job.counts.values()], pa.int64()),
        ],
        names=["bitstring", "count"],
    )
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pairs)


def _with_unit(field: pa.Field, units: Any) -> pa.Field:
    unit = units.get(field.name)
    return field if unit is None else field.with_metadata({b"units": unit.encode()})


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
