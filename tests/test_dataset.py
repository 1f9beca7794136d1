"""The labelled dataset: its dimensions, what stands in it, and that file and memory say the same."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from pcs_runner.errors import UsageError
from pcs_runner.results import jsonl
from pcs_runner.results.dataset import _slabs, write_netcdf
from pcs_runner.results.layout import Layout
from pcs_runner.results.parquet import write_parquet
from pcs_runner.results.source import Grid, Source
from pcs_runner.results.survey import survey
from pcs_runner.run.derive import source_of
from pcs_runner.run.finish import write_tables
from pcs_runner.run.formats import FORMATS
from recorded_run import Made, recorded_run
from test_results_jsonl import record as plain_record

if TYPE_CHECKING:
    from pathlib import Path

GRID = "{runs: 20, sweep: {grid: {t: [100, 200, 300], om: [1.5, 3.0]}}, let: {area: om*t/1000}, where: area > 0}"


def written(made: Made) -> xr.Dataset:
    """The dataset as xarray reads it from the file, which is the one in memory."""
    FORMATS["netcdf"].write(made.folder, made.folder.path / "results.nc")
    data = xr.load_dataset(made.folder.path / "results.nc")
    xr.testing.assert_identical(data, made.run.to_xarray())
    return data


def test_a_grid_has_its_axes_as_dimensions(tmp_path: Path) -> None:
    made = recorded_run(tmp_path, GRID, raw=True)
    data = written(made)
    assert dict(data.sizes) == {"t": 3, "om": 2, "atom": 2, "atom_2": 2, "shot": 20, "row": data.sizes["row"]}
    assert data.t.values.tolist() == [100, 200, 300]
    assert data.om.values.tolist() == [1.5, 3.0]
    assert (data.t.units, data.om.units) == ("ns", "rad/µs")
    assert "units" not in data.area.attrs, "a product may convert units"
    assert data.area.sel(t=200, om=3.0) == 0.6
    assert data.index.values.tolist() == [[0, 1], [2, 3], [4, 5]]
    for one in made.records():
        at = data.sel(t=one.point["t"], om=one.point["om"])
        shots = np.array([[int(bit) for bit in bits] for bits in one.raw or ()])
        np.testing.assert_array_equal(at.shots, shots)
        np.testing.assert_allclose(at.occupation, shots.mean(axis=0))
        np.testing.assert_allclose(at.occupation_error, shots.std(axis=0, ddof=1) / np.sqrt(20))
        np.testing.assert_allclose(at.correlation, np.cov(shots.T, bias=True), atol=1e-12)
        assert at.n == one.estimates["n"]["value"]
        assert at.n_error == one.estimates["n"]["error"]
        np.testing.assert_allclose(at.c, at.correlation.sel(atom="q0", atom_2="q1"), atol=1e-12)
        np.testing.assert_allclose(at.c_error, at.correlation_error.sel(atom="q0", atom_2="q1"), atol=1e-12)


def test_the_counts_are_a_tidy_table(tmp_path: Path) -> None:
    made = recorded_run(tmp_path, GRID)
    data = written(made)
    rows = zip(data.counts_index.values, data.counts_bitstring.values, data.counts.values, strict=True)
    assert [(int(i), str(bits), int(count)) for i, bits, count in rows] == [
        (one.index, bits, count) for one in made.records() for bits, count in one.counts.items()
    ]


def test_failed_points_are_nan_with_their_status(tmp_path: Path) -> None:
    made = recorded_run(tmp_path, GRID, change=lambda job: {"status": "ERROR", "errors": ["no"]} if job.index == 3 else {})
    data = written(made)
    failed = data.status == "ERROR"
    assert int(failed.sum()) == 1
    assert bool(failed.sel(t=200, om=3.0))
    for name in ("occupation", "occupation_error", "correlation", "correlation_error", "n", "n_error"):
        assert np.isnan(data[name].values[1, 1]).all(), name
        assert np.isfinite(np.delete(data[name].values.reshape(6, -1), 3, axis=0)).all(), name


def test_points_that_where_dropped_leave_holes(tmp_path: Path) -> None:
    """The first point of an axis may be dropped; the order of the axis is the spec's all the same."""
    made = recorded_run(tmp_path, "{runs: 5, sweep: {grid: {t: [100, 200], om: [5, 3, 1]}}, where: om < t/30}")
    data = written(made)
    assert data.om.values.tolist() == [5, 3, 1]
    assert data.index.values.tolist() == [[-1, 0, 1], [2, 3, 4]]
    assert data.status.values.tolist() == [["", "DONE", "DONE"], ["DONE"] * 3]
    assert np.isnan(data.occupation.values[0, 0]).all()


