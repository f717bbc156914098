"""Builds the CALLs to OCPP 2.0.1 and 2.1 chargers from effects of the core. Pure.

Decides which messages bring a setpoint into force. 2.0.1 takes a limit with an absolute end, like 1.6; 2.1 takes a
Dynamic profile whose duration is a dead man's switch, above a ChargingOnly fallback.
Source: OCPP 2.0.1 and 2.1 Part 2: B05, F01, F03, F06, J02, K01, K28 (with errata 2025-09), Q02, Q03, Q11.
"""

from edgegw.chargers import charging_profiles, timestamps
from edgegw.chargers.call_types import (
    UNSUPPORTED,
    CommandContext,
    Commands,
    Installed,
    Outgoing,
    Payload,
    ProfileStep,
    Request,
    SetpointRefusal,
)
from edgegw.chargers.ocpp2 import BOTH_WAYS_TRANSFER, ONE_WAY_TRANSFER
from edgegw.chargers.settings import ChargerSettings, StationSettings
from edgegw.chargers.timestamps import SECOND_NS
from edgegw.core.effects import AllowEnergyTransfer, ApplySetpoint, StartRemotely, StopRemotely

CONFIGURED = frozenset({"SetChargingProfile", "SetVariables", "TriggerMessage"})

_ID_TOKEN_LENGTH_MAX = 36  # of 2.0.1; 2.1 takes 255, but a token should fit both
_REGISTERS = "Energy.Active.Import.Register,Energy.Active.Export.Register"
_MEASURANDS = f"{_REGISTERS},Power.Active.Import,Power.Active.Export,SoC"

# An updated profile may end this much before the setpoint's end; else a new profile is sent.
_UPDATE_SLACK_NS = 2 * SECOND_NS


def configuration_201(station: StationSettings, charger: ChargerSettings) -> tuple[tuple[Request, ...], ...]:
    """Return groups of alternatives, best first: each group is tried until one request is accepted."""
    triggers = tuple((_trigger_status(number),) for number in sorted(charger.evses))
    rests = tuple((_rest_by_default(number),) for number in sorted(charger.evses))
    return (*rests, _sampled_values("SampledDataCtrlr", station), *triggers)


def _rest_by_default(number: int) -> Request:
    """Return a TxDefaultProfile of 0 W: a transaction rests until its own profile arrives (K01)."""
    profile_id = charging_profiles.profile_id(number, charging_profiles.DEFAULT_LEVEL)
    schedule: Payload = {
        "id": profile_id,
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0}],
    }
    profile: Payload = {
        "id": profile_id,
        "stackLevel": charging_profiles.DEFAULT_LEVEL,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [schedule],
    }
    return Request(action="SetChargingProfile", payload={"evseId": number, "chargingProfile": profile})


def configuration_21(station: StationSettings, charger: ChargerSettings) -> tuple[tuple[Request, ...], ...]:
    """Return those of 2.0.1 and the measurands per EVSE and operation mode of 2.1 (V2XChargingCtrlr)."""
    by_mode = tuple(
        _sampled_values("V2XChargingCtrlr", station, evse_number=number) for number in sorted(charger.evses)
    )
    return (*configuration_201(station, charger), *by_mode)


