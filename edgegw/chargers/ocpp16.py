"""Translates OCPP 1.6 messages: one function per message, payload to core event and effect to payload. Pure.

Decides how the terms of 1.6 map to the core's; never whether a driver may charge. A billing message always becomes an
event, however little of it can be read. The integer transactionId becomes text in events.
Source: OCPP 1.6 edition 2 §4 to §7; negative limits are vendor practice.
"""

from collections.abc import Mapping

from edgegw.chargers import (
    charging_profiles,
    json_values,
    timestamps,
)
from edgegw.chargers import (
    meter_values as measured,
)
from edgegw.chargers.call_types import (
    UNSUPPORTED,
    AnswerTranslator,
    CommandContext,
    Commands,
    Handler,
    Incoming,
    IncompleteCallError,
    Outgoing,
    Payload,
    ProfileStep,
    Reaction,
    Request,
    SetpointRefusal,
)
from edgegw.chargers.common_messages import (
    acknowledged,
    boot_notification,
    data_transfer,
    heartbeat,
)
from edgegw.chargers.settings import ChargerSettings, StationSettings
from edgegw.chargers.violations import NO_NUMBER, Violations
from edgegw.core.effects import (
    Acknowledge,
    AllowEnergyTransfer,
    Answer,
    ApplySetpoint,
    AuthorizeAnswer,
    IdTokenStatus,
    StartAnswer,
    StartRemotely,
    StopRemotely,
)
from edgegw.core.events import (
    AuthorizeRequested,
    ChargerSample,
    ChargingState,
    ChargingStateChanged,
    ConnectorStatus,
    ConnectorStatusChanged,
    Event,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)

_STATUSES = {
    "Available": ConnectorStatus.AVAILABLE,
    "Preparing": ConnectorStatus.OCCUPIED,
    "Charging": ConnectorStatus.OCCUPIED,
    "SuspendedEV": ConnectorStatus.OCCUPIED,
    "SuspendedEVSE": ConnectorStatus.OCCUPIED,
    "Finishing": ConnectorStatus.OCCUPIED,
    "Reserved": ConnectorStatus.AVAILABLE,  # no cable is plugged in
    "Unavailable": ConnectorStatus.UNAVAILABLE,
    "Faulted": ConnectorStatus.FAULTED,
}
_CHARGING_STATES = {
    "Charging": ChargingState.CHARGING,
    "SuspendedEV": ChargingState.SUSPENDED_EV,
    "SuspendedEVSE": ChargingState.SUSPENDED_EVSE,
}
_ID_TAG_LENGTH_MAX = 20  # CiString20Type
_REGISTERS = "Energy.Active.Import.Register,Energy.Active.Export.Register"
_MEASURANDS = f"{_REGISTERS},Power.Active.Import,Power.Active.Export,SoC"


def status_notification(call: Incoming) -> Reaction:
    """Handle §4.9: connector 0 is the charger as a whole, and has no plug state."""
    number = json_values.integer(call.payload.get("connectorId"))
    status = json_values.text(call.payload.get("status"))
    if number is None or status is None:
        raise IncompleteCallError("connectorId or status")
    evse_id = call.charger.evses.get(number)
    if evse_id is None or status not in _STATUSES:
        return Reaction(answer={})
    at_ns = timestamps.parse(call.payload.get("timestamp")) or call.now_ns
    events: list[Event] = [ConnectorStatusChanged(evse_id=evse_id, status=_STATUSES[status], at_ns=at_ns)]
    if status in _CHARGING_STATES:
        events.append(ChargingStateChanged(evse_id=evse_id, charging_state=_CHARGING_STATES[status]))
    return Reaction(events=tuple(events), answer={})


def authorize(call: Incoming) -> Reaction:
    """Handle §4.1: the core decides on the card."""
    id_token_hash = _id_token_hash(call)
    if id_token_hash is None:
        raise IncompleteCallError("idTag")
    return Reaction(events=(AuthorizeRequested(call=call.call, id_token_hash=id_token_hash),))