def test_shuffled_and_repeated_points_stand_at_their_places(tmp_path: Path) -> None:
    jobs = "{runs: 5, sweep: {grid: {t: [100, 200, 300], om: [1, 2, 3]}}, repeat: 2, order: {shuffle: 4}}"
    made = recorded_run(tmp_path, jobs)
    data = written(made)
    assert list(data.sizes)[:3] == ["repetition", "t", "om"]
    assert data.index.values.reshape(-1).tolist() != list(range(18))
    for one in made.records():
        at = data.sel(repetition=one.repetition, t=one.point["t"], om=one.point["om"])
        assert at["index"] == one.index
        assert at.job_id == one.job_id
        ones = sum(count for bits, count in one.counts.items() if bits[0] == "1")
        assert at.occupation.sel(atom="q0") == ones / 5


@pytest.mark.parametrize(
    "jobs",
    [
        "{runs: 5, sweep: {zip: {t: [100, 200, 300], om: [1, 2, 3]}}}",
        "{runs: 5, sweep: {points: [{t: 100, om: 1}, {t: 100, om: 1}, {t: 200, om: 1}]}}",
        "{runs: 5, sweep: {grid: {t: [100, 100, 200], om: [1]}}}",
        "[{name: a, runs: 5, sweep: {grid: {t: [100, 200], om: [1]}}}, {name: b, runs: 5, sweep: {grid: {t: [300], om: [1]}}}]",
        "{runs: 5, sweep: {points: [{t: 100, om: 1}, {t: 200, om: 3}, {t: 100, om: 3}]}}",
    ],
)
def test_points_that_form_no_grid_stand_in_a_row(tmp_path: Path, jobs: str) -> None:
    made = recorded_run(tmp_path, jobs)
    data = written(made)
    assert data.occupation.dims == ("point", "atom")
    assert data.t.values.tolist() == [one.point["t"] for one in made.records()]
    assert data.t.units == "ns"
    assert data["index"].values.tolist() == [0, 1, 2]


def test_points_that_were_listed_may_form_a_grid(tmp_path: Path) -> None:
    rows = ", ".join(f"{{t: {t}, om: {om}}}" for t, om in product((100, 200), (1, 2)))
    assert written(recorded_run(tmp_path, f"{{runs: 5, sweep: {{points: [{rows}]}}}}")).occupation.dims == ("t", "om", "atom")


def test_one_group_of_several(tmp_path: Path) -> None:
    jobs = (
        "[{name: a, runs: 5, sweep: {grid: {t: [100, 200], om: [1, 2]}}}, {name: b, runs: 5, sweep: {grid: {t: [300], om: [1]}}}]"
    )
    made = recorded_run(tmp_path, jobs)
    data = made.run.to_xarray(group="a")
    assert data.occupation.dims == ("t", "om", "atom")
    assert data["index"].values.tolist() == [[0, 1], [2, 3]]
    with pytest.raises(UsageError, match="no group 'c'"):
        made.run.to_xarray(group="c")


