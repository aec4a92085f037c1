"""Charts in Slack: drawn, uploaded without being shared, and shown once Slack has worked on them."""

import time
from collections.abc import Callable
from datetime import tzinfo

import structlog
from slack_sdk import WebClient

from alertbot.domain.chart_data import ChartSeries
from alertbot.errors import SlackError, SlackUncertain
from alertbot.slack.charts import draw
from alertbot.slack.errors import translate_errors

log = structlog.get_logger()
# Seconds between the looks whether a file is ready, ten together: a block that names it sooner is refused.
_PAUSES = (0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 3.0)
_NAME = "chart.png"


def uploader(client: WebClient, *, pause: Callable[[float], object] = time.sleep) -> Callable[[bytes, str], str]:
    """A function that uploads a PNG with a title and returns the file's id once Slack can show it. It raises a SlackError."""

    def upload(png: bytes, title: str) -> str:
        with translate_errors("files.upload"):
            answer = client.files_upload_v2(filename=_NAME, title=title, content=png)
            file = str(answer["files"][0]["id"])
        for seconds in _PAUSES:
            with translate_errors("files.info"):
                uploaded = client.files_info(file=file).get("file") or {}
            if uploaded.get("mimetype"):
                return file
            pause(seconds)
        raise SlackUncertain(f"files.info: {file} was not ready in time", code="file_not_ready")

    return upload


def pictured(chart_series: ChartSeries, upload: Callable[[bytes, str], str] | None, zone: tzinfo) -> str | None:
    """Draw and upload the chart, its times in `zone`. Returns the file's id, or None if that failed and text has to do."""
    if upload is None or not chart_series.known:
        return None
    try:
        return upload(draw(chart_series, zone), f"{chart_series.what}: {chart_series.subject}"[:200])
    except SlackError as error:
        log.warning("chart_not_uploaded", code=error.code, why=error.lines[0])
    except OSError as error:
        log.warning("chart_not_drawn", why=str(error))
    return None