def apply_limit(effect: ApplySetpoint, context: CommandContext) -> ProfileStep | SetpointRefusal:
    """Build the 2.0.1 setpoint: first the fallback where it is not installed, then an Absolute schedule.

    Whether a negative limit discharges is the charger's dialect.
    """
    charger, now_ns = context.charger, context.now_ns
    refused = charging_profiles.refusal(effect, charger, now_ns)
    if refused is not None:
        return refused
    fallback = charging_profiles.after_fallback(effect, context.installed)
    if fallback is not None:
        request = _limit_profile(
            effect, charger, charging_profiles.FALLBACK_LEVEL, kind="Relative", timing={}
        )
        return ProfileStep(request=request, installed=fallback, is_last=False)
    duration_s = charging_profiles.duration_s(effect, now_ns)
    start = timestamps.render(now_ns // SECOND_NS * SECOND_NS)
    # Absolute: a Relative schedule counts from the transaction's start and would have run out already.
    timing: Payload = {"startSchedule": start, "duration": duration_s}
    request = _limit_profile(effect, charger, charging_profiles.ACTIVE_LEVEL, kind="Absolute", timing=timing)
    active = charging_profiles.after_active(effect, duration_s=duration_s, now_ns=now_ns)
    return ProfileStep(request=request, installed=active, is_last=True)


def apply_setpoint(effect: ApplySetpoint, context: CommandContext) -> ProfileStep | SetpointRefusal:
    """Build the 2.1 setpoint (Q03.FR.02), for charging and discharging alike.

    Updates the installed profile where its restarted duration fits the setpoint's end, else sends a new one.
    """
    installed, now_ns = context.installed, context.now_ns
    number = charging_profiles.evse_number(context.charger, effect.evse_id)
    # Rounded down: the charger counts from the receipt of the profile.
    duration_s = (effect.ends_ns - now_ns) // SECOND_NS
    if duration_s <= 0:
        return SetpointRefusal(reason="Expired")
    fallback = charging_profiles.after_fallback(effect, installed)
    if fallback is not None:
        return ProfileStep(request=_charging_only(effect, number), installed=fallback, is_last=False)
    assert installed is not None
    if _update_fits(effect, installed, now_ns):
        assert installed.duration_s is not None
        duration_s = installed.duration_s
        profile_id = charging_profiles.profile_id(number, charging_profiles.ACTIVE_LEVEL)
        update: Payload = {"chargingProfileId": profile_id, "scheduleUpdate": {"setpoint": effect.power_w}}
        request = Request(action="UpdateDynamicSchedule", payload=update)
    else:
        period: Payload = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": effect.power_w}
        schedule: Payload = {
            "duration": duration_s,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [period],
        }
        request = _profile(effect, number, charging_profiles.ACTIVE_LEVEL, kind="Dynamic", schedule=schedule)
    active = charging_profiles.after_active(effect, duration_s=duration_s, now_ns=now_ns)
    return ProfileStep(request=request, installed=active, is_last=True)


def start_remotely(effect: StartRemotely, context: CommandContext) -> Request | SetpointRefusal:
    """Build RequestStartTransaction (F01); refuse a token longer than an idToken.

    Type Central (C05): the token is not from a card at the charger, which need not send Authorize for it.
    """
    if len(effect.id_token) > _ID_TOKEN_LENGTH_MAX:
        return SetpointRefusal(reason="TokenTooLong")
    payload: Payload = {
        "evseId": charging_profiles.evse_number(context.charger, effect.evse_id),
        "idToken": {"idToken": effect.id_token, "type": "Central"},
        "remoteStartId": effect.remote_start_id,
    }
    return Request(action="RequestStartTransaction", payload=payload)


def stop_remotely(effect: StopRemotely, _context: CommandContext) -> Request:
    """Build RequestStopTransaction (F03)."""
    return Request(action="RequestStopTransaction", payload={"transactionId": effect.transaction_id})


def allow_energy_transfer(effect: AllowEnergyTransfer, _context: CommandContext) -> Request:
    """Build NotifyAllowedEnergyTransfer, which makes the EV renegotiate its service (Q02.FR.05)."""
    modes = BOTH_WAYS_TRANSFER if effect.bidirectional else ONE_WAY_TRANSFER
    payload: Payload = {"transactionId": effect.transaction_id, "allowedEnergyTransfer": list(modes)}
    return Request(action="NotifyAllowedEnergyTransfer", payload=payload)


COMMANDS_201: Commands = {
    ApplySetpoint: Outgoing[ApplySetpoint](actions=frozenset({"SetChargingProfile"}), build=apply_limit),
    StartRemotely: Outgoing[StartRemotely](
        actions=frozenset({"RequestStartTransaction"}), build=start_remotely
    ),
    StopRemotely: Outgoing[StopRemotely](actions=frozenset({"RequestStopTransaction"}), build=stop_remotely),
    AllowEnergyTransfer: UNSUPPORTED,
}
COMMANDS_21: Commands = {
    **COMMANDS_201,
    ApplySetpoint: Outgoing[ApplySetpoint](
        actions=frozenset({"SetChargingProfile", "UpdateDynamicSchedule"}), build=apply_setpoint
    ),
    AllowEnergyTransfer: Outgoing[AllowEnergyTransfer](
        actions=frozenset({"NotifyAllowedEnergyTransfer"}), build=allow_energy_transfer
    ),
}


def _update_fits(effect: ApplySetpoint, installed: Installed, now_ns: int) -> bool:
    """Return whether an update ends in time: each one restarts the duration (K28, errata 2025-09), so it ends at now + it."""
    if installed.duration_s is None or now_ns >= installed.updated_ns + installed.duration_s * SECOND_NS:
        return False  # no live profile to update
    early_ns = effect.ends_ns - (now_ns + installed.duration_s * SECOND_NS)
    return 0 <= early_ns <= _UPDATE_SLACK_NS


def _charging_only(effect: ApplySetpoint, number: int) -> Request:
    """Return the fallback: without a valid profile a charger charges without limit (Q11)."""
    period: Payload = {"startPeriod": 0, "operationMode": "ChargingOnly", "limit": effect.fallback_w}
    schedule: Payload = {"chargingRateUnit": "W", "chargingSchedulePeriod": [period]}
    return _profile(effect, number, charging_profiles.FALLBACK_LEVEL, kind="Relative", schedule=schedule)


def _limit_profile(
    effect: ApplySetpoint, charger: ChargerSettings, level: int, *, kind: str, timing: Payload
) -> Request:
    power_w = effect.power_w if level == charging_profiles.ACTIVE_LEVEL else effect.fallback_w
    unit, limit = charging_profiles.limit(power_w, charger)
    period: Payload = {"startPeriod": 0, "limit": limit}
    if unit == "A":
        period["numberPhases"] = charger.phases
    schedule: Payload = {**timing, "chargingRateUnit": unit, "chargingSchedulePeriod": [period]}
    return _profile(
        effect, charging_profiles.evse_number(charger, effect.evse_id), level, kind=kind, schedule=schedule
    )


def _profile(effect: ApplySetpoint, number: int, level: int, *, kind: str, schedule: Payload) -> Request:
    profile_id = charging_profiles.profile_id(number, level)
    profile: Payload = {
        "id": profile_id,
        "stackLevel": level,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": kind,
        "transactionId": effect.transaction_id,
        "chargingSchedule": [{"id": profile_id, **schedule}],
    }
    return Request(action="SetChargingProfile", payload={"evseId": number, "chargingProfile": profile})


def _sampled_values(
    component: str, station: StationSettings, *, evse_number: int | None = None
) -> tuple[Request, ...]:
    """Return SetVariables with all measurands, and one with the registers alone for chargers that support no more."""
    where: Payload = {"name": component}
    instance: Payload = {}
    if evse_number is not None:
        where["evse"] = {"id": evse_number}
        instance["instance"] = "CentralSetpoint"

    def variables(measurands: str) -> Request:
        values = {
            "TxStartedMeasurands": _REGISTERS,
            "TxUpdatedMeasurands": measurands,
            "TxEndedMeasurands": _REGISTERS,
            "TxUpdatedInterval": str(station.sample_interval_s),
        }
        entries = [
            {"attributeValue": value, "component": where, "variable": {"name": name, **instance}}
            for name, value in values.items()
        ]
        return Request(action="SetVariables", payload={"setVariableData": entries})

    return (variables(_MEASURANDS), variables(_REGISTERS))


def _trigger_status(evse_number: int) -> Request:
    """Return TriggerMessage for the status of a connector (F06.FR.12)."""
    evse = {"id": evse_number, "connectorId": 1}
    return Request(action="TriggerMessage", payload={"requestedMessage": "StatusNotification", "evse": evse})
