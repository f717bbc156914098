"""Answer the server's OCPP 2.x calls for the simulated charger.

Decides only the answers; `Charger` performs what is requested. Payload keys are in snake case, as the `ocpp` package
passes them. Source: OCPP 2.0.1 edition 3, OCPP 2.1 edition 1 (K, Q).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection

from firmware_sim.charger import MEASURANDS, Charger
from firmware_sim.ocpp_client import OcppClient
from firmware_sim.point import Handler, PointMixin, status_details
from firmware_sim.profiles import Profile, ProfileRefused, read_profile, read_update_w

SAMPLED = "SampledDataCtrlr"
MEASURAND_VARIABLES = {
    (SAMPLED, "TxStartedMeasurands"): "begin",
    (SAMPLED, "TxUpdatedMeasurands"): "periodic",
    (SAMPLED, "TxEndedMeasurands"): "end",
}
SAMPLE_INTERVAL = (SAMPLED, "TxUpdatedInterval")
HEARTBEAT_INTERVAL = ("OCPPCommCtrlr", "HeartbeatInterval")
STORED = {
    (SAMPLED, "TxEndedInterval"): "0",
    ("AlignedDataCtrlr", "Interval"): "0",
    ("OCPPCommCtrlr", "MessageAttempts"): "3",
    ("OCPPCommCtrlr", "MessageAttemptInterval"): "5",
    ("OCPPCommCtrlr", "OfflineThreshold"): "60",
    ("AuthCtrlr", "AuthorizeRemoteStart"): "false",
    ("TxCtrlr", "StopTxOnInvalidId"): "true",
    ("SmartChargingCtrlr", "Enabled"): "true",
    ("V2XChargingCtrlr", "Enabled"): "true",
}


class Calls2(PointMixin):
    """Handlers of both 2.x versions; a mixin that precedes the package's ChargePoint in the bases."""

    results: Any

    def __init__(
        self,
        connection: ClientConnection,
        charger: Charger,
        *,
        client: OcppClient,
        settings: dict[tuple[str, str], str],
    ) -> None:
        """`settings` holds the variables that the server has set so far, by component and variable."""
        super().__init__(charger.plan.charger_id, connection)  # type: ignore[call-arg]  # of the package's class
        self._charger = charger
        self._client = client
        self._settings = settings
        self.install(self.handlers())

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers that 2.0.1 and 2.1 share, by action."""
        results = self.results
        return {
            "SetVariables": self._set_variables,
            "GetVariables": self._get_variables,
            "SetChargingProfile": self._set_profile,
            "ClearChargingProfile": self._clear_profile,
            "RequestStartTransaction": self._request_start,
            "RequestStopTransaction": self._request_stop,
            "GetTransactionStatus": self._transaction_status,
            "TriggerMessage": self._trigger,
            "Reset": self._reset,
            "CostUpdated": lambda **_: results.CostUpdated(),
            "ClearCache": lambda **_: results.ClearCache(status="Accepted"),
            "ChangeAvailability": lambda **_: results.ChangeAvailability(status="Rejected"),
            "DataTransfer": lambda **_: results.DataTransfer(status="UnknownVendorId"),
        }

    def handlers21(self) -> dict[str, Handler]:
        """Return the handlers that 2.1 adds, by action."""
        return {
            "UpdateDynamicSchedule": self._update_schedule,
            "NotifyAllowedEnergyTransfer": self._allow_transfer,
        }

    # --- variables ---
    def _set_variables(self, set_variable_data: list[Mapping[str, Any]], **_: Any) -> Any:
        return self.results.SetVariables(
            set_variable_result=[self._set_one(row) for row in set_variable_data]
        )

    def _set_one(self, row: Mapping[str, Any]) -> dict[str, Any]:
        name = (row["component"]["name"], row["variable"]["name"])
        status = self._change(name, str(row["attribute_value"]))
        return {"attribute_status": status, "component": row["component"], "variable": row["variable"]}

    def _change(self, name: tuple[str, str], value: str) -> str:
        if name in MEASURAND_VARIABLES:
            names = {each.strip() for each in value.split(",") if each.strip()}
            if not names <= set(MEASURANDS):
                return "Rejected"
            self._charger.measurands[MEASURAND_VARIABLES[name]] = names
        elif name in {SAMPLE_INTERVAL, HEARTBEAT_INTERVAL}:
            if not value.isdecimal():
                return "Rejected"
            if name == SAMPLE_INTERVAL:
                self._charger.set_sample_interval(int(value))
            else:
                self._client.heartbeat_s = int(value)
        elif name in STORED:
            self._settings[name] = value
        else:
            known = {component for component, _ in self._values()}
            return "UnknownVariable" if name[0] in known else "UnknownComponent"
        return "Accepted"

    def _values(self) -> dict[tuple[str, str], str]:
        return {
            **STORED,
            **self._settings,
            SAMPLE_INTERVAL: str(self._charger.sample_interval_s),
            HEARTBEAT_INTERVAL: str(self._client.heartbeat_s),
            **{
                name: ",".join(sorted(self._charger.measurands[kind]))
                for name, kind in MEASURAND_VARIABLES.items()
            },
        }

    def _get_variables(self, get_variable_data: list[Mapping[str, Any]], **_: Any) -> Any:
        values = self._values()
        known = {component for component, _ in values}
        found = []
        for row in get_variable_data:
            name = (row["component"]["name"], row["variable"]["name"])
            one = {"attribute_status": "Accepted", "component": row["component"], "variable": row["variable"]}
            if name in values:
                one["attribute_value"] = values[name]
            else:
                one["attribute_status"] = "UnknownVariable" if name[0] in known else "UnknownComponent"
            found.append(one)
        return self.results.GetVariables(get_variable_result=found)

    # --- smart charging ---
    def _set_profile(self, evse_id: int, charging_profile: Mapping[str, Any], **_: Any) -> Any:
        try:
            if evse_id not in {0, 1}:
                raise ProfileRefused("UnknownEVSE")
            self._charger.set_profile(self._read(charging_profile), charging_profile.get("transaction_id"))
        except ProfileRefused as refusal:
            return self.results.SetChargingProfile(
                status="Rejected", status_info=status_details(str(refusal))
            )
        return self.results.SetChargingProfile(status="Accepted")

    def _read(self, table: Mapping[str, Any]) -> Profile:
        return read_profile(table, now_ns=self._charger.clock.now_ns(), dialect=self._charger.plan.dialect)

    def _clear_profile(
        self,
        charging_profile_id: int | None = None,
        charging_profile_criteria: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        criteria = charging_profile_criteria or {}
        found = self._charger.clear_profiles(
            profile_id=charging_profile_id,
            purpose=criteria.get("charging_profile_purpose"),
            level=criteria.get("stack_level"),
        )
        return self.results.ClearChargingProfile(status="Accepted" if found else "Unknown")

    def _update_schedule(self, charging_profile_id: int, schedule_update: Mapping[str, Any], **_: Any) -> Any:
        try:
            power_w = read_update_w(schedule_update, self._charger.plan.dialect)
            done = self._charger.update_profile(charging_profile_id, power_w)
        except ProfileRefused:
            done = False
        return self.results.UpdateDynamicSchedule(status="Accepted" if done else "Rejected")

    def _allow_transfer(self, allowed_energy_transfer: list[str], transaction_id: str, **_: Any) -> Any:
        tx = self._charger.tx
        if tx is None or tx.tx_id != transaction_id:
            return self.results.NotifyAllowedEnergyTransfer(status="Rejected")
        self._charger.allow_transfer(allowed_energy_transfer)
        return self.results.NotifyAllowedEnergyTransfer(status="Accepted")

    # --- transactions ---
    def _request_start(
        self,
        id_token: Mapping[str, Any],
        remote_start_id: int,
        charging_profile: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        try:
            profile = None if charging_profile is None else self._read(charging_profile)
            tx = self._charger.request_start(
                id_token["id_token"], remote_start_id=remote_start_id, profile=profile
            )
        except ProfileRefused:
            tx = None
        if tx is None:
            return self.results.RequestStartTransaction(status="Rejected")
        return self.results.RequestStartTransaction(status="Accepted", transaction_id=tx.tx_id)

    def _request_stop(self, transaction_id: str, **_: Any) -> Any:
        done = self._charger.request_stop(transaction_id)
        return self.results.RequestStopTransaction(status="Accepted" if done else "Rejected")

    def _transaction_status(self, transaction_id: str | None = None, **_: Any) -> Any:
        tx = self._charger.tx
        ongoing = None if transaction_id is None else tx is not None and tx.tx_id == transaction_id
        waiting = self._client.waiting > 0
        return self.results.GetTransactionStatus(messages_in_queue=waiting, ongoing_indicator=ongoing)

    # --- the rest ---
    def _trigger(self, requested_message: str, **_: Any) -> Any:
        done = self._client.trigger(requested_message)
        return self.results.TriggerMessage(status="Accepted" if done else "NotImplemented")

    def _reset(self, type: str, **_: Any) -> Any:  # noqa: A002 - the message's own word
        at_once = self._charger.request_reset(immediate=type.startswith("Immediate"))
        return self.results.Reset(status="Accepted" if at_once else "Scheduled")