def start_transaction(call: Incoming) -> Reaction:
    """Handle §4.8: meterStart is the import register; a start at an unknown connector is stored and acknowledged."""
    payload = call.payload
    flaws = Violations()
    number = json_values.integer(payload.get("connectorId"))
    evse_id = None if number is None else call.charger.evses.get(number)
    at_ns = flaws.instant_ns(payload.get("timestamp"), now_ns=call.now_ns, absent_ns=call.now_ns)
    id_token_hash = _id_token_hash(call)
    parts = (json_values.text(payload.get(key)) or "" for key in ("connectorId", "timestamp", "meterStart"))
    business_key = ":".join(["start", *parts, id_token_hash or ""])  # the idTag itself is not kept
    if evse_id is None:
        flaws.evse_number("connectorId", payload.get("connectorId"))
        return Reaction(events=(_unplaced(call, business_key, flaws),))
    import_wh = flaws.register_wh("meterStart", payload.get("meterStart"))
    started = TransactionStarted(
        call=call.call,
        business_key=business_key,
        frame=call.frame,
        evse_id=evse_id,
        transaction_id=str(call.station.fresh_transaction_id()),
        id_token_hash=id_token_hash,
        at_ns=at_ns,
        sample=None if import_wh is None else ChargerSample(at_ns=at_ns, import_wh=import_wh),
        flaws=flaws.all,
    )
    return Reaction(events=(started,))


def meter_values(call: Incoming) -> Reaction:
    """Handle §4.7, with or without transaction; connector 0 is the charger's main meter."""
    flaws = Violations()
    number = json_values.integer(call.payload.get("connectorId"))
    if number is None:
        flaws.evse_number("connectorId", call.payload.get("connectorId"))
    updated = TransactionUpdated(
        call=call.call,
        business_key=None,
        frame=call.frame,
        evse_id=None if number is None else call.charger.evses.get(number),
        transaction_id=_own_transaction_id(call),
        charging_state=None,
        samples=measured.samples(call.payload.get("meterValue"), flaws, now_ns=call.now_ns),
        flaws=flaws.all,
    )
    return Reaction(events=(updated,))


def stop_transaction(call: Incoming) -> Reaction:
    """Handle §4.10: always stored; a charger that started offline may send -1 or 0 as transactionId."""
    payload = call.payload
    flaws = Violations()
    transaction_id = _transaction_id(call)
    if transaction_id is None:
        transaction_id = ""
        flaws.add(NO_NUMBER, f"transactionId is {json_values.short(payload.get('transactionId'))}")
    business_key = f"stop:{transaction_id}"
    if _own_transaction_id(call) is None:  # such stops share no id, and are several
        parts = (json_values.text(payload.get(key)) or "" for key in ("timestamp", "meterStop"))
        business_key = ":".join([business_key, *parts])
    at_ns = flaws.instant_ns(payload.get("timestamp"), now_ns=call.now_ns, absent_ns=call.now_ns)
    samples = measured.samples(payload.get("transactionData"), flaws, now_ns=call.now_ns)
    import_wh = flaws.register_wh("meterStop", payload.get("meterStop"))
    if import_wh is not None:
        samples = (*samples, ChargerSample(at_ns=at_ns, import_wh=import_wh))
    ended = TransactionEnded(
        call=call.call,
        business_key=business_key,
        frame=call.frame,
        charger_id=call.charger.charger_id,
        evse_id=None,
        transaction_id=transaction_id,
        at_ns=at_ns,
        reason=json_values.text(payload.get("reason")) or "Local",  # §6.45: absent means Local
        samples=samples,
        flaws=flaws.all,
    )
    return Reaction(events=(ended,))


HANDLERS: Mapping[str, Handler] = {
    "Authorize": authorize,
    "BootNotification": boot_notification,
    "DataTransfer": data_transfer,
    "DiagnosticsStatusNotification": acknowledged,
    "FirmwareStatusNotification": acknowledged,
    "Heartbeat": heartbeat,
    "LogStatusNotification": acknowledged,
    "MeterValues": meter_values,
    "SecurityEventNotification": acknowledged,
    "SignedFirmwareStatusNotification": acknowledged,
    "StartTransaction": start_transaction,
    "StatusNotification": status_notification,
    "StopTransaction": stop_transaction,
}
BILLING = frozenset({"StartTransaction", "StopTransaction", "MeterValues"})


