"""Implement OCPP 1.6 for the simulated charger.

Builds 1.6 messages and answers the server's calls. Discharge is requested by a negative limit, as vendors do it.
Source: OCPP 1.6 edition 2, through the `ocpp` package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocpp.v16 import ChargePoint, call, call_result
from websockets.asyncio.client import ClientConnection

from firmware_sim.charger import MEASURANDS, Charger
from firmware_sim.ocpp_client import OcppClient
from firmware_sim.point import Handler, PointMixin
from firmware_sim.profiles import ProfileRefused, read_profile
from firmware_sim.visit import Reading, TxEvent, Visit
from firmware_sim.world import iso

STOP_REASONS = {"Reset": "HardReset"}
MEASURAND_KEYS = {"MeterValuesSampledData": ("begin", "periodic"), "StopTxnSampledData": ("end",)}
READ_ONLY = {
    "NumberOfConnectors": "1",
    "ChargeProfileMaxStackLevel": "100",
    "ChargingScheduleAllowedChargingRateUnit": "Power,Current",
    "ChargingScheduleMaxPeriods": "100",
    "MaxChargingProfilesInstalled": "100",
    "SupportedFeatureProfiles": "Core,SmartCharging,RemoteTrigger",
}
WRITABLE = {
    "AuthorizeRemoteTxRequests": "false",
    "ClockAlignedDataInterval": "0",
    "ConnectionTimeOut": "60",
    "StopTransactionOnEVSideDisconnect": "true",
    "StopTransactionOnInvalidId": "true",
    "TransactionMessageAttempts": "3",
    "TransactionMessageRetryInterval": "5",
    "WebSocketPingInterval": "0",
}


def meter_value(reading: Reading, context: str, measurands: set[str]) -> dict[str, Any]:
    """Return a 1.6 MeterValue with the given measurands; values are strings."""
    values = {
        "Energy.Active.Import.Register": (reading.import_wh, "Wh", "Outlet"),
        "Energy.Active.Export.Register": (reading.export_wh, "Wh", "Outlet"),
        "Power.Active.Import": (max(0, reading.power_w), "W", "Outlet"),
        "Power.Active.Export": (max(0, -reading.power_w), "W", "Outlet"),
        "SoC": (reading.soc_percent, "Percent", "EV"),
    }
    sampled = [
        {"value": str(value), "context": context, "measurand": name, "unit": unit, "location": location}
        for name, (value, unit, location) in values.items()
        if name in measurands
    ]
    return {"timestamp": iso(reading.at_ns), "sampled_value": sampled}


class Dialect16:
    """Builds 1.6 messages and interprets their answers."""

    subprotocol = "ocpp1.6"

    def __init__(self, charger: Charger) -> None:
        self._charger = charger
        self.settings = dict(WRITABLE)

    def point(self, connection: ClientConnection, client: OcppClient) -> Point16:
        """Return a charge point that answers the server's calls on a connection."""
        return Point16(connection, self._charger, client=client, settings=self.settings)

    def boot(self, reason: str) -> Any:  # noqa: ARG002 - 1.6 has no field for the reason
        """Return a BootNotification."""
        plan = self._charger.plan
        return call.BootNotification(
            charge_point_model="BiDi-11",
            charge_point_vendor="FirmwareSim",
            charge_point_serial_number=plan.charger_id[:25],
            firmware_version="1.6.0",
        )

    def heartbeat(self) -> Any:
        """Return a Heartbeat."""
        return call.Heartbeat()

    def status(self, status: str, at_ns: int) -> Any:
        """Return a StatusNotification."""
        return call.StatusNotification(
            connector_id=1, error_code="NoError", status=status, timestamp=iso(at_ns)
        )

    def authorize(self, id_token: str) -> Any:
        """Return an Authorize request."""
        return call.Authorize(id_tag=id_token)

    def authorized(self, answer: Any) -> str:
        """Return the idTag's status from the answer to an Authorize."""
        return "NO_ANSWER" if answer is None else str(answer.id_tag_info["status"])

    def needs(self, visit: Visit, soc_percent: int) -> Any:  # noqa: ARG002 - the protocol's signature
        """Return None: 1.6 has no message for a car's needs."""
        return None

    def transaction(self, event: TxEvent) -> Any:
        """Return StartTransaction, MeterValues or StopTransaction; None for the last two without a transaction id."""
        tx, reading = event.tx, event.reading
        if event.kind == "started":
            return call.StartTransaction(
                connector_id=1,
                id_tag=tx.id_token,
                meter_start=reading.import_wh,
                timestamp=iso(reading.at_ns),
            )
        if tx.number is None:
            return None
        if event.kind == "updated":
            kind = "begin" if event.context == "Transaction.Begin" else "periodic"
            value = meter_value(reading, event.context, self._charger.measurands[kind])
            return call.MeterValues(connector_id=1, meter_value=[value], transaction_id=tx.number)
        wanted = self._charger.measurands["end"]
        begin = [meter_value(tx.begin, "Transaction.Begin", wanted)] if tx.begin else []
        reason = tx.stop_reason or "Other"
        return call.StopTransaction(
            meter_stop=reading.import_wh,
            timestamp=iso(reading.at_ns),
            transaction_id=tx.number,
            reason=STOP_REASONS.get(reason, reason),
            id_tag=tx.id_token,
            transaction_data=[*begin, meter_value(reading, "Transaction.End", wanted)],
        )

    def verdict(self, event: TxEvent, answer: Any) -> str | None:
        """Return the idTag's status, and store the transaction id of a StartTransaction's answer."""
        if event.kind == "updated":
            return None
        if event.kind == "started":
            event.tx.number = int(answer.transaction_id)
        status = (answer.id_tag_info or {}).get("status")
        return None if status is None else str(status)


