"""Log events from a closed list, as JSON lines or formatted for a terminal.

Decides event names, format, and how text from devices is sanitised. Each name is `noun.verb_past` and explained in
docs/events.md.
"""

import logging
import sys
from collections.abc import Mapping
from typing import TextIO

import structlog

from edgegw.common.sanitize import harmless

EVENTS = frozenset({
    "gateway.started",
    "gateway.drained",
    "gateway.failed",
    "config.reloaded",
    "config.rejected",
    "watchdog.starved",
    "watchdog.recovered",
    "health.listening",
    "health.failed",
    "control.failed",
    "status.failed",
    "charger.connected",
    "charger.disconnected",
    "charger.booted",
    "charger.refused",
    "charger.discovered",
    "charger.rejected",
    "charger.failed",
    "charger.replaced",
    "charger.start_requested",
    "charger.start_answered",
    "charger.stop_requested",
    "order.placed",
    "order.started",
    "order.done",
    "order.refused",
    "frame.quarantined",
    "frame.flawed",
    "call.failed",
    "authorization.refused",
    "session.started",
    "session.refused",
    "session.finished",
    "session.disputed",
    "reading.quarantined",
    "meter.read_failed",
    "meter.recovered",
    "meter.adopted",
    "epoch.opened",
    "trade.recorded",
    "trade.refused",
    "hold.opened",
    "hold.refused",
    "sale.prepared",
    "price.fixed",
    "submission.retried",
    "submission.rejected",
    "setpoint.refused",
    "mqtt.connected",
    "mqtt.lost",
    "mqtt.refused",
    "price.received",
    "price.ignored",
    "peer.started",
    "peer.lost",
    "identity.renewed",
    "identity.rejected",
    "chaincode.listening",
    "chaincode.registered",
    "chaincode.refused",
    "chaincode.disconnected",
    "chaincode.failed",
    "chaincode.stopped",
    "participants.started",
    "participants.lost",
    "office.listening",
    "office.refused",
    "office.stopped",
    "representative.lost",
    "representative.reached",
    "journal.restored",
    "storage.level_changed",
    "storage.promise_broken",
    "web.failed",
    "web.listening",
    "operator.acted",
    "operator.entered",
    "operator.refused",
})  # fmt: skip

_TEXT_MAX = 200


def configure(level: str, form: str, stream: TextIO = sys.stderr) -> None:
    """Configure logging for this process; `form` is "json", "pretty" or "auto" (pretty on a terminal)."""
    pretty = form == "pretty" or (form == "auto" and stream.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def log_event(name: str, fields: Mapping[str, object], *, level: str = "info") -> None:
    """Write one event, with text fields sanitised; a name that is not in `EVENTS` is a programming error."""
    assert name in EVENTS, name
    clean = {
        key: harmless(value, length_max=_TEXT_MAX) if isinstance(value, str) else value
        for key, value in fields.items()
    }
    structlog.get_logger().log(logging.getLevelNamesMapping()[level.upper()], name, **clean)
