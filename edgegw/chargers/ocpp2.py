"""Translates the messages of OCPP 2.0.1 and 2.1 chargers to core events, and the core's answers to payloads. Pure.

Decides how the terms of 2.x map to the core's; never whether a driver may charge. A billing message always becomes an
event, however little of it can be read. `ocpp2_commands` builds the CALLs to chargers.
Source: OCPP 2.0.1 and 2.1 Part 2: B01, C01, E01-E06, G01, J01-J02, K15, Q01.
"""

from collections.abc import Mapping

from edgegw.chargers import json_values, timestamps
from edgegw.chargers import meter_values as measured
from edgegw.chargers.call_types import (
    AnswerTranslator,
    Handler,
    Incoming,
    IncompleteCallError,
    Payload,
    Reaction,
)
from edgegw.chargers.common_messages import (
    acknowledged,
    boot_notification,
    data_transfer,
    heartbeat,
)
from edgegw.chargers.violations import NO_NUMBER, Violations
from edgegw.core.effects import Acknowledge, Answer, AuthorizeAnswer, IdTokenStatus, StartAnswer
from edgegw.core.events import (
    AuthorizeRequested,
    ChargingState,
    ChargingStateChanged,
    ConnectorStatus,
    ConnectorStatusChanged,
    Event,
    EvNeedsReported,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)

ONE_WAY_TRANSFER = ("AC_single_phase", "AC_two_phase", "AC_three_phase", "DC")
BOTH_WAYS_TRANSFER = (*ONE_WAY_TRANSFER, "AC_BPT", "DC_BPT")

_STATUSES = {
    "Available": ConnectorStatus.AVAILABLE,
    "Occupied": ConnectorStatus.OCCUPIED,
    "Reserved": ConnectorStatus.AVAILABLE,  # no cable is plugged in
    "Unavailable": ConnectorStatus.UNAVAILABLE,
    "Faulted": ConnectorStatus.FAULTED,
}
_CHARGING_STATES = {state.value: state for state in ChargingState}
_TAKING_POWER = frozenset({ChargingState.CHARGING, ChargingState.SUSPENDED_EV, ChargingState.SUSPENDED_EVSE})


def notify_ev_charging_schedule(_call: Incoming) -> Reaction:
    """Handle K15.FR.08: accept the EV's schedule without following it; the station's setpoint holds."""
    return Reaction(answer={"status": "Accepted"})


def status_notification(call: Incoming) -> Reaction:
    """Handle G01: the status of a connector is that of its EVSE."""
    evse_number = json_values.integer(call.payload.get("evseId"))
    status = json_values.text(call.payload.get("connectorStatus"))
    if evse_number is None or status is None:
        raise IncompleteCallError("evseId or connectorStatus")
    evse_id = call.charger.evses.get(evse_number)
    if evse_id is None or status not in _STATUSES:
        return Reaction(answer={})
    at_ns = timestamps.parse(call.payload.get("timestamp")) or call.now_ns
    changed = ConnectorStatusChanged(evse_id=evse_id, status=_STATUSES[status], at_ns=at_ns)
    return Reaction(events=(changed,), answer={})


def authorize(call: Incoming) -> Reaction:
    """Handle C01: the core decides on the card."""
    id_token_hash = _id_token_hash(call)
    if id_token_hash is None:
        raise IncompleteCallError("idToken")
    return Reaction(events=(AuthorizeRequested(call=call.call, id_token_hash=id_token_hash),))


def notify_ev_charging_needs(call: Incoming) -> Reaction:
    """Handle K15 and Q01: answer at once, because ISO 15118-20 waits two seconds; profiles follow later."""
    number = json_values.integer(call.payload.get("evseId"))
    if number is None or "chargingNeeds" not in call.payload:
        raise IncompleteCallError("evseId or chargingNeeds")
    evse_id = call.charger.evses.get(number)
    if evse_id is None:
        return Reaction(answer={"status": "Rejected"})
    needs = json_values.mapping(call.payload["chargingNeeds"])
    modes = [
        needs.get("requestedEnergyTransfer"),
        *json_values.sequence(needs.get("availableEnergyTransfer")),
    ]
    v2x = json_values.mapping(needs.get("v2xChargingParameters"))
    direct = json_values.mapping(needs.get("dcChargingParameters"))
    charge_w = _power_w(v2x, "maxChargePower")
    reported = EvNeedsReported(
        evse_id=evse_id,
        # 2.0.1 cannot express it: the charger's configuration decides.
        bidirectional=call.version == "2.0.1"
        or any(isinstance(mode, str) and "BPT" in mode for mode in modes),
        charge_power_w_max=_power_w(direct, "evMaxPower") if charge_w is None else charge_w,
        discharge_power_w_max=_power_w(v2x, "maxDischargePower"),
        departure_ns=timestamps.parse(needs.get("departureTime")),
    )
    return Reaction(events=(reported,), answer={"status": "Accepted"})


