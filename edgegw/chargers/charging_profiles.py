"""Computes charging profiles: what 1.6, 2.0.1 and 2.1 share in turning a setpoint into limits with an end. Pure.

Decides profile ids, stack levels, the unit of a limit and the duration of a profile. The fallback has a lower stack level
than the active profile, never discharges and has no end, so that no car goes on selling when the gateway dies.
The lowest level is a default of 0 W for every transaction: no energy flows before its hold is open.
Source: OCPP 1.6 §3.13 (stack levels, TxProfile), §7.8; OCPP 2.1 Part 2, K01, Q11.
"""

from dataclasses import replace

from edgegw.chargers.call_types import Installed, SetpointRefusal
from edgegw.chargers.settings import ChargerSettings
from edgegw.chargers.timestamps import SECOND_NS
from edgegw.core.effects import ApplySetpoint

DEFAULT_LEVEL = 0
FALLBACK_LEVEL = 1
ACTIVE_LEVEL = 2

Limit = tuple[str, int | float]  # chargingRateUnit, value


def profile_id(evse_number: int, stack_level: int) -> int:
    """Return the id of an EVSE and level: a new profile replaces the old one (1.6 §5.16.2, K01.FR.05)."""
    return evse_number * 10 + stack_level


def evse_number(charger: ChargerSettings, evse_id: str) -> int:
    """Return the number that the charger gives an EVSE; raise KeyError where it is another charger's."""
    return {evse: number for number, evse in charger.evses.items()}[evse_id]


def duration_s(effect: ApplySetpoint, now_ns: int) -> int:
    """Return the whole seconds from now, rounded down as startSchedule is, until the setpoint's end at most."""
    return effect.ends_ns // SECOND_NS - now_ns // SECOND_NS


def limit(power_w: int, charger: ChargerSettings) -> Limit:
    """Return a limit in the charger's unit: watts, or amperes per phase in exact tenths, rounded towards zero.

    OCPP allows one fractional digit. Rounding towards zero exceeds the limit in neither direction.
    """
    if charger.dialect != "negative_limit_a":
        return "W", power_w
    tenths_a = abs(power_w) * 10 // (charger.voltage_v * charger.phases)
    return "A", (tenths_a if power_w >= 0 else -tenths_a) / 10


def after_fallback(effect: ApplySetpoint, installed: Installed | None) -> Installed | None:
    """Return what is installed once the fallback is accepted; None where it is installed already."""
    if installed is None or installed.transaction_id != effect.transaction_id:
        return Installed(transaction_id=effect.transaction_id, fallback_w=effect.fallback_w)
    if installed.fallback_w != effect.fallback_w:
        return replace(installed, fallback_w=effect.fallback_w)
    return None


def after_active(effect: ApplySetpoint, *, duration_s: int, now_ns: int) -> Installed:
    """Return what is installed once the active profile is accepted."""
    return Installed(
        transaction_id=effect.transaction_id,
        fallback_w=effect.fallback_w,
        duration_s=duration_s,
        updated_ns=now_ns,
    )


def refusal(effect: ApplySetpoint, charger: ChargerSettings, now_ns: int) -> SetpointRefusal | None:
    """Return why this setpoint cannot be sent to a 1.6 or 2.0.1 charger, or None."""
    if effect.power_w < 0 and charger.dialect == "none":
        return SetpointRefusal(reason="DischargeNotSupported")
    # The end has passed, and chargers take a duration of 0 for no end.
    return SetpointRefusal(reason="Expired") if duration_s(effect, now_ns) <= 0 else None
