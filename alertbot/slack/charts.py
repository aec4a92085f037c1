"""A chart as a PNG: the value over time, the threshold drawn in, and what is beyond it shaded.

matplotlib takes a second to import, so that is left to the first chart. Its objects are used without pyplot, which
keeps every figure for ever.
"""

import atexit
import io
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Literal

from alertbot.domain.chart_data import ChartSeries, Value
from alertbot.domain.formatting import format_amount
from alertbot.domain.rules import Severity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 1200, 510
_DPI = 100
# Slack shows the picture a third as large on a telephone: what is to be read there has to be large here.
_LARGE, _SMALL = 21, 15.5
# A card of its own, because the picture does not know whether it will lie on white or on black.
_CARD, _EDGE, _INK, _FAINT, _GRID = "#f7f8fa", "#d5d9e0", "#1c2430", "#5c6675", "#dfe3e9"
_LINE = "#2a5fb8"
_LEVELS = {Severity.INFO: "#3d7dca", Severity.WARNING: "#c97a12", Severity.CRITICAL: "#c9302c"}
_TICKS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080, 20_160, 43_200, 129_600)
)
_MOST_TICKS = 8
_CLOSE = 0.09  # of the height: nearer to one another, two notes would lie on one another
_LARGEST = 10**300  # a float ends soon after, and a counter does not
_MEMORY = "/dev/shm"  # noqa: S108 — writable in a container whose root is not
_drawing = Lock()  # fonts are shared; and two at once take as long as two in turn


def draw(chart_series: ChartSeries, zone: tzinfo = UTC) -> bytes:
    """The chart as a PNG of 1200 × 510 pixels, its times in `zone`. Raises OSError where matplotlib finds no folder of its own."""
    chart_series = in_zone(chart_series, zone)
    with _drawing:
        _give_matplotlib_a_folder()
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH / _DPI, HEIGHT / _DPI), dpi=_DPI, facecolor="none")
        FigureCanvasAgg(figure)
        _draw_card(figure)
        axes = figure.add_axes((0.075, 0.135, 0.885, 0.6), facecolor="none")
        top = _top(chart_series)
        _draw_frame(axes, chart_series, top)
        _draw_values(axes, chart_series)
        _draw_thresholds(axes, chart_series, top)
        _draw_marks(axes, chart_series, top)
        _write_head(figure, chart_series)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", facecolor="none", metadata={"Software": "alertbot"})
        return picture.getvalue()


def _give_matplotlib_a_folder() -> None:
    """Where nothing on disk can be written, a folder in memory: matplotlib cannot be imported without one. Raises OSError."""
    if "MPLCONFIGDIR" in os.environ:
        return
    try:
        tempfile.gettempdir()  # matplotlib makes do with a temporary one
    except FileNotFoundError:
        folder = tempfile.mkdtemp(prefix="matplotlib-", dir=_MEMORY)
        os.environ["MPLCONFIGDIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _draw_card(figure: "Figure") -> None:
    from matplotlib.patches import FancyBboxPatch

    # In pixels, so that all corners are equally round.
    card = FancyBboxPatch(
        (2, 2),
        WIDTH - 4,
        HEIGHT - 4,
        boxstyle="round,pad=0,rounding_size=18",
        facecolor=_CARD,
        edgecolor=_EDGE,
        linewidth=1.5,
        zorder=-1,
    )
    card.set_transform(None)
    figure.add_artist(card)


def _draw_frame(axes: "Axes", chart_series: ChartSeries, top: float) -> None:
    axes.set_xlim(_x(chart_series.start), _x(chart_series.end))
    axes.set_ylim(0, top)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_EDGE)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=_GRID, linewidth=1.2)
    axes.tick_params(axis="both", length=0, labelsize=_SMALL, labelcolor=_FAINT, pad=8)
    heights = _heights(top, whole=chart_series.unit not in {"%", "×"})
    axes.set_yticks(heights, [_short(height, chart_series.unit) for height in heights], parse_math=False)
    moments = list(_moments(chart_series.start, chart_series.end))
    axes.set_xticks([_x(at) for at, _ in moments], [text for _, text in moments], parse_math=False)


