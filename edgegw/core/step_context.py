"""The working view of one step: its tables, and the facts and effects it collects.

The only mutable object in the core. `station.step` makes it, and turns it into a StepOutcome.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from edgegw.common.canonical_json import canonical_json
from edgegw.common.trade_terms import Direction
from edgegw.core.effects import Effect, LogEvent
from edgegw.core.events import StorageLevel
from edgegw.core.state import NOT_JOURNALLED, TABLES, Evse, Session, Settings, Station, Tally
from edgegw.core.submission import New, Open, Purpose
from edgegw.core.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class FactNoted:
    """A fact for the append-only journal."""

    kind: str
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """Result of a step. `changes` maps `table/key` to the new row, or to None for a deleted one."""

    station: Station
    effects: tuple[Effect, ...]
    facts: tuple[FactNoted, ...]
    changes: Mapping[str, object]


class StepContext:
    """A step's working view of the station at `now_ns`."""

    def __init__(self, station: Station, now_ns: int) -> None:
        self.station = station
        self.settings: Settings = station.settings
        self.now_ns = now_ns
        self.evses = Table(station.evses)
        self.meters = Table(station.meters)
        self.holds = Table(station.holds)
        self.slices = Table(station.slices)
        self.prices = Table(station.prices)
        self.lines = Table(station.lines)
        self.submissions = Table[Open](station.submissions)
        self.answers = Table(station.answers)
        self._tally = Table(station.tally)
        self.restores = Table(station.restores)
        self.orders = Table(station.orders)
        self.members = Table(station.members)
        self.queries = set(station.queries)
        self.estimates = Table(station.estimates)
        self.plans = Table(station.plans)
        self.storage = station.storage
        self.draining = station.draining
        self.effects: list[Effect] = []
        self.facts: list[FactNoted] = []

    @property
    def tally(self) -> Tally:
        """The running sums."""
        return self._tally["all"]

    @tally.setter
    def tally(self, tally: Tally) -> None:
        self._tally.put("all", tally)

    @property
    def admits(self) -> bool:
        """Whether the disk has room for the records of a new session."""
        return self.storage < StorageLevel.NO_SESSIONS

    def number(self) -> int:
        """Return the next number for a line, slice or submission; numbers give the order of creation."""
        self.tally = replace(self.tally, number=self.tally.number + 1)
        return self.tally.number

    def evse_of(self, meter_id: str) -> Evse | None:
        """Return the EVSE of a meter, or None."""
        evse_id = self.settings.meter_evse.get(meter_id)
        return None if evse_id is None else self.evses[evse_id]

    def put_evse(self, evse: Evse) -> Evse:
        """Store and return an EVSE."""
        self.evses.put(evse.evse_id, evse)
        return evse

    def in_session(self, evse_id: str, session_id: str) -> Session | None:
        """Return a session by its id, running or waiting for its last reading, or None."""
        evse = self.evses[evse_id]
        found = (one for one in (evse.session, evse.ending) if one is not None)
        return next((one for one in found if one.session_id == session_id), None)

    def put_session(self, evse_id: str, session: Session) -> None:
        """Replace a session, running or waiting for its last reading."""
        evse = self.evses[evse_id]
        if evse.ending is not None and evse.ending.session_id == session.session_id:
            self.put_evse(replace(evse, ending=session))
        else:
            self.put_evse(replace(evse, session=session))

    def emit(self, *effects: Effect) -> None:
        """Add effects, to be performed in this order after the commit."""
        self.effects.extend(effects)

    def note(self, fact: str, /, **body: object) -> None:
        """Add a fact of kind `fact` to the journal."""
        self.facts.append(FactNoted(kind=fact, body={"at_ns": self.now_ns, **body}))

    def log(self, name: str, /, **log_fields: object) -> None:
        """Add a log line."""
        self.effects.append(LogEvent(name=name, fields=log_fields))

    def opaque_id(self, *parts: object) -> str:
        """Return an id for the ledger that reveals no station, EVSE or transaction."""
        text = ":".join(str(part) for part in (*parts, self.number()))
        return hmac.digest(self.settings.nonce_key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[
            :32
        ]

    def submit(
        self,
        function: str,
        arguments: Mapping[str, object],
        *,
        lane: str,
        purpose: Purpose,
        subject: str,
        expires_ns: int | None = None,
    ) -> New:
        """Add a submission at the end of its lane; its payload never changes."""
        number = self.number()
        submission = New(
            submission_id=f"{number:010d}",
            number=number,
            lane=lane,
            purpose=purpose,
            subject=subject,
            function=function,
            arguments_json=canonical_json({"v": 1, **arguments}),
            expires_ns=expires_ns,
        )
        self.submissions.put(submission.submission_id, submission)
        return submission

    def refuse(self, code: str, **body: object) -> None:
        """Count and journal an ordinary refusal, so that every session is accounted for."""
        refused = dict(self.tally.refused)
        refused[code] = refused.get(code, 0) + 1
        self.tally = replace(self.tally, refused=refused)
        self.note("refused", code=code, **body)

    def untraded(self, direction: Direction, code: str, energy_wh: int, **body: object) -> None:
        """Book energy that was metered and is not traded, with a code."""
        if energy_wh == 0:
            return
        key = f"{direction}:{code}"
        sums = dict(self.tally.untraded)
        sums[key] = sums.get(key, 0) + energy_wh
        self.tally = replace(self.tally, untraded=sums)
        self.note("untraded", direction=direction, code=code, energy_wh=energy_wh, **body)

    def outcome(self) -> StepOutcome:
        """Return the outcome of the step."""
        tables = {name: getattr(self, "_tally" if name == "tally" else name) for name in TABLES}
        changes: dict[str, object] = {}
        for name, table in tables.items():
            for key, row in table.changes.items():
                changes[f"{name}/{key}"] = row
        tables |= {name: getattr(self, name) for name in NOT_JOURNALLED}
        changed: dict[str, Any] = {name: table.rows for name, table in tables.items() if table.changes}
        station = self.station
        own: dict[str, Any] = {"queries": self.queries, "draining": self.draining, "storage": self.storage}
        if changed or any(getattr(station, name) != value for name, value in own.items()):
            own["queries"] = frozenset(self.queries)
            station = replace(station, **own, **changed)
        return StepOutcome(
            station=station, effects=tuple(self.effects), facts=tuple(self.facts), changes=changes
        )


assert {item.name for item in fields(Station)} >= {*TABLES, *NOT_JOURNALLED}
