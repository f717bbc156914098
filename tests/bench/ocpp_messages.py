"""Build the messages of a benchmark's chargers, with the five measurands that the gateway configures.

There is a sample every ten seconds at 11 kW, so that the state of charge (60 kWh) rises by one percent in twenty samples.
Each message differs from the last in its id, its time and its register.
"""

import json
from typing import Any

VERSIONS = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}
TOKEN = "04A1B2C3D4E5F6"
SINCE = "2026-11-22T08:00:00.000Z"


def boot(version: str) -> str:
    """Return the BootNotification of a connection."""
    if version == "1.6":
        return call("b", "BootNotification", {"chargePointVendor": "Vendor", "chargePointModel": "Model"})
    station = {"vendorName": "Vendor", "model": "Model"}
    return call("b", "BootNotification", {"reason": "PowerUp", "chargingStation": station})


def start(version: str, transaction: str) -> str:
    """Return the start of a transaction; in 1.6 the answer has its id."""
    if version == "1.6":
        payload = {"connectorId": 1, "idTag": TOKEN, "meterStart": 1_000_000, "timestamp": SINCE}
        return call("s", "StartTransaction", payload)
    return call(
        "s",
        "TransactionEvent",
        {
            "eventType": "Started",
            "timestamp": SINCE,
            "triggerReason": "Authorized",
            "seqNo": 0,
            "transactionInfo": {"transactionId": transaction, "chargingState": "Charging"},
            "evse": {"id": 1, "connectorId": 1},
            "idToken": {"idToken": TOKEN, "type": "ISO14443"},
        },
    )


def sample(version: str, transaction: str, number: int) -> str:
    """Return the `number`-th periodic sample: MeterValues in 1.6, TransactionEvent in 2.x."""
    time = f"2026-11-22T{9 + number // 360 % 12:02d}:{number // 6 % 60:02d}:{number % 6 * 10:02d}.000Z"
    if version == "1.6":
        values = [{**value, "value": str(value["value"])} for value in _values(number, "1.6")]
        payload: dict[str, Any] = {
            "connectorId": 1,
            "transactionId": int(transaction),
            "meterValue": [{"timestamp": time, "sampledValue": values}],
        }
        return call(f"{number:08x}-charger", "MeterValues", payload)
    payload = {
        "eventType": "Updated",
        "timestamp": time,
        "triggerReason": "MeterValuePeriodic",
        "seqNo": number,
        "transactionInfo": {"transactionId": transaction, "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": time, "sampledValue": _values(number, version)}],
    }
    return call(f"{number:08x}-charger", "TransactionEvent", payload)


def call(message_id: str, action: str, payload: dict[str, Any]) -> str:
    """Return a CALL as text."""
    return json.dumps([2, message_id, action, payload], separators=(",", ":"))


def _values(number: int, version: str) -> list[dict[str, Any]]:
    measured = (
        ("Energy.Active.Import.Register", 1_000_000 + 30 * number, "Wh", "Outlet"),
        ("Energy.Active.Export.Register", 12_000, "Wh", "Outlet"),
        ("Power.Active.Import", 10_900 + number % 100, "W", "Outlet"),
        ("Power.Active.Export", 0, "W", "Outlet"),
        ("SoC", 20 + number // 20 % 60, "Percent", "EV"),
    )
    return [
        {
            "value": value,
            "context": "Sample.Periodic",
            **({"format": "Raw"} if version == "1.6" else {}),
            "measurand": measurand,
            "location": location,
            **({"unit": unit} if version == "1.6" else {"unitOfMeasure": {"unit": unit}}),
        }
        for measurand, value, unit, location in measured
    ]
