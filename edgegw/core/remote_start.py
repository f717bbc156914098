"""Starting from afar: whether a charger is asked to begin a transaction, and what it said.

Never opens a session: an accepted request is followed by an ordinary start, judged like any other.
Source: OCPP 1.6 §5.11; OCPP 2.1 Part 2, F01 and F02.
"""

from edgegw.core.effects import StartRemotely
from edgegw.core.events import RemoteStartAnswered, RemoteStartRequested
from edgegw.core.state import Phase
from edgegw.core.turn import Turn


def on_requested(turn: Turn, event: RemoteStartRequested) -> None:
    """Ask the charger where a known member finds a free EVSE online; else count why not."""
    code = _refusal(turn, event)
    if code is not None:
        turn.refuse(code, evse_id=event.evse_id)
        turn.log("charger.start_refused", evse_id=event.evse_id, code=code)
        return
    remote_start_id = turn.number()
    turn.emit(StartRemotely(evse_id=event.evse_id, id_token=event.id_token, remote_start_id=remote_start_id))
    turn.log("charger.start_requested", evse_id=event.evse_id, remote_start_id=remote_start_id)


def _refusal(turn: Turn, event: RemoteStartRequested) -> str | None:
    evse = turn.evses.get(event.evse_id)
    if evse is None:
        return "UNKNOWN_EVSE"
    if not evse.online:
        return "CHARGER_OFFLINE"
    if evse.phase is not Phase.VACANT:
        return "EVSE_BUSY"
    if not turn.admits:
        return "DISK_FULL"
    return None if event.id_token_hash in turn.members else "UNKNOWN_TOKEN"


def on_answered(turn: Turn, event: RemoteStartAnswered) -> None:
    """Remember what became of the request; an accepted one does not promise that a start follows."""
    answer = {
        "evse_id": event.evse_id,
        "remote_start_id": event.remote_start_id,
        "accepted": event.accepted,
        "reason": event.reason,
    }
    turn.note("remote_start", **answer)
    turn.log("charger.start_answered", **answer)
