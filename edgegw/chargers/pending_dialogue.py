"""Answers a charger that is not configured while it waits for approval. No I/O.

Never accepts it: BootNotification is answered Pending, so that the charger sends it again; Heartbeat gets the time, and
notifications without effect are acknowledged. Everything else is refused, billing messages too: OCPP 2.x prescribes
SecurityError before a boot is accepted (B02.FR.09; OCTT TC_B_30, TC_B_31), and GenericError is the nearest in 1.6.
Elsewhere billing messages never get an error, so that no charger discards the station's records. An unknown charger's
records are not the station's, and a Pending charger keeps its queue until it is accepted.
"""

from dataclasses import dataclass
from typing import Any, assert_never

from edgegw.chargers import common_messages, json_values, timestamps
from edgegw.chargers.call_types import Fault, Payload
from edgegw.chargers.rpc import CallEnded, CallReceived, Ignored, Rpc, SendText, bounded
from edgegw.chargers.versions import Version

ASK_AGAIN_S = 30
SILENCE_S = 600.0  # real time; a charger silent for so long is disconnected
PAUSE_S = 0.02  # real time between two answers: bounds the CPU time of unknown chargers


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The answer to a frame, and what the frame said about the charger."""

    text: str | None = None
    boot: Payload | None = None
    evse: int | None = None


class PendingDialogue:
    """The dialogue with one waiting charger."""

    def __init__(self, version: Version) -> None:
        self._version = version
        self._rpc = Rpc(version.name)

    def receive(self, text: str, now_ns: int) -> Heard:
        """Return the outcome of a frame; raises for no text."""
        match self._rpc.receive(text):
            case CallReceived(broken=None, payload=dict() as payload) as call:
                return self._call(call, payload, now_ns)
            case CallReceived(message_id=message_id):
                return Heard(text=self._rpc.error(bounded(message_id), Fault.REFUSED))
            case SendText(text=answer):
                return Heard(text=answer)
            case CallEnded() | Ignored():
                return Heard()
            case unhandled:
                assert_never(unhandled)

    def _call(self, call: CallReceived, payload: Payload, now_ns: int) -> Heard:
        now = timestamps.render(now_ns)
        if call.action == "BootNotification":
            pending = {"currentTime": now, "interval": ASK_AGAIN_S, "status": "Pending"}
            return Heard(text=self._result(call, pending), boot=payload)
        if call.action == "Heartbeat":
            return Heard(text=self._result(call, {"currentTime": now}))
        if call.action == "StatusNotification":
            return Heard(text=self._result(call, {}), evse=_evse_number(payload))
        if self._version.handlers.get(call.action) is common_messages.acknowledged:
            return Heard(text=self._result(call, {}))
        return Heard(text=self._rpc.error(bounded(call.message_id), Fault.REFUSED))

    def _result(self, call: CallReceived, payload: Payload) -> str:
        self._version.schemas.assert_response(call.action, payload)
        return self._rpc.result(call.message_id, payload)


def _evse_number(payload: Payload) -> int | None:
    value: Any = payload.get("evseId", payload.get("connectorId"))
    return json_values.integer(value)
