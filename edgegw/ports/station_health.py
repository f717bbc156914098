"""Assesses the health of the station: each part is ok, degraded or down, with a reason and a remedy, the worst first. Pure.

Decides what needs the operator's attention. An unreachable broker or peer is degraded, not down: trades wait in the outbox
and nothing is lost.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from edgegw.common.error_codes import REMEDIES
from edgegw.common.units import SECOND_NS
from edgegw.core.meter_condition import MeterCondition
from edgegw.core.state import Station
from edgegw.core.submission import InDoubt

ATTEMPTS_TOLERATED = 2
CERTIFICATE_WARN_DAYS = 30  # of a server's certificate
NTP_HINT = "run timedatectl set-ntp true; a peer refuses requests more than 15 minutes off"
LAG_TOLERATED_NS = SECOND_NS
_DAY_NS = 86_400 * SECOND_NS


class Level(StrEnum):
    """The level of a part, ordered from worst to best."""

    DOWN = "down"
    DEGRADED = "degraded"
    OK = "ok"


_ORDER = {level: number for number, level in enumerate(Level)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The condition of one part; `since_ns` is when it reached its level, or when the daemon started."""

    part: str
    level: Level
    reason: str
    hint: str = ""
    since_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateLife:
    """The end of a certificate, and the instant from which the operator is warned; UTC nanoseconds."""

    end_ns: int
    warn_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """The inputs of an assessment at one instant. `None` means that there is no such part."""

    now_ns: int
    station: Station
    waiting: Sequence[str] = ()  # ids of unknown chargers
    refused: Mapping[str, int] = field(default_factory=dict)  # code -> recently refused connections
    meter_faults: Mapping[str, MeterCondition] = field(default_factory=dict)
    storage_level: str = "OK"
    storage_free_bp: int | None = None
    mqtt_connected: bool | None = None
    starved_by: str | None = None
    lag_ns: int = 0
    certificates: Mapping[str, CertificateLife] = field(default_factory=dict)  # by purpose
    clock_synchronized: bool = True
    grid_price: Mapping[str, object] | None = None  # as received over MQTT; only shown


def assess(signs: Signs) -> tuple[Part, ...]:
    """Return the condition of all parts, the worst first."""
    parts = [
        *_daemon(signs),
        *_storage(signs),
        *_chargers(signs),
        *_meters(signs),
        *_ledger(signs),
        *_surroundings(signs),
    ]
    return tuple(sorted(parts, key=lambda part: _ORDER[part.level]))


def refused_lately(refused: Iterable[tuple[str, str, int]], away: Collection[str]) -> Mapping[str, int]:
    """Return the refusals by code that may explain why the chargers in `away` are not connected.

    `refused`: code, charger id and count of each. Those of the missing chargers, else those without a charger id.
    """
    theirs, nameless = Counter[str](), Counter[str]()
    for code, charger_id, count in refused:
        if charger_id in away:
            theirs[code] += count
        elif not charger_id:
            nameless[code] += count
    return theirs or nameless


def with_since(parts: Sequence[Part], before: Mapping[str, Part], now_ns: int) -> tuple[Part, ...]:
    """Return the parts with their `since_ns`: kept where the level is unchanged, else `now_ns`."""

    def since(part: Part) -> int:
        known = before.get(part.part)
        return known.since_ns if known is not None and known.level is part.level else now_ns

    return tuple(replace(part, since_ns=since(part)) for part in parts)


def worst(parts: Sequence[Part]) -> Level:
    """Return the worst level of all parts."""
    return min((part.level for part in parts), key=_ORDER.__getitem__, default=Level.OK)


def _daemon(signs: Signs) -> Iterator[Part]:
    if signs.starved_by is not None:
        yield Part(
            part="daemon",
            level=Level.DOWN,
            reason=f"{signs.starved_by} makes no progress",
            hint="the service manager restarts the daemon; then run edgegw support",
        )
    elif signs.lag_ns > LAG_TOLERATED_NS:
        reason = f"the event loop lags by {signs.lag_ns // 1_000_000} ms"
        yield Part(part="daemon", level=Level.DEGRADED, reason=reason, hint="reduce the load of this machine")
    elif signs.station.draining:
        yield Part(part="daemon", level=Level.DEGRADED, reason="drains before shutdown")
    else:
        yield Part(part="daemon", level=Level.OK, reason="operational")


