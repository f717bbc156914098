"""Build MQTT messages from the station's state and from events that the core logs.

Decides topics and payloads. Publishes a closed list of fields, without card, password, member or hash. Import and
export are two counters that only increase within a meter's epoch, never one net value.
Source: docs/mqtt.md; MQTT 5 §4.7 (a topic name contains no + and no #).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from edgegw.common.units import SECOND_NS, interval_of
from edgegw.core.market import CHARGE, DISCHARGE, usable_price
from edgegw.core.state import Evse, Phase, Station

ONLINE: Final = "online"
OFFLINE: Final = "offline"
EVENT_EXPIRY_S: Final = 3_600
TRADE_EXPIRY_S: Final = 86_400
_TEXT_MAX: Final = 128

# The fields published of each event besides its name and time; no other field leaves the station.
SESSION_EVENTS: Mapping[str, tuple[str, ...]] = {
    "session.started": ("session_id",),
    "session.refused": ("session_id", "code"),
    "session.finished": ("session_id",),
}
TRADE_EVENTS: Mapping[str, tuple[str, ...]] = {
    "trade.recorded": (
        *("trade_id", "evse_id", "direction", "kind", "interval"),
        *("energy_wh", "price_mtok_per_kwh", "amount_mtok"),
    ),
    "trade.refused": ("trade_id", "evse_id", "direction", "kind", "interval", "energy_wh", "code"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to publish; `schema` names the payload's JSON schema, empty for plain text."""

    topic: str
    payload: str
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    schema: str = ""


def topic_root(prefix: str, station_id: str) -> str:
    """Return `<prefix>/<station>`, the first levels of all topics of a station."""
    return f"{prefix.strip('/')}/{level(station_id)}"


def level(name: str) -> str:
    """Encode a name as one topic level, injectively; + and other special characters become %XX."""
    return quote(name, safe="*_=:|@.-")


def availability(root: str, word: str) -> Message:
    """Return the availability message with `ONLINE` or `OFFLINE`; the latter is also the last will."""
    return Message(topic=f"{root}/availability", payload=word, retain=True)


def evse_topic(root: str, evse_id: str) -> str:
    """Return the first levels of all topics of one EVSE."""
    return f"{root}/evse/{level(evse_id)}"


def state_messages(station: Station, root: str, now_ns: int) -> tuple[Message, ...]:
    """Return a retained state message for each EVSE."""
    return tuple(
        Message(
            topic=f"{evse_topic(root, evse_id)}/state",
            payload=_compact(_evse_state(station, evse, now_ns)),
            retain=True,
            schema="edgegw.state.v1",
        )
        for evse_id, evse in sorted(station.evses.items())
    )


def event_message(root: str, name: str, fields: Mapping[str, object], *, now_ns: int) -> Message | None:
    """Return the message for an event that the core logged, or None if it is not published."""
    session, trade = SESSION_EVENTS.get(name), TRADE_EVENTS.get(name)
    told = {"event": name, "at": utc_text(now_ns), **_allowed(fields, session or trade or ())}
    if session is not None and isinstance(evse_id := fields.get("evse_id"), str):
        return Message(
            topic=f"{evse_topic(root, evse_id)}/event",
            payload=_compact(told),
            expiry_s=EVENT_EXPIRY_S,
            schema="edgegw.event.v1",
        )
    if trade is not None:
        return Message(
            topic=f"{root}/trade", payload=_compact(told), expiry_s=TRADE_EXPIRY_S, schema="edgegw.trade.v1"
        )
    return None


def kwh_text(energy_mwh: int) -> str:
    """Return exact kWh with six decimals."""
    assert energy_mwh >= 0
    return f"{energy_mwh // 1_000_000}.{energy_mwh % 1_000_000:06d}"


def utc_text(at_ns: int, *, timespec: str = "seconds") -> str:
    """Return a time as ISO 8601 in UTC."""
    moment = datetime.fromtimestamp(at_ns // SECOND_NS, UTC)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def _evse_state(station: Station, evse: Evse, now_ns: int) -> dict[str, object]:
    account = station.meters[station.settings.evses[evse.evse_id].meter_id]
    last, session = account.last, evse.session
    interval = interval_of(now_ns)
    return {
        "state": _state_word(station, evse, account.power_w),
        "plugged": session is not None,
        "session_id": None if session is None else session.session_id[:_TEXT_MAX],
        "power_w": None if last is None else account.power_w,
        "import_wh": None if last is None else last.import_mwh // 1000,
        "export_wh": None if last is None else last.export_mwh // 1000,
        "energy_import_kwh": None if last is None else kwh_text(last.import_mwh),
        "energy_export_kwh": None if last is None else kwh_text(last.export_mwh),
        "soc_pct": None if session is None or session.soc_bp is None else session.soc_bp / 100,
        "charge_price_mtok_per_kwh": usable_price(station.prices, CHARGE, interval),
        "discharge_price_mtok_per_kwh": usable_price(station.prices, DISCHARGE, interval),
        # To the minute, so that unchanged readings are published once a minute, not with every poll.
        "measured_at": None if last is None else utc_text(last.at_ns, timespec="minutes"),
    }


def _state_word(station: Station, evse: Evse, power_w: int) -> str:
    standby_w = station.settings.evses[evse.evse_id].standby_w
    if not evse.online:
        return "offline"
    if evse.phase is Phase.VACANT:
        return "free" if evse.ending is None else "finishing"
    if evse.phase is not Phase.ACTIVE:
        return evse.phase.value
    if power_w > standby_w:
        return "charging"
    if power_w < -standby_w:
        return "discharging"
    return "satisfied" if evse.session is not None and evse.session.satisfied else "waiting"


def _allowed(fields: Mapping[str, object], names: tuple[str, ...]) -> dict[str, object]:
    """Return the named fields; values other than strings and integers become None, and strings are truncated."""
    plain = {name: fields.get(name) for name in names}
    return {
        name: value[:_TEXT_MAX] if isinstance(value, str) else value if isinstance(value, int) else None
        for name, value in plain.items()
    }


def _compact(body: Mapping[str, object]) -> str:
    return json.dumps(body, separators=(",", ":"))
