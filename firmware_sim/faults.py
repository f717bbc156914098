"""What goes wrong, and when.

Decides only the moment and the end of each fault; what it means is the charger's, the connection's or the meter's.
All times are simulated. A fault that needs a meter does nothing at an EVSE without one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from firmware_sim.evse_rig import EvseRig
from firmware_sim.plans import FaultPlan
from firmware_sim.world import NS_PER_S, Clock

Strike = Callable[[EvseRig, Clock, int], Awaitable[None]]


async def happen(fault: FaultPlan, post: EvseRig, clock: Clock) -> None:
    """Wait for a fault's moment and let it happen to its EVSE."""
    await clock.sleep_until(fault.at_ns)
    await STRIKES[fault.kind](post, clock, fault.at_ns + fault.duration_s * NS_PER_S)


async def _socket_drop(post: EvseRig, clock: Clock, end_ns: int) -> None:  # noqa: ARG001 - one signature for all
    """The connection is gone until the end."""
    post.client.drop(end_ns)


async def _charger_reboot(post: EvseRig, clock: Clock, end_ns: int) -> None:
    """The charger loses its power until the end, keeps its transaction, boots and goes on."""
    post.charger.power_off()
    post.client.reboot(end_ns, "PowerUp")
    await clock.sleep_until(end_ns)
    post.charger.power_on()


async def _duplicate_messages(post: EvseRig, clock: Clock, end_ns: int) -> None:
    """Every transaction message is sent twice until the end."""
    post.client.duplicating = True
    await clock.sleep_until(end_ns)
    post.client.duplicating = False


async def _late_messages(post: EvseRig, clock: Clock, end_ns: int) -> None:
    """Transaction messages leave only after the end."""
    post.client.hold(holding=True)
    await clock.sleep_until(end_ns)
    post.client.hold(holding=False)


async def _silent_meter(post: EvseRig, clock: Clock, end_ns: int) -> None:
    """The meter answers nothing until the end."""
    if post.meter is not None:
        post.meter.faults.silent = True
        await clock.sleep_until(end_ns)
        post.meter.faults.silent = False


async def _counter_reset(post: EvseRig, clock: Clock, end_ns: int) -> None:  # noqa: ARG001 - one signature for all
    """The meter's counters restart at zero; the books keep the true registers of that moment."""
    if post.meter is not None:
        post.note_reset(clock.now_ns())
        post.meter.reset_counters()


STRIKES: dict[str, Strike] = {
    "socket_drop": _socket_drop,
    "charger_reboot": _charger_reboot,
    "duplicate_messages": _duplicate_messages,
    "late_messages": _late_messages,
    "silent_meter": _silent_meter,
    "counter_reset": _counter_reset,
}
