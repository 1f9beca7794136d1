"""Dying at any call and any commit, then going on: nothing lost, nothing twice, in order."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.run.journal import Journal
from small_plan import Bench, small_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.run.outcome import Run


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is such a folder: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


class Killed(BaseException):
    """The process is gone."""


class Fuse:
    """Raises at the n-th of the moments that it is told of."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, *_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


VARIANTS: dict[str, dict[str, Any]] = {
    "open": {},
    "equal_jobs": {"xs": [1.0] * 14},
    "closed": {"open": False},
    "max_jobs": {"max_jobs": 5},
    "closed_max_jobs": {"open": False, "max_jobs": 5},
    "split": {"split": "sequence", "sequences": ("aaaaaaaa", "bbbbbbbb", "cccccccc")},
    "own_sequences": {"sequences": ("aaaaaaaa", "bbbbbbbb")},
    "retries": {"on_failure": {"retries": 1}},
}


def bench_of(tmp_path: Path, variant: str) -> Bench:
    bench = Bench(small_plan(tmp_path, 14, **VARIANTS[variant]))
    if variant == "retries":
        bench.service.failures = {2.0: 1, 7.0: 1, 13.0: 1}
    return bench


def finish_after(bench: Bench, fuse: Fuse) -> tuple[Run, bool]:
    """Run; after a death run again undisturbed. The run, and whether there was a death."""
    try:
        return bench.start(), False
    except Killed:
        fuse.left = -1
        return bench.start(), True


def check(bench: Bench, run: Run, variant: str) -> None:
    bench.check_whole(run)
    expected = 14 + (3 if variant == "retries" else 0)
    assert len(bench.service.all_jobs()) == expected
    assert len([batch for batch in bench.service.batches if batch.jobs]) == len(bench.service.batches)
    assert not bench.told("rebuilt"), "a journal is whole wherever its process dies"
    assert run.exit_code == 0


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_death_at_every_call(tmp_path: Path, variant: str, when: str) -> None:
    """Before the service processed a call, and after it did but before the answer is known."""
    for n in range(1, 1000):
        bench, fuse = bench_of(tmp_path / str(n), variant), Fuse(n)

        def hook(_name: str, moment: str, fuse: Fuse = fuse) -> None:
            if moment == when:
                fuse()

        bench.service.hook = hook
        run, died = finish_after(bench, fuse)
        check(bench, run, variant)
        if not died:
            assert n > 1
            return
    pytest.fail("it never got through")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_death_at_every_commit(tmp_path: Path, variant: str, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a transaction of the journal is on disk, and right after."""
    commit = Journal._commit
    for n in range(1, 1000):
        bench, fuse = bench_of(tmp_path / str(n), variant), Fuse(n)

        def dying(journal: Journal, fuse: Fuse = fuse) -> None:
            if when == "before":
                fuse()
            commit(journal)
            if when == "after":
                fuse()

        monkeypatch.setattr(Journal, "_commit", dying)
        run, died = finish_after(bench, fuse)
        check(bench, run, variant)
        if not died:
            assert n > 5
            return
    pytest.fail("it never got through")


@pytest.mark.parametrize("variant", ["open", "retries", "split"])
def test_dying_again_and_again(tmp_path: Path, variant: str) -> None:
    """A run that dies at every fifth call still comes to its end."""
    bench = bench_of(tmp_path, variant)
    for _ in range(200):
        bench.service.hook = Fuse(5 if not bench.service.all_jobs() else 11)
        try:
            run = bench.start()
        except Killed:
            continue
        check(bench, run, variant)
        return
    pytest.fail("it never got through")