def _storage(signs: Signs) -> Iterator[Part]:
    free = "" if signs.storage_free_bp is None else f"{signs.storage_free_bp // 100} % free"
    if signs.storage_level == "OK":
        yield Part(part="disk", level=Level.OK, reason=free or "enough space")
        return
    serious = signs.storage_level not in {"WARN", "NO_TELEMETRY"}
    yield Part(
        part="disk",
        level=Level.DOWN if serious else Level.DEGRADED,
        reason=f"{free}: {'the station refuses new sessions' if serious else 'the disk is almost full'}",
        hint=REMEDIES["EGW-5001"].remedy,
    )


def _chargers(signs: Signs) -> Iterator[Part]:
    settings = signs.station.settings
    known = {evse.charger_id for evse in settings.evses.values()}
    online = {settings.evses[evse.evse_id].charger_id for evse in signs.station.evses.values() if evse.online}
    away = sorted(known - online)
    if away:
        level = Level.DEGRADED if online else Level.DOWN
        reason = f"{len(away)} of {len(known)} not connected: {_some(away)}"
        code = max(signs.refused, key=lambda one: signs.refused[one], default=None)
        hint = (
            "edgegw charger list"
            if code is None
            else f"{code} {REMEDIES[code].problem}: {REMEDIES[code].remedy}"
        )
        yield Part(part="chargers", level=level, reason=reason, hint=hint)
    elif known:
        yield Part(part="chargers", level=Level.OK, reason=f"{len(known)} connected")
    else:
        hint = "run edgegw charger url, then edgegw charger list"
        yield Part(part="chargers", level=Level.DEGRADED, reason="no charger is configured", hint=hint)
    if signs.waiting:
        yield Part(
            part="unknown chargers",
            level=Level.DEGRADED,
            reason=f"{len(signs.waiting)} wait for approval: {_some(signs.waiting)}",
            hint="run edgegw charger approve ID or edgegw charger reject ID",
        )


def _meters(signs: Signs) -> Iterator[Part]:
    for meter_id, fault in sorted(signs.meter_faults.items()):
        yield Part(
            part=f"meter {meter_id}",
            level=Level.DOWN,
            reason=f"{fault.code} {fault.detail or REMEDIES[fault.code].problem}",
            hint=REMEDIES[fault.code].remedy.replace(" ID", f" {meter_id}"),
        )
    unread = sorted(
        meter_id
        for meter_id, account in signs.station.meters.items()
        if account.last is None and meter_id not in signs.meter_faults
    )
    if unread:
        reason = f"not read yet: {_some(unread)}"
        yield Part(part="meters", level=Level.DEGRADED, reason=reason, hint="edgegw meter read ID")
    elif signs.station.meters and not signs.meter_faults:
        yield Part(part="meters", level=Level.OK, reason=f"{len(signs.station.meters)} read")


def _ledger(signs: Signs) -> Iterator[Part]:
    station = signs.station
    stuck = [item for item in station.submissions.values() if item.attempt > ATTEMPTS_TOLERATED]
    doubt = sum(1 for item in station.submissions.values() if isinstance(item, InDoubt))
    waiting = f"{len(station.lines)} trades and {len(station.submissions)} submissions wait"
    if stuck:
        why = stuck[0].code or ("no commit status" if doubt else "no answer")
        hint = "check that the peer runs: edgegw ledger supply; waiting trades are not lost"
        yield Part(part="ledger", level=Level.DEGRADED, reason=f"{waiting}: {why}", hint=hint)
    else:
        yield Part(part="ledger", level=Level.OK, reason=waiting)


def _surroundings(signs: Signs) -> Iterator[Part]:
    if signs.mqtt_connected is not None:
        yield (
            Part(part="mqtt", level=Level.OK, reason="connected")
            if signs.mqtt_connected
            else Part(
                part="mqtt",
                level=Level.DEGRADED,
                reason="no connection to the broker",
                hint="edgegw mqtt test",
            )
        )
    if not signs.clock_synchronized:
        yield Part(
            part="clock",
            level=Level.DEGRADED,
            reason="not synchronized by NTP",
            hint=NTP_HINT,
        )
    for name, life in sorted(signs.certificates.items()):
        left_ns = life.end_ns - signs.now_ns
        if left_ns <= 0 or signs.now_ns >= life.warn_ns:
            days = left_ns // _DAY_NS
            yield Part(
                part=f"certificate of {name}",
                level=Level.DOWN if left_ns <= 0 else Level.DEGRADED,
                reason=f"expires in {days} days" if left_ns > 0 else "has expired",
                hint="renew it (for the ledger: edgegw enroll), then run systemctl reload edgegw",
            )


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