def test_records_that_do_not_fit_the_spec_are_not_labelled_by_it(tmp_path: Path) -> None:
    made = recorded_run(tmp_path, GRID, change=lambda job: {"point": {**job.point, "t": 5}} if job.index == 2 else {})
    data = written(made)
    assert data.occupation.dims == ("point", "atom")
    assert data.t.values[2] == 5


def test_an_unfinished_run_has_what_is_recorded(tmp_path: Path) -> None:
    made = recorded_run(tmp_path, GRID)
    lines = made.folder.results.read_bytes().splitlines(keepends=True)
    made.folder.results.write_bytes(b"".join(lines[:2]) + lines[2][:10])
    data = written(made)
    assert data.status.values.tolist() == [["DONE", "DONE"], ["", ""], ["", ""]]
    empty = made.folder.results
    empty.write_bytes(b"")
    assert written(made).sizes["row"] == 0


def test_provenance_stands_in_the_attributes(tmp_path: Path) -> None:
    made = recorded_run(tmp_path, GRID)
    manifest = made.folder.read_manifest()
    told = written(made).attrs
    assert told["plan_digest"] == manifest["digest"]
    assert told["spec_sha256"] == manifest["spec"]["sha256"]
    assert told["spec"] == made.folder.spec_bytes.decode()
    assert told["seed"] == 0
    assert told["observable_n"] == "n_mean"
    assert '"pulser-core"' in told["packages"]


def test_what_the_engine_computed_is_there(tmp_path: Path) -> None:
    """Numbers with their shapes and times; what is not made of numbers as JSON."""

    def computed(job: Any) -> dict[str, Any]:
        values: dict[str, Any] = {
            "occupation": {"times": [0.5, 1.0], "values": [[0.1, 0.2], [job.index, 0.4]]},
            "energy": {"times": [1.0], "values": [job.index / 2]},
            "state": {"times": [1.0], "values": [[{"real": 1.0, "imag": 0.5}]]},
            "curve": {"times": [1.0], "values": [[1.0, 2.0, 3.0][: 2 + job.index % 2]]},
        }
        return {"observables": values if job.index else {}}

    data = written(recorded_run(tmp_path, GRID, change=computed))
    assert data.engine_occupation.dims == ("t", "om", "engine_occupation_time", "atom")
    assert data.engine_occupation_time.values.tolist() == [0.5, 1.0]
    assert data.engine_occupation.sel(t=200, om=3.0, engine_occupation_time=1.0, atom="q0") == 3
    assert np.isnan(data.engine_energy.values[0, 0, 0])
    assert data.engine_energy.values[2, 1, 0] == 2.5
    assert data.engine_state.values[0, 1, 0] == '[{"real":1.0,"imag":0.5}]'
    np.testing.assert_array_equal(data.engine_curve.values[1, :, 0], [[1, 2, np.nan], [1, 2, 3]])


def test_names_that_are_taken_and_values_that_are_no_numbers(tmp_path: Path) -> None:
    rows = "[{t: 100, om: 1, shot: 1, w: [1, 2]}, {t: 100, om: 2, shot: 2, w: [3, 4]}]"
    made = recorded_run(tmp_path, f"{{runs: 5, sweep: {{points: {rows}}}, where: 'shot + w[0] > 0'}}")
    data = made.run.to_xarray()
    assert data.point_shot.values.tolist() == [1, 2]
    assert data.w.values.tolist() == [[1, 2], [3, 4]]


def test_slabs_cover_an_array_in_order() -> None:
    for shape in ((7,), (3, 4), (2, 3, 5), (1, 1), (0,), (4, 1, 3)):
        for most in (1, 2, 4, 7, 100):
            array = np.full(shape, -1)
            start = 0
            for index, slab in _slabs(shape, most):
                size = int(np.prod(slab))
                assert size <= max(most, 1)
                array[index] = np.arange(start, start + size).reshape(slab)
                start += size
            assert array.reshape(-1).tolist() == list(range(array.size))


# ---- tables


