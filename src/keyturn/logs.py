"""Structured logs on standard error: one JSON object a line, readable text on a terminal.

Whatever is logged, everything of a credential's shape is masked on its way out.
"""

import json
import logging
import sys
import traceback

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from keyturn.core.credential import redact


def configure_logs(level: str) -> None:
    """Log from this level on; what uvicorn and other libraries log looks the same."""
    renderer: Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(_to_json)
    )
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    after: list[Processor] = [structlog.processors.format_exc_info, masked(renderer)]
    structlog.configure(
        processors=[*before, *after],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # uvicorn warns of every request that is not HTTP: anybody could fill the log with it.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def masked(renderer: Processor) -> Processor:
    """Render, and mask the line as it will stand, so that nothing escapes within another value."""

    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        return redact(str(renderer(logger, method, event)))

    return render


def _to_json(event: EventDict, **_: object) -> str:
    return _ENCODER.encode(event)


# Made once: `json.dumps` would make one for each line.
_ENCODER = json.JSONEncoder(default=repr)


def failure(error: BaseException) -> str:
    """An error with its trace, masked: what shows the frames' variables would show credentials."""
    return redact("".join(traceback.format_exception(error)))