def meter_values(call: Incoming) -> Reaction:
    """Handle J01: clock-aligned values, outside of or beside a transaction."""
    flaws = Violations()
    number = json_values.integer(call.payload.get("evseId"))
    updated = TransactionUpdated(
        call=call.call,
        business_key=None,
        frame=call.frame,
        evse_id=None if number is None else call.charger.evses.get(number),
        transaction_id=None,
        charging_state=None,
        samples=measured.samples(call.payload.get("meterValue"), flaws, now_ns=call.now_ns),
        flaws=flaws.all,
    )
    return Reaction(events=(updated,))


def transaction_event(call: Incoming) -> Reaction:
    """Handle E01-E06 by eventType; a message that fits no EVSE or type is kept as an update and acknowledged."""
    transaction_id = json_values.text(
        json_values.mapping(call.payload.get("transactionInfo")).get("transactionId")
    )
    evse_id = _evse_id(call)
    kind = call.payload.get("eventType")
    flaws = Violations()
    if transaction_id is None:
        flaws.add(NO_NUMBER, "transactionId is missing")
    elif kind == "Started" and evse_id is not None:
        return _started(call, transaction_id, evse_id)
    elif kind == "Started":
        flaws.evse_number("evse.id", json_values.mapping(call.payload.get("evse")).get("id"))
    elif kind == "Ended":
        return _ended(call, transaction_id, evse_id)
    elif kind != "Updated":
        flaws.add(NO_NUMBER, f"eventType is {json_values.short(kind)}")
    return _updated(call, transaction_id, evse_id, flaws=flaws)


def _started(call: Incoming, transaction_id: str, evse_id: str) -> Reaction:
    flaws = Violations()
    now_ns = call.now_ns
    at_ns = flaws.instant_ns(call.payload.get("timestamp"), now_ns=now_ns, absent_ns=now_ns)
    samples = measured.samples(
        call.payload.get("meterValue"), flaws, now_ns=now_ns, absent_ns=at_ns, at_start=True
    )
    events: list[Event] = [
        TransactionStarted(
            call=call.call,
            business_key=_business_key(call, transaction_id),
            frame=call.frame,
            evse_id=evse_id,
            transaction_id=transaction_id,
            id_token_hash=_id_token_hash(call),
            at_ns=at_ns,
            offline=call.payload.get("offline") is True,
            sample=samples[0] if samples else None,
            flaws=flaws.all,
        )
    ]
    state = _charging_state(call)
    # A start may come at the first energy; later events name the state only when it changes.
    if state in _TAKING_POWER:
        events.append(ChargingStateChanged(evse_id=evse_id, charging_state=state))
    return Reaction(events=tuple(events))


def _updated(
    call: Incoming, transaction_id: str | None, evse_id: str | None, *, flaws: Violations
) -> Reaction:
    flaws.instant_ns(call.payload.get("timestamp"), now_ns=call.now_ns, absent_ns=call.now_ns)
    updated = TransactionUpdated(
        call=call.call,
        business_key=None if transaction_id is None else _business_key(call, transaction_id),
        frame=call.frame,
        evse_id=evse_id,
        transaction_id=transaction_id,
        charging_state=_charging_state(call),
        offline=call.payload.get("offline") is True,
        id_token_hash=_id_token_hash(call),
        samples=measured.samples(call.payload.get("meterValue"), flaws, now_ns=call.now_ns),
        flaws=flaws.all,
    )
    return Reaction(events=(updated,))


def _ended(call: Incoming, transaction_id: str, evse_id: str | None) -> Reaction:
    flaws = Violations()
    now_ns = call.now_ns
    at_ns = flaws.instant_ns(call.payload.get("timestamp"), now_ns=now_ns, absent_ns=now_ns)
    reason = json_values.text(json_values.mapping(call.payload.get("transactionInfo")).get("stoppedReason"))
    ended = TransactionEnded(
        call=call.call,
        business_key=_business_key(call, transaction_id),
        frame=call.frame,
        charger_id=call.charger.charger_id,
        evse_id=evse_id,
        transaction_id=transaction_id,
        at_ns=at_ns,
        reason=reason or "Local",  # §1.61: absent means Local
        samples=measured.samples(call.payload.get("meterValue"), flaws, now_ns=now_ns, absent_ns=at_ns),
        flaws=flaws.all,
    )
    return Reaction(events=(ended,))


