"""Maps each OCPP version to its handlers, answers, commands and schemas. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edgegw.chargers import json_values, ocpp2, ocpp2_commands, ocpp16
from edgegw.chargers.call_types import AnswerTranslator, Commands, Handler, Payload, Request
from edgegw.chargers.schemas import Schemas
from edgegw.chargers.settings import ChargerSettings, StationSettings

Configure = Callable[[StationSettings, ChargerSettings], tuple[tuple[Request, ...], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One supported version of OCPP. `configured`: the actions that `configuration` may use."""

    name: str
    handlers: Mapping[str, Handler]
    billing: frozenset[str]
    answers: Mapping[str, AnswerTranslator]
    configuration: Configure
    configured: frozenset[str]
    commands: Commands
    schemas: Schemas = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "schemas", Schemas(self.name, self.sent | self.handlers.keys()))

    @property
    def sent(self) -> frozenset[str]:
        """Every action that may be sent to a charger of this version."""
        return self.configured.union(*(outgoing.actions for outgoing in self.commands.values()))


def load() -> Mapping[str, Version]:
    """Return all versions by name; their validators are compiled at their first use."""
    versions = (
        Version(
            name="1.6",
            handlers=ocpp16.HANDLERS,
            billing=ocpp16.BILLING,
            answers=ocpp16.ANSWERS,
            configuration=ocpp16.configuration,
            configured=ocpp16.CONFIGURED,
            commands=ocpp16.COMMANDS,
        ),
        Version(
            name="2.0.1",
            handlers=ocpp2.HANDLERS,
            billing=ocpp2.BILLING,
            answers=ocpp2.ANSWERS,
            configuration=ocpp2_commands.configuration_201,
            configured=ocpp2_commands.CONFIGURED,
            commands=ocpp2_commands.COMMANDS_201,
        ),
        Version(
            name="2.1",
            handlers=ocpp2.HANDLERS_21,
            billing=ocpp2.BILLING,
            answers=ocpp2.ANSWERS,
            configuration=ocpp2_commands.configuration_21,
            configured=ocpp2_commands.CONFIGURED,
            commands=ocpp2_commands.COMMANDS_21,
        ),
    )
    return {version.name: version for version in versions}


def _all_set(payload: Payload) -> bool:
    """Return whether SetVariables accepted every variable; RebootRequired counts as accepted."""
    results = json_values.sequence(payload.get("setVariableResult"))
    statuses = [result.get("attributeStatus") for result in results if isinstance(result, dict)]
    return bool(statuses) and all(status in {"Accepted", "RebootRequired"} for status in statuses)


# Decides acceptance by action for results without `status`; every other result has a status.
ACCEPTANCE: Mapping[str, Callable[[Payload], bool]] = {"SetVariables": _all_set}


def is_accepted(action: str, payload: Payload) -> bool:
    """Return True where a charger's result accepts the request; RebootRequired counts as accepted."""
    accepts = ACCEPTANCE.get(action)
    return payload.get("status") in {"Accepted", "RebootRequired"} if accepts is None else accepts(payload)