def authorize_answer(_call: Incoming, answer: Answer) -> Payload:
    """Return Authorize.conf: the status alone."""
    assert isinstance(answer, AuthorizeAnswer)
    return {"idTagInfo": {"status": answer.status.value}}


def start_answer(call: Incoming, answer: Answer) -> Payload:
    """Return StartTransaction.conf; an acknowledged start fits no connector and gets an id and status Invalid."""
    if isinstance(answer, StartAnswer):
        return {"transactionId": int(answer.transaction_id), "idTagInfo": {"status": answer.status.value}}
    assert isinstance(answer, Acknowledge)
    return {
        "transactionId": call.station.fresh_transaction_id(),
        "idTagInfo": {"status": IdTokenStatus.INVALID.value},
    }


def stop_answer(call: Incoming, _answer: Answer) -> Payload:
    """Return StopTransaction.conf, with idTagInfo only where the charger sent an idTag."""
    return {"idTagInfo": {"status": "Accepted"}} if "idTag" in call.payload else {}


def meter_values_answer(_call: Incoming, _answer: Answer) -> Payload:
    """Return MeterValues.conf, an empty object (§6.32)."""
    return {}


ANSWERS: Mapping[str, AnswerTranslator] = {
    "Authorize": authorize_answer,
    "MeterValues": meter_values_answer,
    "StartTransaction": start_answer,
    "StopTransaction": stop_answer,
}


CONFIGURED = frozenset({"ChangeConfiguration", "SetChargingProfile", "TriggerMessage"})


def configuration(station: StationSettings, charger: ChargerSettings) -> tuple[tuple[Request, ...], ...]:
    """Return groups of alternatives, best first: each group is tried until one request is accepted."""

    def change(key: str, *values: str) -> tuple[Request, ...]:
        return tuple(
            Request(action="ChangeConfiguration", payload={"key": key, "value": value}) for value in values
        )

    return (
        *((_rest_by_default(number, charger),) for number in sorted(charger.evses)),
        change("MeterValuesSampledData", _MEASURANDS, _REGISTERS),
        change("StopTxnSampledData", _REGISTERS),
        change("MeterValueSampleInterval", str(station.sample_interval_s)),
        (Request(action="TriggerMessage", payload={"requestedMessage": "StatusNotification"}),),
    )


def _rest_by_default(number: int, charger: ChargerSettings) -> Request:
    """Return a TxDefaultProfile of 0: a transaction rests until its own profile arrives (§3.13.1)."""
    unit, limit = charging_profiles.limit(0, charger)
    schedule: Payload = {
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
    }
    profile: Payload = {
        "chargingProfileId": charging_profiles.profile_id(number, charging_profiles.DEFAULT_LEVEL),
        "stackLevel": charging_profiles.DEFAULT_LEVEL,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    }
    return Request(
        action="SetChargingProfile", payload={"connectorId": number, "csChargingProfiles": profile}
    )


