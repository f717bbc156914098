"""Set up a small station for unit tests of the OCPP adapter: settings, a fixed clock, and a dialogue without sockets."""

import itertools
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from edgegw.chargers import versions
from edgegw.chargers.call_types import CommandContext, Installed
from edgegw.chargers.dialogue import Dialogue, DialogueOutcome
from edgegw.chargers.settings import ChargerSettings, Dialect, ListenerSettings, StationSettings
from edgegw.chargers.timestamps import parse
from edgegw.common.passwords import hash_password
from edgegw.core.effects import Answer, AnswerCall
from edgegw.core.events import CallRef, Event

NOW = "2026-11-22T08:00:00.000Z"
PASSWORD = "a long password"


def at(text: str) -> int:
    """Return the UTC nanoseconds of an ISO 8601 time."""
    at_ns = parse(text)
    assert at_ns is not None
    return at_ns


NOW_NS = at(NOW)


@cache
def loaded() -> Any:
    """Return the validators of all versions, compiled once for all tests."""
    return versions.load()


@cache
def password_hash() -> str:
    """Return an argon2 hash, computed once for all tests."""
    return hash_password(PASSWORD)


def charger_settings(
    charger_id: str = "CP1", *, dialect: Dialect = "negative_limit_w", **more: Any
) -> ChargerSettings:
    """Return a charger with two EVSEs, evse-1 and evse-2."""
    given: dict[str, Any] = {"evses": {1: "evse-1", 2: "evse-2"}, **more}
    return ChargerSettings(charger_id=charger_id, password_hash=password_hash(), dialect=dialect, **given)


def command_context(
    charger: ChargerSettings | None = None, *, installed: Installed | None = None, now_ns: int = NOW_NS
) -> CommandContext:
    """Return a command's context at NOW, on a charger with the profiles `installed`."""
    return CommandContext(charger=charger or charger_settings(), installed=installed, now_ns=now_ns)


def station_settings(*chargers: ChargerSettings, **more: Any) -> StationSettings:
    """Return settings whose random numbers count up: transactions from 100042, messages from m1."""
    transactions, messages = itertools.count(100042), itertools.count(1)
    listener = more.pop("listener", ListenerSettings(host="127.0.0.1", port=0))
    return StationSettings(
        listener=listener,
        chargers=chargers or (charger_settings(),),
        hash_token=lambda token: f"hash-of-{token}",
        fresh_transaction_id=lambda: next(transactions),
        fresh_message_id=lambda: f"m{next(messages)}",
        **more,
    )


@dataclass
class StillClock:
    """A clock that only the test advances."""

    at_ns: int = NOW_NS

    def now_ns(self) -> int:
        return self.at_ns

    def real_seconds(self, duration_ns: int) -> float:
        return duration_ns / 1e9

    async def sleep_until(self, at_ns: int) -> None:
        self.at_ns = max(self.at_ns, at_ns)


@dataclass
class Talk:
    """One charger's dialogue with the station, in frames."""

    version: str
    charger: ChargerSettings = field(default_factory=charger_settings)
    counts: Counter[str] = field(default_factory=Counter)
    now_ns: int = NOW_NS

    def __post_init__(self) -> None:
        self.station = station_settings(self.charger)
        self.dialogue = Dialogue(
            station=self.station,
            charger=self.charger,
            version=loaded()[self.version],
            connection=7,
            counts=self.counts,
        )

    def call(self, message_id: str, action: str, payload: Any) -> DialogueOutcome:
        """Pass in a charger's CALL."""
        return self.dialogue.receive(json.dumps([2, message_id, action, payload]), self.now_ns)

    def event(self, message_id: str, action: str, payload: Any) -> Event:
        """Pass in a CALL and return its only event."""
        (event,) = self.call(message_id, action, payload).events
        return event

    def answer(self, message_id: str, answer: Answer) -> Any:
        """Return the parsed frame of the core's answer."""
        call = CallRef(charger_id=self.charger.charger_id, connection=7, message_id=message_id)
        text = self.dialogue.answer(AnswerCall(call=call, answer=answer))
        return None if text is None else json.loads(text)


def frame(outcome: DialogueOutcome) -> Any:
    """Return an outcome's answer, parsed."""
    assert outcome.text is not None
    return json.loads(outcome.text)
