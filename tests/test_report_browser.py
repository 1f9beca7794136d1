"""The report in a real Chromium: silent, alone, readable on a phone, in the dark, on paper, and for a screen reader."""

from __future__ import annotations

import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner.results.report import html
from report_page import comparison, record, source
from test_specs_physics import SPECS, finished  # noqa: F401 - a fixture: the runs of specs/, each made once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from pcs_runner.results.record import JobRecord

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRED = "PCS_RUNNER_BROWSER_TESTS"
"""Set to `required` in CI, where a missing browser is a failure."""

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1100, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        _without("playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            _without(f"no Chromium: {error.message.splitlines()[0]}")
        yield chromium
        chromium.close()


def _without(reason: str) -> None:
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def made_up() -> str:
    """Heat maps, small multiples, atoms against an axis, failures and long words on one page."""

    def records() -> Iterator[JobRecord]:
        index = 0
        for z in (1, 2, 3):
            for y in range(6):
                for x in range(7):
                    counts = {"000": 10 + x, "101": 5 * y + z, "111": 2}
                    yield record(index, {"z": z, "y": y, "x": x}, counts, group="cube")
                    index += 1
        for x in range(30):
            yield record(index, {"x": x * 0.1}, {"000": 30 - x, "101": x, "010": 3}, group="line")
            index += 1
        for x in range(5):
            yield record(index, {"x": x}, {"000": 9 - x, "111": x + 1}, group="short")
            index += 1
        for number in range(3):
            failed = {"status": "ERROR", "errors": ("x" * 400, "<b>"), "group": "failed"}
            yield record(index, {"a_name_of_forty_characters_without_a_space": 0.1 * number}, {}, **failed)
            index += 1

    manifest = {"name": "m" * 63, "description": "A run with one of each.", "packages": {"numpy": "2"}, "digest": "f" * 64}
    return html(source(records, manifest=manifest, spec_text="name: " + "n" * 300))


def compared(folder: Path) -> str:
    """Three runs of a line and of a plane; the third differs at the end of the line."""

    def records(seed: int, shift: int) -> Iterator[JobRecord]:
        for x in range(12):
            ones = 150 + 20 * x + (7 * x + 13 * seed) % 11 + (shift if x > 7 else 0)
            estimates = {"neel": {"value": ones / 500, "error": 0.02}}
            yield record(x, {"t": 0.1 * x}, {"0101": ones, "0000": 500 - ones}, group="line", estimates=estimates)
        for number in range(30):
            y, x = divmod(number, 6)
            counts = {"0101": 100 + 10 * x + (3 * y + seed) % 5, "1010": 90}
            yield record(12 + number, {"delta": y - 2, "omega": x + 1}, counts, group="plane")

    manifests = [{"name": "m" * 63, "packages": {"pulser-core": f"1.9.{number}"}, "seed": number} for number in range(3)]
    texts = [f"version: 1\nseed: {number}\n" for number in range(3)]
    runs = [records(number, 60 if number == 2 else 0) for number in range(3)]
    return comparison(folder, runs, manifest=manifests, spec_text=texts, units={"t": "µs"})


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory, finished: Callable[[str], Any]) -> Callable[[str], Path]:  # noqa: F811
    """The report of a spec's run, the made-up one, or the page of runs compared."""
    folder = tmp_path_factory.mktemp("pages")
    own = {name: folder / f"{name}.html" for name in ("made-up", "compared")}
    own["made-up"].write_text(made_up(), encoding="utf-8")
    own["compared"].write_text(compared(folder), encoding="utf-8")
    return lambda name: own[name] if name in own else finished(name).folder / "report.html"


def opened(browser: Browser, file: Path, *, dark: bool = False, viewport: dict[str, int] | None = None) -> tuple[Page, list[str]]:
    """A page and what went wrong with it: console messages, errors, requests for anything else."""
    context = browser.new_context(color_scheme="dark" if dark else "light", viewport=viewport or DESK)  # type: ignore[arg-type]
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("request", lambda request: wrong.append(f"request: {request.url}") if request.url != file.as_uri() else None)
    page.goto(file.as_uri())
    return page, wrong


LOOKED_AT = ("rabi", "afm-ramp")
"""Specs whose pages the suite looks at: one axis, and two. The others' have the same parts."""

OTHERS = [name if name in LOOKED_AT else pytest.param(name, marks=pytest.mark.whole) for name in SPECS]
PAGES = pytest.mark.parametrize("name", ["made-up", "compared", *OTHERS])


@PAGES
def test_the_page_is_silent_alone_and_accessible(browser: Browser, page_of: Callable[[str], Path], name: str) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    for dark in (False, True):
        page, wrong = opened(browser, page_of(name), dark=dark)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert wrong == []
        page.evaluate(axe)
        found = page.evaluate(
            "axe.run().then(result => result.violations.map(one => [one.id, one.nodes.map(node => node.html)]))"
        )
        assert found == []
        page.context.close()


@PAGES
def test_nothing_is_wider_than_a_phone(browser: Browser, page_of: Callable[[str], Path], name: str) -> None:
    page, wrong = opened(browser, page_of(name), viewport=PHONE)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('svg.chart text')].filter(one => one.getClientRects().length)"
        ".map(one => parseFloat(getComputedStyle(one).fontSize) * one.ownerSVGElement.getScreenCTM().a))"
    )
    assert smallest > 8  # pixels: small, but there to be read
    assert wrong == []
    page.context.close()


def test_paper_is_white_also_for_readers_in_the_dark(browser: Browser, page_of: Callable[[str], Path]) -> None:
    page, _ = opened(browser, page_of("made-up"), dark=True)
    page.emulate_media(media="print", color_scheme="dark")
    ground, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('svg text')).fill]"
    )
    assert (ground, ink) == ("rgb(255, 255, 255)", "rgb(27, 31, 36)")
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.context.close()


def test_every_picture_says_what_it_is(browser: Browser, page_of: Callable[[str], Path]) -> None:
    page, _ = opened(browser, page_of("made-up"))
    told = page.evaluate(
        "[...document.querySelectorAll('svg')].map(one => one.getAttribute('aria-labelledby').split(' ')"
        ".map(id => document.getElementById(id).textContent))"
    )
    assert len(told) > 10
    assert all(title and description for title, description in told)
    assert len({title for title, _ in told}) > 8
    page.context.close()