HANDLERS: Mapping[str, Handler] = {
    "Authorize": authorize,
    "BootNotification": boot_notification,
    "ClearedChargingLimit": acknowledged,
    "DataTransfer": data_transfer,
    "FirmwareStatusNotification": acknowledged,
    "Heartbeat": heartbeat,
    "LogStatusNotification": acknowledged,
    "MeterValues": meter_values,
    "NotifyChargingLimit": acknowledged,
    "NotifyCustomerInformation": acknowledged,
    "NotifyDisplayMessages": acknowledged,
    "NotifyEVChargingNeeds": notify_ev_charging_needs,
    "NotifyEVChargingSchedule": notify_ev_charging_schedule,
    "NotifyEvent": acknowledged,
    "NotifyMonitoringReport": acknowledged,
    "NotifyReport": acknowledged,
    "PublishFirmwareStatusNotification": acknowledged,
    "ReportChargingProfiles": acknowledged,
    "ReservationStatusUpdate": acknowledged,
    "SecurityEventNotification": acknowledged,
    "StatusNotification": status_notification,
    "TransactionEvent": transaction_event,
}
HANDLERS_21: Mapping[str, Handler] = {
    **HANDLERS,
    "NotifyDERAlarm": acknowledged,
    "NotifyDERStartStop": acknowledged,
    "NotifyPriorityCharging": acknowledged,
    "NotifySettlement": acknowledged,
    "ReportDERControl": acknowledged,
}
BILLING = frozenset({"TransactionEvent", "MeterValues"})


def authorize_answer(call: Incoming, answer: Answer) -> Payload:
    """Return AuthorizeResponse (C01); in 2.1 a driver who may sell gets the bidirectional transfer modes (Q01.FR.01)."""
    assert isinstance(answer, AuthorizeAnswer)
    payload: Payload = {"idTokenInfo": {"status": answer.status.value}}
    if answer.bidirectional and call.version == "2.1":
        payload["allowedEnergyTransfer"] = list(BOTH_WAYS_TRANSFER)
    return payload


def transaction_event_answer(call: Incoming, answer: Answer) -> Payload:
    """Return TransactionEventResponse, with idTokenInfo where an idToken was sent (E01.FR.10).

    An acknowledged start fits no EVSE and gets status Invalid.
    """
    if isinstance(answer, Acknowledge):
        unplaced = call.payload.get("eventType") == "Started" and "idToken" in call.payload
        return {"idTokenInfo": {"status": IdTokenStatus.INVALID.value}} if unplaced else {}
    assert isinstance(answer, StartAnswer | AuthorizeAnswer)
    if answer.status is IdTokenStatus.ACCEPTED and "idToken" not in call.payload:
        return {}
    return {"idTokenInfo": {"status": answer.status.value}}


def meter_values_answer(_call: Incoming, _answer: Answer) -> Payload:
    """Return MeterValuesResponse (J01), an empty object."""
    return {}


ANSWERS: Mapping[str, AnswerTranslator] = {
    "Authorize": authorize_answer,
    "MeterValues": meter_values_answer,
    "TransactionEvent": transaction_event_answer,
}


def _business_key(call: Incoming, transaction_id: str) -> str:
    seq_no = json_values.text(call.payload.get("seqNo"))
    if seq_no is None:  # non-compliant; type and time identify it
        parts = (json_values.text(call.payload.get(key)) or "" for key in ("eventType", "timestamp"))
        return ":".join(["event", transaction_id, *parts])
    return f"event:{transaction_id}:{seq_no}"


def _evse_id(call: Incoming) -> str | None:
    """Return the EVSE of the first event (E01.FR.16); a charger with only one EVSE may omit it."""
    number = json_values.integer(json_values.mapping(call.payload.get("evse")).get("id"))
    if number is not None:
        return call.charger.evses.get(number)
    first = call.payload.get("eventType") == "Started"
    return next(iter(call.charger.evses.values())) if first and len(call.charger.evses) == 1 else None


def _charging_state(call: Incoming) -> ChargingState | None:
    state = json_values.text(json_values.mapping(call.payload.get("transactionInfo")).get("chargingState"))
    return None if state is None else _CHARGING_STATES.get(state)


def _id_token_hash(call: Incoming) -> str | None:
    id_token = json_values.mapping(call.payload.get("idToken"))
    token = json_values.normal_token(id_token.get("idToken"))
    if token is None or id_token.get("type") == "NoAuthorization":
        return None
    return call.station.hash_token(token)


def _power_w(parameters: Mapping[str, object], name: str) -> int | None:
    """Return the sum over the phases given; chargers send discharge powers with either sign."""
    phases = [json_values.integer(parameters.get(f"{name}{suffix}")) for suffix in ("", "_L2", "_L3")]
    known = [abs(power_w) for power_w in phases if power_w is not None]
    return sum(known) if known else None
