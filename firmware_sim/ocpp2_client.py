"""Implement OCPP 2.0.1 and 2.1 for the simulated charger.

Builds 2.x messages; `ocpp2_calls` answers the server's calls. 2.0.1 discharges by a negative limit (vendor practice),
2.1 by CentralSetpoint, and only where bidirectional transfer is allowed (2.1 Q01, Q02).
Source: OCPP 2.0.1 edition 3 and 2.1 edition 1, through the `ocpp` package. The package does not support 2.1's
per-phase fields; none is used.
"""

from __future__ import annotations

from typing import Any

from ocpp import v21, v201
from ocpp.v21 import call as call21
from ocpp.v201 import call as call201
from websockets.asyncio.client import ClientConnection

from firmware_sim.charger import Charger
from firmware_sim.ocpp2_calls import Calls2
from firmware_sim.ocpp_client import OcppClient
from firmware_sim.point import Handler
from firmware_sim.visit import Reading, TxEvent, Visit
from firmware_sim.world import iso

NEEDS_21 = {"AC": ("AC_three_phase", "AC_BPT"), "DC": ("DC", "DC_BPT")}
EVSE = {"id": 1, "connector_id": 1}
STOP_REASONS = {"Reset": "ImmediateReset"}
TRIGGERS = {
    "EVDisconnected": "EVDeparted",
    "DeAuthorized": "Deauthorized",
    "Remote": "RemoteStop",
    "Reset": "ResetCommand",
}
VOLTS = 400


def meter_value(reading: Reading, context: str, measurands: set[str]) -> dict[str, Any]:
    """Return a 2.x meterValue with the given measurands; values are numbers."""
    values = (
        ("Energy.Active.Import.Register", reading.import_wh, "Wh", "Outlet"),
        ("Energy.Active.Export.Register", reading.export_wh, "Wh", "Outlet"),
        ("Power.Active.Import", max(0, reading.power_w), "W", "Outlet"),
        ("Power.Active.Export", max(0, -reading.power_w), "W", "Outlet"),
        ("SoC", reading.soc_percent, "Percent", "EV"),
    )
    sampled = [
        {
            "value": value,
            "context": context,
            "measurand": name,
            "location": location,
            "unit_of_measure": {"unit": unit},
        }
        for name, value, unit, location in values
        if name in measurands
    ]
    return {"timestamp": iso(reading.at_ns), "sampled_value": sampled}


