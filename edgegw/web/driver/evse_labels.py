"""The state of an EVSE in words.

Decides how much others may know of a session: only that the EVSE is in use.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgegw.core.evse_status import EvseActivity as Standing
from edgegw.core.evse_status import live
from edgegw.core.state import Station
from edgegw.web.formats import kilowatts
from edgegw.web.pages import Word


class State(StrEnum):
    """State of an EVSE as everybody may see it."""

    FREE = "free"
    PLUGGED = "plugged"
    IN_USE = "in_use"
    OUT_OF_ORDER = "out_of_order"
    OFFLINE = "offline"


_STATES: Final = {  # public as they are; every other activity is shown as IN_USE
    Standing.FREE: State.FREE,
    Standing.PLUGGED: State.PLUGGED,
    Standing.OFFLINE: State.OFFLINE,
    Standing.OUT_OF_ORDER: State.OUT_OF_ORDER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An EVSE as a viewer may see it. `is_yours`: its session or order is the viewer's."""

    evse_id: str
    state: State
    words: str
    plug: str
    is_yours: bool
    charge: str
    discharge: str  # "": it cannot discharge

    @property
    def is_open(self) -> bool:
        """Whether this viewer can place an order here now."""
        return self.state in {State.FREE, State.PLUGGED} or (self.is_yours and self.state is State.IN_USE)


def point_of(station: Station, evse_id: str, word: Word, *, member_id: str | None, now_ns: int) -> Point:
    """Return the view of an EVSE; `member_id` is the viewer's, None without a login."""
    settings = station.settings.evses[evse_id]
    here = live(station, evse_id, now_ns)
    state = _STATES.get(here.word, State.IN_USE)
    return Point(
        evse_id=evse_id,
        state=state,
        words=state_words(word)[state],
        plug=_plug(word, state),
        is_yours=member_id is not None and here.member_id == member_id,
        charge=kilowatts(settings.rated_w, places=None),
        discharge=kilowatts(settings.discharge_w, places=None) if settings.discharge_w else "",
    )


def state_words(word: Word) -> dict[State, str]:
    """Return the text of each state."""
    return {
        State.FREE: word("Free"),
        State.PLUGGED: word("Plugged in, not started"),
        State.IN_USE: word("In use"),
        State.OUT_OF_ORDER: word("Out of order"),
        State.OFFLINE: word("Not connected"),
    }


def _plug(word: Word, state: State) -> str:
    return {
        State.FREE: word("Plug the cable into your car, before or after you order."),
        State.PLUGGED: word("The cable is plugged in. No session has started yet."),
        State.IN_USE: word("A session is running here."),
        State.OUT_OF_ORDER: word("This charger reports a fault. Use another charger."),
        State.OFFLINE: word("The station cannot reach this charger right now. A card may still work."),
    }[state]
