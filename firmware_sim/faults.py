"""Inject a scenario's faults at their times.

Decides when each fault begins and ends; its effect is implemented by the charger, the connection or the meter.
All times are simulated. A fault that needs a meter does nothing at an EVSE without one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from firmware_sim.evse_rig import EvseRig
from firmware_sim.plans import FaultPlan
from firmware_sim.world import NS_PER_S, Clock

Injector = Callable[[EvseRig, Clock, int], Awaitable[None]]


async def inject(fault: FaultPlan, rig: EvseRig, clock: Clock) -> None:
    """Wait until the fault's time and inject it into its EVSE."""
    await clock.sleep_until(fault.at_ns)
    await INJECTORS[fault.kind](rig, clock, fault.at_ns + fault.duration_s * NS_PER_S)


async def _socket_drop(rig: EvseRig, clock: Clock, end_ns: int) -> None:  # noqa: ARG001 - one signature for all
    """Lose the OCPP connection until the end."""
    rig.client.drop(end_ns)


async def _charger_reboot(rig: EvseRig, clock: Clock, end_ns: int) -> None:
    """Lose the charger's power until the end; it keeps its transaction, boots and resumes it."""
    rig.charger.power_off()
    rig.client.reboot(end_ns, "PowerUp")
    await clock.sleep_until(end_ns)
    rig.charger.power_on()


async def _duplicate_messages(rig: EvseRig, clock: Clock, end_ns: int) -> None:
    """Send every transaction message twice until the end."""
    rig.client.duplicating = True
    await clock.sleep_until(end_ns)
    rig.client.duplicating = False


async def _late_messages(rig: EvseRig, clock: Clock, end_ns: int) -> None:
    """Hold transaction messages back until the end."""
    rig.client.hold(holding=True)
    await clock.sleep_until(end_ns)
    rig.client.hold(holding=False)


async def _silent_meter(rig: EvseRig, clock: Clock, end_ns: int) -> None:
    """Let the meter answer no request until the end."""
    if rig.meter is not None:
        rig.meter.faults.silent = True
        await clock.sleep_until(end_ns)
        rig.meter.faults.silent = False


async def _counter_reset(rig: EvseRig, clock: Clock, end_ns: int) -> None:  # noqa: ARG001 - one signature for all
    """Restart the meter's registers at zero; the books record the true registers at that time."""
    if rig.meter is not None:
        rig.note_reset(clock.now_ns())
        rig.meter.reset_counters()


INJECTORS: dict[str, Injector] = {
    "socket_drop": _socket_drop,
    "charger_reboot": _charger_reboot,
    "duplicate_messages": _duplicate_messages,
    "late_messages": _late_messages,
    "silent_meter": _silent_meter,
    "counter_reset": _counter_reset,
}
