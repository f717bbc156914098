"""The three versions as rows of one table: which function does what, by version. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from edgegw.chargers import json_values, ocpp2, ocpp2_commands, ocpp16
from edgegw.chargers.call_types import (
    AnswerTranslator,
    Handler,
    Installed,
    Payload,
    ProfileStep,
    Request,
    SetpointRefusal,
)
from edgegw.chargers.schemas import Schemas
from edgegw.chargers.settings import ChargerSettings, StationSettings
from edgegw.core.effects import AllowEnergyTransfer, ApplySetpoint, StartRemotely, StopRemotely


class Apply(Protocol):
    """How a setpoint is brought into force."""

    def __call__(
        self, effect: ApplySetpoint, charger: ChargerSettings, installed: Installed | None, /, *, now_ns: int
    ) -> ProfileStep | SetpointRefusal:
        """The next CALL from what is `installed` now; pure."""


Configure = Callable[[StationSettings, ChargerSettings], tuple[tuple[Request, ...], ...]]
Allow = Callable[[AllowEnergyTransfer], Request | None]
Start = Callable[[StartRemotely, ChargerSettings], Request | None]
Stop = Callable[[StopRemotely], Request | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of OCPP as this edge speaks it."""

    name: str
    handlers: Mapping[str, Handler]
    billing: frozenset[str]
    answers: Mapping[str, AnswerTranslator]
    sent: frozenset[str]
    configuration: Configure
    apply_setpoint: Apply
    start_remotely: Start
    stop_remotely: Stop
    allow_energy_transfer: Allow
    schemas: Schemas = field(repr=False)


def load() -> Mapping[str, Version]:
    """All versions; their validators are compiled when they are needed first."""
    return {
        "1.6": Version(
            name="1.6",
            handlers=ocpp16.HANDLERS,
            billing=ocpp16.BILLING,
            answers=ocpp16.ANSWERS,
            sent=ocpp16.SENT,
            configuration=ocpp16.configuration,
            apply_setpoint=ocpp16.apply_setpoint,
            start_remotely=ocpp16.start_remotely,
            stop_remotely=ocpp16.stop_remotely,
            allow_energy_transfer=ocpp16.allow_energy_transfer,
            schemas=Schemas("1.6", ocpp16.SENT | ocpp16.HANDLERS.keys()),
        ),
        "2.0.1": Version(
            name="2.0.1",
            handlers=ocpp2.HANDLERS,
            billing=ocpp2.BILLING,
            answers=ocpp2.ANSWERS,
            sent=ocpp2_commands.SENT,
            configuration=ocpp2_commands.configuration_201,
            apply_setpoint=ocpp2_commands.apply_limit,
            start_remotely=ocpp2_commands.start_remotely,
            stop_remotely=ocpp2_commands.stop_remotely,
            allow_energy_transfer=ocpp2_commands.allow_nothing,
            schemas=Schemas("2.0.1", ocpp2_commands.SENT | ocpp2.HANDLERS.keys()),
        ),
        "2.1": Version(
            name="2.1",
            handlers=ocpp2.HANDLERS_21,
            billing=ocpp2.BILLING,
            answers=ocpp2.ANSWERS,
            sent=ocpp2_commands.SENT_21,
            configuration=ocpp2_commands.configuration_21,
            apply_setpoint=ocpp2_commands.apply_setpoint,
            start_remotely=ocpp2_commands.start_remotely,
            stop_remotely=ocpp2_commands.stop_remotely,
            allow_energy_transfer=ocpp2_commands.allow_energy_transfer,
            schemas=Schemas("2.1", ocpp2_commands.SENT_21 | ocpp2.HANDLERS_21.keys()),
        ),
    }


def is_accepted(action: str, payload: Payload) -> bool:
    """True when a charger's result means yes. SetVariables answers per variable; RebootRequired counts as yes."""
    if action == "SetVariables":
        results = json_values.sequence(payload.get("setVariableResult"))
        statuses = [result.get("attributeStatus") for result in results if isinstance(result, dict)]
        return bool(statuses) and all(status in {"Accepted", "RebootRequired"} for status in statuses)
    return payload.get("status") in {"Accepted", "RebootRequired"}
