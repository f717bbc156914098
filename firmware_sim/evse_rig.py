"""Assemble the simulated parts of one EVSE: plant, charger, OCPP connection, meter and visits.

Decides nothing about energy or messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from firmware_sim.charger import Charger
from firmware_sim.modbus_server import ServedMeter, serve_meter
from firmware_sim.ocpp2_client import Dialect2
from firmware_sim.ocpp16_client import Dialect16
from firmware_sim.ocpp_client import OcppClient
from firmware_sim.plans import EvsePlan, Scenario
from firmware_sim.plant import Mark, Plant
from firmware_sim.visit import Visit
from firmware_sim.world import Clock, stream

FIRST_SERIAL = 10_000_001


@dataclass(slots=True, eq=False)
class EvseRig:
    """One EVSE's parts. `meter` is None until it is served; `resets` are the true registers at counter resets."""

    plan: EvsePlan
    plant: Plant
    charger: Charger
    client: OcppClient
    visits: list[Visit]
    meter: ServedMeter | None = None
    resets: list[Mark] = field(default_factory=list)

    async def serve_meter(self, clock: Clock, number: int) -> None:
        """Serve the meter over Modbus TCP if the plan names a profile; `number` makes its serial number unique."""
        if self.plan.meter_profile:
            self.meter = await serve_meter(
                Path(self.plan.meter_profile),
                lambda: self.plant.registers(clock.now_ns()),
                unit_id=self.plan.unit_id,
                host=self.plan.meter_host,
                port=self.plan.meter_port,
                serial=str(FIRST_SERIAL + number),
            )

    def note_reset(self, now_ns: int) -> None:
        """Record the true registers at a counter reset."""
        import_mwh, export_mwh, _ = self.plant.registers(now_ns)
        self.resets.append(Mark(now_ns, import_mwh, export_mwh))


def build_rig(plan: EvsePlan, scenario: Scenario, clock: Clock) -> EvseRig:
    """Return an EVSE's rig in its state at the clock's origin."""
    visits = [Visit(visit) for visit in scenario.visits if visit.evse == plan.evse]
    for visit in visits:
        if visit.plan.refusal is not None:
            visit.outcome = f"refused:{visit.plan.refusal}"
    plant = Plant(
        at_ns=clock.utc_origin_ns,
        rated_w=plan.rated_w,
        standby_w=plan.standby_w,
        start_import_mwh=plan.import_register_mwh,
        start_export_mwh=plan.export_register_mwh,
    )
    chance = stream(scenario.seed, f"transactions/{plan.evse}")
    charger = Charger(plan, plant, clock=clock, visits=visits, chance=chance)
    client = OcppClient(
        charger,
        Dialect16(charger) if plan.ocpp == "1.6" else Dialect2(charger),
        clock=clock,
        url=scenario.csms,
        ca_file=scenario.ca_file,
        answer_timeout_s=scenario.answer_timeout_s,
        chance=stream(scenario.seed, f"connection/{plan.evse}"),
    )
    charger.link = client
    return EvseRig(plan, plant, charger, client, visits)
