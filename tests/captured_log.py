"""Our log in a text that a test can read, and everything as it was afterwards."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from alertbot.logs import configure

OURS = "alertbot.test"  # the name of a logger of ours, whatever file the test is in


class CapturedLog(io.StringIO):
    """What was written so far."""

    @property
    def text(self) -> str:
        return self.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        """The lines of a log in JSON."""
        return [json.loads(line) for line in self.text.splitlines()]


@contextmanager
def captured_log(*, form: str = "json", level: str = "info") -> Iterator[CapturedLog]:
    """The log as it is configured for a process."""
    root = logging.getLogger()
    handlers, root_level, before = list(root.handlers), root.level, structlog.get_config()
    stream = CapturedLog()
    configure(form=form, level=level, stream=stream)
    try:
        yield stream
    finally:
        root.handlers, root.level = handlers, root_level
        structlog.configure(**before)
