"""The port between the operator's pages and the running station, and its values.

A request that the station declines is a `NotApproved`, never an exception. Texts from chargers are bounded and printable
already; templates escape them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edgegw.core.state import Station
from edgegw.ports.station_health import Part

VERSIONS = ("1.6", "2.0.1", "2.1")
DIALECTS = ("negative_limit_w", "negative_limit_a", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseShown:
    """An EVSE of a configured charger."""

    number: int
    evse_id: str
    meter_id: str
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerShown:
    """A configured charger; `version` is the only OCPP version it may use, `security_profile` the highest it has used."""

    charger_id: str
    online: bool
    version: str = ""
    security_profile: int = 0
    evses: tuple[EvseShown, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An unknown charger that waits for approval, with what it reports of itself."""

    charger_id: str
    address: str
    version: str
    security_profile: int
    first_seen_ns: int
    last_seen_ns: int
    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    evses: tuple[int, ...] = ()
    connected: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Refused connections of one code, charger id and address; `at_ns` is the time of the newest."""

    at_ns: int
    code: str
    charger_id: str
    address: str
    detail: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chargers:
    """All chargers by their state; `rejected` are ids."""

    configured: tuple[ChargerShown, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    refused: tuple[Refused, ...] = ()
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerAddress:
    """An address to enter in a charger, and a remark on how to use it."""

    url: str
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMeter:
    """Meter profile and Modbus address of a meter that is not configured yet."""

    profile: str
    host: str
    port: int
    unit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvse:
    """An EVSE of the charger to approve; `meter` None: `meter_id` is a configured meter."""

    number: int
    evse_id: str
    meter_id: str
    meter: NewMeter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """The approval form: a charger with its EVSEs, power in W and options."""

    charger_id: str
    evses: tuple[NewEvse, ...]
    rated_w: int
    discharge_w: int = 0
    dialect: str | None = None
    version: str | None = None
    new_password: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The charger is approved. `password` is shown only once; "": the charger keeps the one it sent.

    `changed` lists what took effect at once, `needs_restart` what takes effect at the next start.
    """

    charger_id: str
    password: str = field(default="", repr=False)
    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApproved:
    """The charger is not approved, and why; `command` does it if the daemon may not write its configuration."""

    faults: tuple[str, ...] = ()
    command: str = ""


class OperatorPort(Protocol):
    """The running station as its operator sees it."""

    def station(self) -> Station:
        """Return the core's present state."""

    def parts(self) -> Sequence[Part]:
        """Return the health of each part, the worst first."""

    async def chargers(self) -> Chargers:
        """Return configured, waiting, refused and rejected chargers."""

    def places(self, charger_id: str = "") -> Sequence[ChargerAddress]:
        """Return the addresses to enter in a charger, the preferred one first."""

    def drivers_origin(self) -> str:
        """Return the origin of the drivers' pages; "" if they are not served."""

    def free_meters(self) -> Sequence[str]:
        """Return ids of configured meters that bill no EVSE."""

    def register_maps(self) -> Sequence[str]:
        """Return ids of the meter profiles that a new meter may have."""

    async def approve(self, approval: ApprovalRequest) -> Approved | NotApproved:
        """Approve a charger: write its part of the configuration, validate the whole, and reload it."""

    async def reject(self, charger_id: str) -> bool:
        """Reject a waiting charger; False if none with this id waits."""
