"""Colours of the charts, light and dark: told apart by the colour-blind, and at least 3:1 (text 4.5:1) from the page."""

from __future__ import annotations

from dataclasses import dataclass

SEQUENTIAL = (
    "#440154", "#470d60", "#48186a", "#482374", "#472e7c", "#453882", "#424186", "#3e4a89", "#3a548c", "#365d8d", "#32658e",
    "#2e6d8e", "#2b758e", "#287d8e", "#25848e", "#228c8d", "#1f948c", "#1e9c89", "#20a386", "#25ab82", "#2eb37c", "#3aba76",
    "#48c16e", "#58c765", "#6ccd5a", "#7fd34e", "#93d741", "#a8db34", "#c0df25", "#d5e21a", "#eae51a", "#fde725",
)  # fmt: skip
"""viridis in 32 steps (S. van der Walt and N. Smith, CC0): even to the eye, in grey and to the colour-blind."""

N_SERIES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours of one mode.

    Attributes:
        page: Behind everything.
        ink: Text.
        muted: Text of less weight.
        line: Frames and grid.
        series: Blue, orange, green, purple, ochre, slate.
    """

    page: str
    ink: str
    muted: str
    line: str
    series: tuple[str, ...]


LIGHT = Theme(
    page="#ffffff",
    ink="#1b1f24",
    muted="#57606a",
    line="#d0d7de",
    series=("#0b5fa5", "#c2410c", "#0f766e", "#8b3fa0", "#8a6100", "#475569"),
)
DARK = Theme(
    page="#14181d",
    ink="#e6edf3",
    muted="#9aa7b4",
    line="#39434d",
    series=("#6cb6ff", "#ffa066", "#4fd1b5", "#d8a0ec", "#e3c34d", "#a9b8c9"),
)

_FIXED = """\
.chart{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif;font-size:12px}
.chart .h{font-size:14px;font-weight:600}.chart .small{font-size:10px}
.chart .mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.chart .none{fill:none}.chart .curve{fill:none;stroke-width:1.8;stroke-linejoin:round}
.chart .thin{stroke-width:1;fill:none}.chart .error{stroke-width:1.2;fill:none}
.chart .dot{fill:none;stroke-width:7;stroke-linecap:round}.chart .square{fill:none;stroke-width:6.4;stroke-linecap:square}
.chart .hole{stroke-width:3;fill:none}.chart .shade{opacity:.16;stroke:none!important}.chart .faint{opacity:.55}
"""


def _coloured(theme: Theme) -> str:
    rules = [
        f".chart text{{fill:{theme.ink}}}.chart text.m{{fill:{theme.muted}}}.chart .ground{{fill:{theme.page}}}",
        f".chart .frame{{stroke:{theme.line};fill:none}}.chart .rule{{stroke:{theme.muted};fill:none}}",
        f".chart text.on{{fill:{theme.page}}}.chart .trap{{fill:{theme.line}}}.chart .hole{{stroke:{theme.page}}}",
        f".chart .atom{{stroke:{theme.muted}}}",
        f".chart .bond{{stroke:{theme.line};fill:none}}",
    ]
    rules += [f".chart .s{i}{{stroke:{colour}}}.chart .f{i}{{fill:{colour}}}" for i, colour in enumerate(theme.series)]
    return "".join(rules)


def css() -> str:
    """Rules for everything with the class `chart`: light, and dark where the reader asks for it on a screen."""
    return f"{_FIXED}{_coloured(LIGHT)}\n@media screen and (prefers-color-scheme:dark){{{_coloured(DARK)}}}"


def page_colour() -> str:
    """The page in light mode."""
    return LIGHT.page


def shade(fraction: float) -> tuple[str, str]:
    """The sequential colour for 0 to 1, and black or white for text on it."""
    step = round(min(1.0, max(0.0, fraction)) * (len(SEQUENTIAL) - 1))
    return SEQUENTIAL[step], "#ffffff" if step < 18 else "#000000"