def test_the_csv_gives_pandas_the_documented_shapes(tmp_path: Path) -> None:
    made = recorded_run(tmp_path, GRID, change=lambda job: {"status": "ERROR"} if job.index == 1 else {})
    write_tables(made.folder, ["csv"])
    results = pd.read_csv(made.folder.results_csv)
    first = ["index", "group", "t", "om", "area", "runs", "status", "duration_ns"]
    assert results.columns.tolist() == [*first, "occupation_q0", "occupation_q1", "n", "n_error", "c", "c_error"]
    assert results.shape == (6, 14)
    assert results.n.isna().tolist() == [False, True, False, False, False, False]
    pd.testing.assert_frame_equal(made.run.to_pandas().drop(columns="group"), results.drop(columns="group"), check_dtype=False)
    counts = pd.read_csv(made.folder.counts_csv)
    counts["bitstring"] = counts["bitstring"].str[1:]
    pd.testing.assert_frame_equal(made.run.to_pandas("counts"), counts, check_dtype=False)


def test_parquet_keeps_types_counts_and_shots(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    made = recorded_run(tmp_path, GRID, raw=True, change=lambda job: {"status": "ERROR"} if job.index == 1 else {})
    write_tables(made.folder, ["parquet"])
    frame = pd.read_parquet(made.folder.path / "results.parquet")
    pd.testing.assert_frame_equal(frame[made.run.to_pandas().columns], made.run.to_pandas())
    for row, one in zip(frame.itertuples(), made.records(), strict=True):
        assert {pair["bitstring"]: pair["count"] for pair in row.counts} == one.counts
        assert (row.raw is None and one.raw is None) or Counter(row.raw) == Counter(one.raw or ())
        assert row.job_id == one.job_id
    schema = pq.read_schema(made.folder.path / "results.parquet")
    assert schema.field("t").metadata == {b"units": b"ns"}
    assert made.plan.digest.encode() in schema.metadata[b"pcs_runner"]


def test_values_of_all_kinds_survive_parquet(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    points: list[dict[str, Any]] = [
        {"a": 1, "b": [1, 2.5], "c": "x", "d": {"q0": 1}},
        {"a": 0.5, "b": [3, 4], "c": "µ", "d": [1]},
    ]
    jsonl.append(path, (plain_record(i, point=point).to_line() for i, point in enumerate(points)))
    write_parquet(tmp_path / "r.parquet", Source(results=path, atoms={"aaaaaaaa": ("q0", "q1")}))
    frame = pd.read_parquet(tmp_path / "r.parquet")
    assert frame.a.tolist() == [1.0, 0.5]
    assert [list(one) for one in frame.b] == [[1, 2.5], [3, 4]]
    assert frame.c.tolist() == ["x", "µ"]
    assert frame.d.tolist() == ['{"q0":1}', "[1]"]


def test_retry_refreshes_what_was_derived(tmp_path: Path) -> None:
    """What is in the folder is written again at the end of a run, whether the spec asks for it or not."""
    made = recorded_run(tmp_path, GRID, change=lambda job: {"status": "ERROR"} if job.index == 1 else {})
    write_tables(made.folder, ["netcdf", "parquet"])
    jsonl.rewrite(made.folder.results, [replace(made.records()[1], status="DONE", counts={"01": 20})])
    write_tables(made.folder, [])
    assert xr.load_dataset(made.folder.path / "results.nc").status.values.reshape(-1).tolist() == ["DONE"] * 6
    assert pd.read_parquet(made.folder.path / "results.parquet").status.tolist() == ["DONE"] * 6
    assert not made.folder.results_csv.exists()


# ---- Pulser


def test_pulser_results(tmp_path: Path) -> None:
    def change(job: Any) -> dict[str, Any]:
        observables = {
            "energy": {"times": [0.5, 1.0], "values": [0.25, 1.5]},
            "bitstrings": {"times": [0.5, 1.0], "values": [{"00": 20}, {"11": 20}]},
        }
        return {"status": "ERROR"} if job.index == 1 else {"observables": observables if job.index == 2 else {}}

    made = recorded_run(tmp_path, GRID, change=change)
    found = made.run.to_pulser()
    assert len(found) == 6
    assert found[1] is None
    for one, results in zip(made.records(), found, strict=True):
        if results is not None:
            assert results.final_bitstrings == one.counts
            assert results.atom_order == ("q0", "q1")
            assert results.total_duration == one.duration_ns
    assert found[2] is not None
    assert found[2].get_result("energy", 0.5) == 0.25
    assert found[2].get_result("bitstrings", 0.5) == {"00": 20}


# ---- size and installation


def many(path: Path, jobs: int, *, shuffled: bool) -> Source:
    order = [(7 * i) % jobs for i in range(jobs)] if shuffled else range(jobs)
    records = (plain_record(i, point={"x": float(at)}, point_index=at, counts={"01": 4, "11": 6}) for i, at in enumerate(order))
    jsonl.append(path, (one.to_line() for one in records))
    grid = Grid(axes={"x": [float(at) for at in range(jobs)]}, shuffled=shuffled)
    return Source(results=path, atoms={"aaaaaaaa": ("q0", "q1")}, grid=grid)


@pytest.mark.parametrize(("write", "shuffled"), [(write_netcdf, True), (write_parquet, False)])
def test_memory_does_not_grow_with_the_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, shuffled: bool) -> None:
    """Four times the jobs take the same memory, but for at most 64 bytes a job: labels and offsets."""
    monkeypatch.setattr("pcs_runner.results.parquet.BATCH_JOBS", 200)
    monkeypatch.setattr("pcs_runner.results.dataset.SLAB_POINTS", 200)
    peaks = []
    few, lot = 401, 1_604
    for jobs in (few, lot):
        source = many(tmp_path / f"{jobs}.jsonl", jobs, shuffled=shuffled)
        write(tmp_path / "warm", many(tmp_path / f"warm-{jobs}.jsonl", 10, shuffled=False))
        tracemalloc.start()
        write(tmp_path / f"{jobs}.out", source)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 64 * (lot - few) + 0.1 * peaks[0]


def test_many_jobs_are_all_there(tmp_path: Path) -> None:
    source = many(tmp_path / "r.jsonl", 2_501, shuffled=True)
    write_netcdf(tmp_path / "r.nc", source)
    with xr.open_dataset(tmp_path / "r.nc") as data:
        assert data.sizes["row"] == 5_002
        assert data.point_index.values.tolist() == list(range(2_501))
        assert data.occupation.values[:, 0].tolist() == [0.6] * 2_501
        assert data.counts.sum() == 25_010


def test_a_missing_extra_is_refused_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import pcs_runner

    made = recorded_run(tmp_path, GRID, results="{formats: [jsonl, parquet, netcdf]}")
    for package in ("pyarrow", "netCDF4", "xarray"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match="parquet and netcdf cannot be made: pyarrow and netCDF4 are not installed") as refused:
        pcs_runner.run(made.plan, output=tmp_path / "new")
    assert refused.value.hint == "Install the extra: `pip install 'pcs-runner[data]'`."
    assert refused.value.exit_code == 2
    assert not (tmp_path / "new").exists()
    with pytest.raises(UsageError, match="xarray cannot be made: xarray is not installed"):
        made.run.to_xarray()
    assert write_tables(made.folder, ["csv", "parquet"]) == ["parquet"], "a run that ends says what is left out"
    assert made.folder.results_csv.exists()


def test_the_layout_says_what_a_reader_needs(tmp_path: Path) -> None:
    made = recorded_run(tmp_path, GRID)
    source = source_of(made.folder)
    layout = Layout(source, survey(source))
    assert "<n_i n_j> - <n_i><n_j>" in layout.variables["correlation"].attributes["long_name"]
    assert "jackknife" in layout.variables["occupation_error"].attributes["long_name"]
