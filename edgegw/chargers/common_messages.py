"""Handles the messages that are alike in every version of OCPP. Pure.

Source: OCPP 1.6 edition 2 §4.2, §4.3, §4.6; OCPP 2.0.1 and 2.1 Part 2: B01, G02, P02.
"""

from edgegw.chargers import timestamps
from edgegw.chargers.call_types import Incoming, Reaction
from edgegw.core.events import ChargerBooted


def boot_notification(call: Incoming) -> Reaction:
    """Accept the charger; answer the station's time and heartbeat interval."""
    answer = {
        "currentTime": timestamps.render(call.now_ns),
        "interval": call.station.heartbeat_interval_s,
        "status": "Accepted",
    }
    return Reaction(events=(ChargerBooted(charger_id=call.charger.charger_id),), answer=answer)


def heartbeat(call: Incoming) -> Reaction:
    """Answer the station's time."""
    return Reaction(answer={"currentTime": timestamps.render(call.now_ns)})


def data_transfer(_call: Incoming) -> Reaction:
    """Answer UnknownVendorId: no vendor's messages are supported."""
    return Reaction(answer={"status": "UnknownVendorId"})


def acknowledged(_call: Incoming) -> Reaction:
    """Acknowledge a notification that has no effect here."""
    return Reaction(answer={})