def _draw_values(axes: "Axes", chart_series: ChartSeries) -> None:
    """A line, or bars where each value is what grew in a stretch. Where nothing is known there is nothing."""
    if chart_series.bucket is not None:
        width = chart_series.bucket / timedelta(days=1)
        known = chart_series.known
        axes.bar(
            [_x(at) - width / 2 for at, _ in known],
            [_y(value, chart_series.unit) for _, value in known],
            width=width * 0.82,
            color=_LINE,
        )
        return
    places = [_x(at) for at, _ in chart_series.points]
    heights = [_y(value, chart_series.unit) for _, value in chart_series.points]
    limits = [_y(threshold, chart_series.unit) for _, threshold in chart_series.thresholds]
    ceiling = (
        min(limits) if limits and chart_series.comparison.is_upper_bound else math.inf
    )  # above it another colour fills
    axes.fill_between(places, [min(height, ceiling) for height in heights], 0, color=_LINE, alpha=0.10, linewidth=0)
    axes.plot(places, heights, color=_LINE, linewidth=3, solid_joinstyle="round", solid_capstyle="round", zorder=3)
    for place, height in _alone(places, heights):
        axes.plot([place], [height], "o", color=_LINE, markersize=6, zorder=3)


def _alone(places: Sequence[float], heights: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Values without known neighbours: a line would not show them."""
    around = [math.nan, *heights, math.nan]
    for turn, (place, height) in enumerate(zip(places, heights, strict=True)):
        if not math.isnan(height) and math.isnan(around[turn]) and math.isnan(around[turn + 2]):
            yield place, height


def _draw_thresholds(axes: "Axes", chart_series: ChartSeries, top: float) -> None:
    limits = [
        (severity, _y(threshold, chart_series.unit), threshold) for severity, threshold in chart_series.thresholds
    ]
    heights = [height for _, height, _ in limits]
    for severity, height, threshold in limits:
        if height > top:
            continue
        axes.axhline(height, color=_LEVELS[severity], linewidth=2.2, dashes=(5, 3), zorder=4)
        if chart_series.bucket is None:
            _shade(axes, chart_series, height, _LEVELS[severity], limits=heights)
        is_close = any(0 < other - height < _CLOSE * top for other in heights)
        label = f"{severity.value} {format_amount(threshold, '%' if chart_series.unit == '%' else '')}"
        _note(axes, label, (0, height), _LEVELS[severity], offset=(6, -5 if is_close else 5), in_figure=True)


def _shade(axes: "Axes", chart_series: ChartSeries, limit: float, colour: str, *, limits: Sequence[float]) -> None:
    """What lies beyond the limit, up to the next one."""
    places = [_x(at) for at, _ in chart_series.points]
    heights = [_y(value, chart_series.unit) for _, value in chart_series.points]
    if chart_series.comparison.is_upper_bound:
        following = min((other for other in limits if other > limit), default=math.inf)
        edge, beyond = [min(value, following) for value in heights], [value > limit for value in heights]
    else:
        following = max((other for other in limits if other < limit), default=-math.inf)
        edge, beyond = [max(value, following) for value in heights], [value < limit for value in heights]
    axes.fill_between(
        places, edge, [limit] * len(places), where=beyond, interpolate=True, color=colour, alpha=0.32, linewidth=0
    )


def _note(
    axes: "Axes", text: str, at: tuple[float, float], colour: str, *, offset: tuple[int, int], in_figure: bool = False
) -> None:
    """A few words beside a place, with the card's colour around them, so that no line runs through them."""
    from matplotlib.patheffects import withStroke

    axes.annotate(
        text,
        at,
        xycoords=("axes fraction", "data") if in_figure else "data",
        xytext=offset,
        textcoords="offset points",
        ha="left" if offset[0] > 0 else "right",
        va="bottom" if offset[1] > 0 else "top",
        fontsize=_SMALL,
        color=colour,
        path_effects=[withStroke(linewidth=4, foreground=_CARD)],
        parse_math=False,
        zorder=5,
    )


def in_zone(chart_series: ChartSeries, zone: tzinfo) -> ChartSeries:
    """The chart with its moments on the clock of a time zone."""
    return replace(
        chart_series,
        start=chart_series.start.astimezone(zone),
        end=chart_series.end.astimezone(zone),
        points=tuple((at.astimezone(zone), value) for at, value in chart_series.points),
        fired_at=None if chart_series.fired_at is None else chart_series.fired_at.astimezone(zone),
    )


def zone_name(moment: datetime) -> str:
    """`Europe/Madrid`, or `UTC`."""
    return str(getattr(moment.tzinfo, "key", None) or moment.tzname())


def _draw_marks(axes: "Axes", chart_series: ChartSeries, top: float) -> None:
    """When the alert fired, and where the value is now."""
    if chart_series.fired_at is not None and chart_series.start < chart_series.fired_at <= chart_series.end:
        place = _x(chart_series.fired_at)
        axes.axvline(place, color=_FAINT, linewidth=1.6, dashes=(1.5, 2.5), zorder=2)
        is_late = (chart_series.fired_at - chart_series.start) / (chart_series.end - chart_series.start) > 0.8
        label = f"fired {chart_series.fired_at:%H:%M}"
        _note(axes, label, (place, top), _FAINT, offset=(-6 if is_late else 6, -4))
    if chart_series.bucket is None and chart_series.known:
        at, value = chart_series.known[-1]
        height = _y(value, chart_series.unit)
        axes.plot([_x(at)], [height], "o", color=_LINE, markersize=9, zorder=6, clip_on=False)


def _write_head(figure: "Figure", chart_series: ChartSeries) -> None:
    subject = _drawable(chart_series.subject) or _drawable(chart_series.key) or "what was asked for"
    under = f"{_drawable(chart_series.what)}, {_stretch(chart_series.start, chart_series.end)} {zone_name(chart_series.start)}"
    _write(figure, _cut(subject, 44), (0.028, 0.9), is_large=True)
    _write(figure, _cut(under, 78), (0.028, 0.82))
    if not chart_series.known:
        _write(figure, "no readings in this time range", (0.5, 0.43), align="center")
        return
    large, small = _in_short(chart_series)
    _write(figure, large, (0.972, 0.9), is_large=True, align="right")
    _write(figure, small, (0.972, 0.82), align="right")


def _write(
    figure: "Figure",
    text: str,
    at: tuple[float, float],
    *,
    is_large: bool = False,
    align: Literal["left", "center", "right"] = "left",
) -> None:
    # Without parse_math=False a dollar sign in a name begins a formula, and a wrong one ends the chart.
    figure.text(
        *at,
        text,
        fontsize=_LARGE if is_large else _SMALL,
        fontweight="bold" if is_large else "normal",
        color=_INK if is_large else _FAINT,
        ha=align,
        va="baseline",
        parse_math=False,
    )


def _in_short(chart_series: ChartSeries) -> tuple[str, str]:
    """What somebody sees who looks at two numbers only."""
    assert chart_series.worst is not None, "something is known"
    unit = chart_series.unit if chart_series.unit in {"%", "×"} else ""
    (at, extreme), (last_at, last) = chart_series.worst, chart_series.known[-1]
    peak = f"{'peak' if chart_series.comparison.is_upper_bound else 'lowest'} {format_amount(extreme, unit)}"
    if chart_series.bucket is not None:
        return format_amount(sum(value for _, value in chart_series.known)), f"{peak} at {at:%H:%M}"
    return peak, f"{format_amount(last, unit)} at {last_at:%H:%M}"


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def _drawable(text: str) -> str:
    """Foreign text without what the font that is shipped with matplotlib cannot draw, such as emoji and Japanese."""
    return " ".join("".join(each for each in text if ord(each) in _glyphs()).split())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _x(moment: datetime) -> float:
    """Days, as matplotlib counts them."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(days=1)


def _y(value: Value, unit: str) -> float:
    if value is None:
        return math.nan
    return float(max(-_LARGEST, min(_LARGEST, value))) * (100 if unit == "%" else 1)


def _top(chart_series: ChartSeries) -> float:
    """Where the picture ends: above the largest value, and above the thresholds unless those are far out of reach."""
    largest = max((_y(value, chart_series.unit) for _, value in chart_series.known), default=0.0)
    limits = [_y(threshold, chart_series.unit) for _, threshold in chart_series.thresholds]
    near = [limit for limit in limits if limit <= largest * 4 or limit == min(limits)]
    return max([largest, *near, 1e-9 if chart_series.unit == "%" else 1.0]) * 1.18


def _heights(top: float, *, whole: bool) -> list[float]:
    """Four or five round heights below the top."""
    raw = top / 4.5
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    if whole:
        step = max(1.0, float(math.ceil(step)))
    return [step * turn for turn in range(int(top / step) + 1)]


def _short(height: float, unit: str) -> str:
    if unit == "%":
        return f"{height:g} %"
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if height >= size:
            return f"{height / size:.4g}{letter}"
    return f"{height:g}{'×' if unit == '×' else ''}"


def _moments(start: datetime, end: datetime) -> Iterator[tuple[datetime, str]]:
    """Round moments on the clock of `start` along the time axis, with what is written below them."""
    step = next((tick for tick in _TICKS if (end - start) / tick <= _MOST_TICKS), _TICKS[-1])
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + step * math.ceil((start - midnight) / step)
    while at <= end:
        yield at, f"{at:%H:%M}" if step < timedelta(days=1) and (at.hour or at.minute) else f"{at.day} {at:%b}"
        at += step


def _stretch(start: datetime, end: datetime) -> str:
    """The window in words: `5 Jan 10:00 – 11:00`."""
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end.day} {end:%b %H:%M}"
    return f"{start.day} {start:%b %H:%M} – {until}"
