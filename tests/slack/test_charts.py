"""Charts: pictures that can be read on any background, whatever the names and numbers in them."""

import io
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from alertbot.demo.slack.server import SlackServer
from alertbot.domain.chart_data import ChartSeries
from alertbot.domain.rules import Comparison, Severity
from alertbot.errors import SlackError, SlackUncertain
from alertbot.slack.bot import web_client
from alertbot.slack.chart_upload import uploader
from alertbot.slack.charts import HEIGHT, WIDTH, _moments, _short, draw, in_zone, zone_name
from tests.slack.messages import NOW, chart_series

RED, ORANGE, BLUE = (201, 48, 44), (201, 122, 18), (42, 95, 184)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def _without_a_warning() -> Iterator[None]:
    """A font that lacks a character, or an axis without a width, is warned of by matplotlib."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pixels(one: ChartSeries) -> Image.Image:
    return Image.open(io.BytesIO(draw(one))).convert("RGBA")


def colours(picture: Image.Image) -> Counter[tuple[int, ...]]:
    found = picture.getcolors(WIDTH * HEIGHT)
    assert found is not None
    return Counter({tuple(colour)[:3]: count for count, colour in found if isinstance(colour, tuple)})


def line(*seen: Any, **changed: Any) -> ChartSeries:
    moments = [NOW - timedelta(minutes=5) * turn for turn in reversed(range(len(seen)))]
    start = NOW - timedelta(minutes=5 * len(seen))
    return chart_series(points=tuple(zip(moments, seen, strict=True)), start=start, fired_at=None, **changed)


def shades(one: ChartSeries) -> dict[str, int]:
    """How many pixels have the colour of what is beyond each threshold: the card's, with a third of the level's."""
    found = colours(pixels(one))
    return {
        name: sum(
            count for shade, count in found.items() if all(abs(a - b) < 8 for a, b in zip(shade, mix, strict=True))
        )
        for name, mix in (("warning", (232, 208, 178)), ("critical", (232, 184, 185)))
    }


def test_a_chart_is_a_png_of_1200_by_510_pixels():
    picture = draw(chart_series())
    assert picture.startswith(PNG)
    assert Image.open(io.BytesIO(picture)).size == (WIDTH, HEIGHT) == (1200, 510)
    assert len(picture) < 200_000


def test_a_chart_has_a_ground_of_its_own_with_round_corners():
    picture = pixels(chart_series())
    assert picture.getpixel((0, 0))[3] == 0, "outside of the card the background of the reader shows"  # type: ignore[index]
    assert picture.getpixel((600, 20)) == (247, 248, 250, 255)


def test_the_thresholds_are_drawn_in():
    with_them, without = colours(pixels(line(1, 2, 1))), colours(pixels(line(1, 2, 1, thresholds=())))
    assert with_them[ORANGE] > 500 > without[ORANGE] == 0
    far = colours(
        pixels(line(1, 2, 1, thresholds=((Severity.WARNING, Fraction(5)), (Severity.CRITICAL, Fraction(900)))))
    )
    assert far[RED] == 0, "a threshold far out of reach would press the line flat"
    assert colours(pixels(line(9, 30, 22)))[RED] > 500


SHADED = {
    "below every threshold": (line(1, 2, 3, 2), set()),
    "beyond the first": (line(1, 9, 9, 3), {"warning"}),
    "beyond both": (line(1, 9, 40, 40), {"warning", "critical"}),
    "too little, where that is bad": (
        line(9, 2, 2, 9, comparison=Comparison.BELOW, thresholds=((Severity.WARNING, Fraction(5)),)),
        {"warning"},
    ),
    "enough, where too little is bad": (
        line(9, 8, 9, comparison=Comparison.BELOW, thresholds=((Severity.WARNING, Fraction(5)),)),
        set(),
    ),
}


@pytest.mark.parametrize(("one", "levels"), SHADED.values(), ids=SHADED.keys())
def test_what_is_beyond_a_threshold_is_shaded_in_its_colour(one, levels):
    assert {name for name, count in shades(one).items() if count > 200} == levels


def test_where_nothing_is_known_nothing_is_drawn():
    whole, broken = (
        pixels(line(*seen, thresholds=())) for seen in ((4,) * 12, (4, 4, 4, None, None, None, None, None, 4, 4, 4, 4))
    )
    inside = (500, 130, 620, 430)
    assert colours(whole.crop(inside))[BLUE] > 100
    assert colours(broken.crop(inside))[BLUE] == 0


def test_a_value_between_two_gaps_is_a_dot():
    assert colours(pixels(line(None, None, 4, None, None, thresholds=())))[BLUE] > 20


def test_growth_is_drawn_as_bars():
    bars = line(5, 9, None, 5, bucket=timedelta(minutes=5), thresholds=())
    assert colours(pixels(bars))[BLUE] > 5 * colours(pixels(replace(bars, bucket=None)))[BLUE]


NAMES = {
    "a formula": r"$\foo$ and $x",
    "Japanese": "コードレビュー",
    "emoji": "🚀 launch 🚀",
    "Arabic": "دعم العملاء",
    "markup": "<b>&amp;</b>",
    "control characters": "a\x00b\x1b[31mc\u202ed\ud800",
    "lines": "one\ntwo",
    "very long": "x" * 5000,
    "nothing": "",
    "a backslash": "\\",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_any_name_can_be_written(name):
    assert draw(chart_series(subject=name, what=name, key=name)).startswith(PNG)


VALUES = {
    "nothing known": (None, None),
    "only one": (7,),
    "all zero": (0, 0, 0),
    "past 2**64": (2**64, 2**65),
    "larger than any float": (10**400, 3),
    "parts": (Fraction(1, 3), Fraction(2, 7)),
    "tiny shares": (Fraction(1, 10**9), Fraction(0)),
}


@pytest.mark.parametrize("unit", ["violations", "%"])
@pytest.mark.parametrize("seen", VALUES.values(), ids=VALUES.keys())
def test_any_value_can_be_drawn(seen, unit):
    assert draw(
        line(*seen, unit=unit, thresholds=((Severity.WARNING, Fraction(5)),) if unit == "%" else ())
    ).startswith(PNG)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.none() | st.integers(0, 10**30) | st.fractions(0, 10), min_size=1, max_size=8),
    st.text(max_size=40),
    st.integers(1, 4_000_000),
)
def test_whatever_was_seen_can_be_drawn(seen, name, minutes):
    start = NOW - timedelta(minutes=minutes)
    points = tuple((start + (NOW - start) * turn / len(seen), value) for turn, value in enumerate(seen, start=1))
    assert draw(chart_series(points=points, start=start, subject=name, fired_at=start)).startswith(PNG)


AXES = {
    "an hour": (60, "10:00 10:10 10:20 10:30 10:40 10:50 11:00"),
    "a day": (24 * 60, "12:00 15:00 18:00 21:00 5 Jan 03:00 06:00 09:00"),
    "a week": (7 * 24 * 60, "30 Dec 31 Dec 1 Jan 2 Jan 3 Jan 4 Jan 5 Jan"),
}


@pytest.mark.parametrize(("length", "written"), AXES.values(), ids=AXES.keys())
def test_the_time_axis_has_round_moments_of_utc(length, written):
    end = datetime(2026, 1, 5, 11, 0, tzinfo=UTC)
    start = end - timedelta(minutes=length)
    assert " ".join(text for _, text in _moments(start, end)) == written


@given(st.integers(1, 3_000_000))
def test_the_time_axis_is_never_crowded_and_never_empty(minutes):
    start = NOW - timedelta(minutes=minutes)
    moments = [at for at, _ in _moments(start, NOW)]
    assert all(start <= at <= NOW for at in moments)
    assert len(moments) <= 25 if minutes > 8 * 43_200 else 1 <= len(moments) <= 9 or minutes < 9


HEIGHTS = {(0, ""): "0", (950, ""): "950", (1500, ""): "1.5k", (4e7, ""): "40M", (2.5, "%"): "2.5 %", (3, "×"): "3×"}


@pytest.mark.parametrize(("height", "written"), HEIGHTS.items())
def test_heights_are_written_short(height, written):
    assert _short(*height) == written


def test_several_charts_at_once_come_out_as_one_by_one():
    wanted = [line(*range(count), subject=f"chart {count}") for count in range(2, 4)]
    alone = [draw(one) for one in wanted]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(draw, wanted)) == alone


def test_the_clock_of_a_chart_is_the_readers_and_is_named():
    madrid = in_zone(chart_series(fired_at=NOW - timedelta(minutes=15)), ZoneInfo("Europe/Madrid"))
    assert [moment.hour for moment in (madrid.end, madrid.points[-1][0])] == [NOW.hour + 1] * 2
    assert zone_name(madrid.start) == "Europe/Madrid"
    assert zone_name(NOW) == "UTC"
    written = [text for _, text in _moments(madrid.start, madrid.end)]
    assert f"{NOW.hour + 1}:00" in written, "round moments are round on the reader's clock"
    assert draw(chart_series(), ZoneInfo("Asia/Kathmandu")) != draw(chart_series())


@pytest.mark.parametrize("module", ["alertbot.app.bot", "alertbot.cli", "alertbot.slack.chart_upload"])
def test_nothing_waits_for_matplotlib_before_the_first_chart(module):
    code = f"import sys, {module}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- bringing it to Slack


def upload(slack: SlackServer, pauses: list[float]) -> str:
    client = web_client(slack.bot_token, api_url=slack.api_url, timeout=timedelta(seconds=5))

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        slack.wait_for(lambda: any(file.mimetype for file in slack.files()))

    return uploader(client, pause=pause)(PNG, "a chart")


def test_a_picture_is_uploaded_without_being_shared_and_can_be_shown_at_once():
    pauses: list[float] = []
    with SlackServer(page=False, file_seconds=0.1) as slack:
        file = upload(slack, pauses)
        (kept,) = slack.files()
    assert (kept.id, kept.content, kept.title, kept.shares) == (file, PNG, "a chart", ())
    assert kept.mimetype == "image/png"
    assert pauses


def test_a_file_that_is_never_ready_is_waited_for_ten_seconds_at_most():
    pauses: list[float] = []
    with SlackServer(page=False, file_seconds=600) as slack:
        client = web_client(slack.bot_token, api_url=slack.api_url, timeout=timedelta(seconds=5))
        with pytest.raises(SlackUncertain) as caught:
            uploader(client, pause=pauses.append)(PNG, "a chart")
    assert caught.value.code == "file_not_ready"
    assert 8 <= sum(pauses) <= 10
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal", "files.info"])
def test_what_slack_refuses_is_told_as_such(method):
    with SlackServer(page=False) as slack:
        slack.fault("error", method, error="missing_scope")
        with pytest.raises(SlackError) as caught:
            upload(slack, [])
    assert caught.value.code == "missing_scope"


READ_ONLY = """
import os, sys, tempfile
tempfile._candidate_tempdir_list = lambda: ["/proc/no/such/folder"]
os.environ |= {"HOME": "/proc/nowhere", "XDG_CONFIG_HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere"}
os.environ.pop("MPLCONFIGDIR", None)
from alertbot.slack import charts
from tests.slack.messages import chart_series
sys.stdout.buffer.write(charts.draw(chart_series()))
"""


def test_a_chart_is_drawn_where_no_folder_on_disk_can_be_written():
    done = subprocess.run([sys.executable, "-c", READ_ONLY], capture_output=True, check=False)
    assert done.stdout.startswith(PNG), done.stderr.decode()
