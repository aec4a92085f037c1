"""Logs: what was done, once, as JSON lines or for a console. No tokens, no message bodies."""

import logging
import sys
from typing import TextIO

import structlog


def is_for_people(form: str | None, *, stream: TextIO = sys.stderr) -> bool:
    """Whether the log is read by people: `console`, or, where nothing is said, a terminal."""
    return form == "console" or (form is None and stream.isatty())


def configure(*, form: str | None, level: str, stream: TextIO = sys.stderr) -> None:
    """Write every log of ours, and warnings of the libraries, as `json` lines or for the `console`; see `is_for_people`."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # Plain tracebacks: the colourful ones print local variables, and with them tokens.
    plain = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    finish: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if not is_for_people(form, stream=stream)
        else [plain]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("alertbot").setLevel(number)
    # The libraries tell of each request and each missed tick; what matters of it we log ourselves.
    for noisy in ("httpx", "httpcore", "apscheduler", "waitress.queue", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR if noisy != "alembic" else logging.WARNING)