def apply_setpoint(effect: ApplySetpoint, context: CommandContext) -> ProfileStep | SetpointRefusal:
    """Build SetChargingProfile: first the fallback where it is not installed yet, then the setpoint with its end."""
    charger, now_ns = context.charger, context.now_ns
    refused = charging_profiles.refusal(effect, charger, now_ns)
    if refused is not None or not effect.transaction_id.isdecimal():
        return refused or SetpointRefusal(reason="UnknownTransaction")
    fallback = charging_profiles.after_fallback(effect, context.installed)
    if fallback is not None:
        request = _profile(effect, charger, charging_profiles.FALLBACK_LEVEL, kind="Relative", timing={})
        return ProfileStep(request=request, installed=fallback, is_last=False)
    duration_s = charging_profiles.duration_s(effect, now_ns)
    start = timestamps.render(now_ns // timestamps.SECOND_NS * timestamps.SECOND_NS)
    # Absolute: a Relative schedule counts from the transaction's start and would have run out already.
    timing: Payload = {"startSchedule": start, "duration": duration_s}
    request = _profile(effect, charger, charging_profiles.ACTIVE_LEVEL, kind="Absolute", timing=timing)
    active = charging_profiles.after_active(effect, duration_s=duration_s, now_ns=now_ns)
    return ProfileStep(request=request, installed=active, is_last=True)


def start_remotely(effect: StartRemotely, context: CommandContext) -> Request | SetpointRefusal:
    """Build RemoteStartTransaction (§5.11), which carries no start id; refuse a token longer than an idTag."""
    if len(effect.id_token) > _ID_TAG_LENGTH_MAX:
        return SetpointRefusal(reason="TokenTooLong")
    number = charging_profiles.evse_number(context.charger, effect.evse_id)
    return Request(action="RemoteStartTransaction", payload={"connectorId": number, "idTag": effect.id_token})


def stop_remotely(effect: StopRemotely, _context: CommandContext) -> Request | SetpointRefusal:
    """Build RemoteStopTransaction; refuse an id that is no integer, as 1.6 requires."""
    if not effect.transaction_id.isdecimal():
        return SetpointRefusal(reason="UnknownTransaction")
    return Request(action="RemoteStopTransaction", payload={"transactionId": int(effect.transaction_id)})


COMMANDS: Commands = {
    ApplySetpoint: Outgoing[ApplySetpoint](actions=frozenset({"SetChargingProfile"}), build=apply_setpoint),
    StartRemotely: Outgoing[StartRemotely](
        actions=frozenset({"RemoteStartTransaction"}), build=start_remotely
    ),
    StopRemotely: Outgoing[StopRemotely](actions=frozenset({"RemoteStopTransaction"}), build=stop_remotely),
    AllowEnergyTransfer: UNSUPPORTED,
}


def _profile(
    effect: ApplySetpoint, charger: ChargerSettings, level: int, *, kind: str, timing: Payload
) -> Request:
    number = charging_profiles.evse_number(charger, effect.evse_id)
    power_w = effect.power_w if level == charging_profiles.ACTIVE_LEVEL else effect.fallback_w
    unit, limit = charging_profiles.limit(power_w, charger)
    period: Payload = {"startPeriod": 0, "limit": limit}
    if unit == "A":
        period["numberPhases"] = charger.phases
    profile: Payload = {
        "chargingProfileId": charging_profiles.profile_id(number, level),
        "transactionId": int(effect.transaction_id),
        "stackLevel": level,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": kind,
        "chargingSchedule": {**timing, "chargingRateUnit": unit, "chargingSchedulePeriod": [period]},
    }
    return Request(
        action="SetChargingProfile", payload={"connectorId": number, "csChargingProfiles": profile}
    )


def _unplaced(call: Incoming, business_key: str, flaws: Violations) -> TransactionUpdated:
    """Return the event of a start that fits no connector: kept as a frame, to be acknowledged."""
    return TransactionUpdated(
        call=call.call,
        business_key=business_key,
        frame=call.frame,
        evse_id=None,
        transaction_id=None,
        charging_state=None,
        id_token_hash=_id_token_hash(call),
        flaws=flaws.all,
    )


def _id_token_hash(call: Incoming) -> str | None:
    token = json_values.normal_token(call.payload.get("idTag"))
    return None if token is None else call.station.hash_token(token)


def _transaction_id(call: Incoming) -> str | None:
    value = call.payload.get("transactionId")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64:
        return str(value)  # also 2^63-1, seen in the field for "none"
    number = json_values.integer(value)
    return None if number is None else str(number)


def _own_transaction_id(call: Incoming) -> str | None:
    """Return an id that this station may have issued; None where a charger without one sends -1, 0 or 2^63-1."""
    transaction_id = _transaction_id(call)
    return None if transaction_id is None or not 0 < int(transaction_id) < 1 << 31 else transaction_id