class Point16(PointMixin, ChargePoint):  # type: ignore[misc]  # the package is untyped
    """Answers the server's 1.6 calls."""

    def __init__(
        self, connection: ClientConnection, charger: Charger, *, client: OcppClient, settings: dict[str, str]
    ) -> None:
        super().__init__(charger.plan.charger_id, connection)
        self._charger = charger
        self._client = client
        self._settings = settings
        self.install(self.handlers())

    def handlers(self) -> dict[str, Handler]:
        """Return the table of the calls that are answered."""
        return {
            "ChangeConfiguration": self._change_configuration,
            "GetConfiguration": self._get_configuration,
            "SetChargingProfile": self._set_profile,
            "ClearChargingProfile": self._clear_profile,
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "TriggerMessage": self._trigger,
            "Reset": self._reset,
            "ClearCache": lambda: call_result.ClearCache(status="Accepted"),
            "ChangeAvailability": lambda **_: call_result.ChangeAvailability(status="Rejected"),
            "UnlockConnector": lambda **_: call_result.UnlockConnector(status="NotSupported"),
            "DataTransfer": lambda **_: call_result.DataTransfer(status="UnknownVendorId"),
        }

    def _change_configuration(self, key: str, value: str) -> Any:
        return call_result.ChangeConfiguration(status=self._change(key, value))

    def _change(self, key: str, value: str) -> str:
        if key in MEASURAND_KEYS:
            names = {name.strip() for name in value.split(",") if name.strip()}
            if not names <= set(MEASURANDS):
                return "Rejected"
            for kind in MEASURAND_KEYS[key]:
                self._charger.measurands[kind] = names
            return "Accepted"
        if key in {"MeterValueSampleInterval", "HeartbeatInterval"}:
            if not value.isdecimal():
                return "Rejected"
            if key == "HeartbeatInterval":
                self._client.heartbeat_s = int(value)
            else:
                self._charger.set_sample_interval(int(value))
            return "Accepted"
        if key in self._settings:
            self._settings[key] = value
            return "Accepted"
        return "Rejected" if key in READ_ONLY else "NotSupported"

    def _get_configuration(self, key: list[str] | None = None) -> Any:
        values: dict[str, str] = {
            **READ_ONLY,
            **self._settings,
            "HeartbeatInterval": str(self._client.heartbeat_s),
            "MeterValueSampleInterval": str(self._charger.sample_interval_s),
            **{
                name: ",".join(sorted(self._charger.measurands[kinds[-1]]))
                for name, kinds in MEASURAND_KEYS.items()
            },
        }
        asked = key or sorted(values)
        found = [
            {"key": name, "readonly": name in READ_ONLY, "value": values[name]}
            for name in asked
            if name in values
        ]
        unknown = [name for name in asked if name not in values]
        return call_result.GetConfiguration(configuration_key=found, unknown_key=unknown or None)

    def _set_profile(self, connector_id: int, cs_charging_profiles: Mapping[str, Any]) -> Any:
        try:
            if connector_id not in {0, 1}:
                raise ProfileRefused("UnknownConnector")
            tx_id = cs_charging_profiles.get("transaction_id")
            self._charger.set_profile(self._read(cs_charging_profiles), None if tx_id is None else str(tx_id))
        except ProfileRefused:
            return call_result.SetChargingProfile(status="Rejected")
        return call_result.SetChargingProfile(status="Accepted")

    def _read(self, table: Mapping[str, Any]) -> Any:
        return read_profile(table, now_ns=self._charger.clock.now_ns(), dialect=self._charger.plan.dialect)

    def _clear_profile(
        self,
        *,
        id: int | None = None,  # noqa: A002 - the message's own word
        connector_id: int | None = None,  # noqa: ARG002 - one connector
        charging_profile_purpose: str | None = None,
        stack_level: int | None = None,
    ) -> Any:
        found = self._charger.clear_profiles(
            profile_id=id, purpose=charging_profile_purpose, level=stack_level
        )
        return call_result.ClearChargingProfile(status="Accepted" if found else "Unknown")

    def _remote_start(self, id_tag: str, charging_profile: Mapping[str, Any] | None = None, **_: Any) -> Any:
        try:
            profile = None if charging_profile is None else self._read(charging_profile)
            tx = self._charger.request_start(id_tag, profile=profile)
        except ProfileRefused:
            tx = None
        return call_result.RemoteStartTransaction(status="Rejected" if tx is None else "Accepted")

    def _remote_stop(self, transaction_id: int) -> Any:
        done = self._charger.request_stop(str(transaction_id))
        return call_result.RemoteStopTransaction(status="Accepted" if done else "Rejected")

    def _trigger(self, requested_message: str, **_: Any) -> Any:
        done = self._client.trigger(requested_message)
        return call_result.TriggerMessage(status="Accepted" if done else "NotImplemented")

    def _reset(self, type: str) -> Any:  # noqa: A002, ARG002 - the message's own word; soft and hard do the same
        self._charger.request_reset(immediate=True)
        return call_result.Reset(status="Accepted")