class Dialect2:
    """Builds 2.0.1 or 2.1 messages and interprets their answers."""

    def __init__(self, charger: Charger) -> None:
        self._charger = charger
        self._newer = charger.plan.ocpp == "2.1"
        self._call: Any = call21 if self._newer else call201
        self.subprotocol = f"ocpp{charger.plan.ocpp}"
        self.settings: dict[tuple[str, str], str] = {}

    def point(self, connection: ClientConnection, client: OcppClient) -> Point201 | Point21:
        """Return a charge point that answers the server's calls on a connection."""
        kind = Point21 if self._newer else Point201
        return kind(connection, self._charger, client=client, settings=self.settings)

    def boot(self, reason: str) -> Any:
        """Return a BootNotification."""
        station = {
            "vendor_name": "FirmwareSim",
            "model": "BiDi-11",
            "serial_number": self._charger.plan.charger_id[:25],
            "firmware_version": "2.0.0",
        }
        return self._call.BootNotification(charging_station=station, reason=reason)

    def heartbeat(self) -> Any:
        """Return a Heartbeat."""
        return self._call.Heartbeat()

    def status(self, status: str, at_ns: int) -> Any:
        """Return a StatusNotification; 2.x only distinguishes Available and Occupied."""
        return self._call.StatusNotification(
            timestamp=iso(at_ns),
            connector_status="Available" if status == "Available" else "Occupied",
            evse_id=1,
            connector_id=1,
        )

    def authorize(self, id_token: str) -> Any:
        """Return an Authorize request."""
        return self._call.Authorize(id_token={"id_token": id_token, "type": "ISO14443"})

    def authorized(self, answer: Any) -> str:
        """Return the idToken's status from the answer to an Authorize; apply 2.1's allowed energy transfer."""
        if answer is None:
            return "NO_ANSWER"
        modes = getattr(answer, "allowed_energy_transfer", None)
        if modes is not None and self._newer:
            self._charger.allow_transfer(modes)
        return str(answer.id_token_info["status"])

    def needs(self, visit: Visit, soc_percent: int) -> Any:
        """Return a NotifyEVChargingNeeds: battery, state of charge and, in 2.1, the V2X parameters."""
        car, transfer = visit.plan.car, self._charger.plan.transfer
        sells = self._newer and car.max_discharge_w is not None
        needs: dict[str, Any] = {
            "requested_energy_transfer": NEEDS_21[transfer][sells],
            "departure_time": iso(visit.plan.departure_ns),
            "dc_charging_parameters": {
                "ev_max_current": car.max_charge_w // VOLTS,
                "ev_max_voltage": VOLTS,
                "ev_max_power": car.max_charge_w,
                "energy_amount": visit.plan.wanted_wh,
                "ev_energy_capacity": car.capacity_wh,
                "state_of_charge": soc_percent,
            },
        }
        if sells:
            needs |= self._v2x(visit, soc_percent)
        return self._call.NotifyEVChargingNeeds(
            evse_id=1,
            charging_needs=needs,
            **({"timestamp": iso(self._charger.clock.now_ns())} if self._newer else {}),
        )

    def _v2x(self, visit: Visit, soc_percent: int) -> dict[str, Any]:
        """Return 2.1's fields for a car that can discharge; energies are of the battery, in Wh."""
        car = visit.plan.car
        floor_wh = car.capacity_wh * car.min_soc_ppm // 1_000_000
        stored_wh = car.capacity_wh * soc_percent // 100
        return {
            "available_energy_transfer": list(NEEDS_21[self._charger.plan.transfer]),
            "control_mode": "DynamicControl",
            "mobility_needs_mode": "EVCC",
            "v2x_charging_parameters": {
                "max_charge_power": car.max_charge_w,
                "max_discharge_power": car.max_discharge_w,
                "ev_target_energy_request": visit.plan.wanted_wh,
                "ev_max_energy_request": car.capacity_wh - stored_wh,
                "ev_min_v2x_energy_request": floor_wh - stored_wh,
            },
        }

    def transaction(self, event: TxEvent) -> Any:
        """Return a TransactionEvent."""
        tx = event.tx
        about: dict[str, Any] = {"transaction_id": tx.tx_id, "charging_state": event.state}
        trigger, kind = event.trigger, "periodic"
        if self._newer:
            about["operation_mode"] = "CentralSetpoint" if event.central else "ChargingOnly"
        elif trigger in {"TxResumed", "OperationModeChanged"}:
            trigger = "ChargingStateChanged"
        more: dict[str, Any] = {}
        if event.kind == "started":
            kind = "begin"
            more = {"evse": EVSE, "id_token": {"id_token": tx.id_token, "type": "ISO14443"}}
            if tx.remote_start_id is not None:
                about["remote_start_id"] = tx.remote_start_id
        elif event.kind == "ended":
            kind = "end"
            reason = tx.stop_reason or "Other"
            about["stopped_reason"] = STOP_REASONS.get(reason, reason)
            trigger = TRIGGERS.get(trigger, "AbnormalCondition")
        return self._call.TransactionEvent(
            event_type=event.kind.capitalize(),
            timestamp=iso(event.reading.at_ns),
            trigger_reason=trigger,
            seq_no=event.seq_no,
            transaction_info=about,
            meter_value=[meter_value(event.reading, event.context, self._charger.measurands[kind])],
            offline=event.offline,
            **more,
        )

    def verdict(self, event: TxEvent, answer: Any) -> str | None:  # noqa: ARG002 - the protocol's signature
        """Return the idToken's status; None if the answer has none."""
        return None if answer.id_token_info is None else str(answer.id_token_info["status"])


class Point201(Calls2, v201.ChargePoint):  # type: ignore[misc]  # the package is untyped
    """Answers the server's 2.0.1 calls."""

    results = v201.call_result


class Point21(Calls2, v21.ChargePoint):  # type: ignore[misc]  # the package is untyped
    """Answers the server's 2.1 calls."""

    results = v21.call_result

    def handlers(self) -> dict[str, Handler]:
        """Return the table of what 2.1 has."""
        return {**super().handlers(), **self.handlers21()}
