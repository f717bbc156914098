"""What the operator's pages ask of the running station and may have it do: a port, and its values.

Decides questions and answers. A wish that cannot be granted is a `NotApproved`, never a fault. Texts that come from chargers
are bounded and printable already, and escaped by every template.
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
    """A configured charger; `version` is the only one it may speak, `security_profile` the highest it came with."""

    charger_id: str
    online: bool
    version: str = ""
    security_profile: int = 0
    evses: tuple[EvseShown, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A charger that nobody configured, with its own words about itself."""

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
    """Refused connections of one kind, id and address; `at_ns` is the newest."""

    at_ns: int
    code: str
    charger_id: str
    address: str
    detail: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chargers:
    """All chargers, configured or not."""

    configured: tuple[ChargerShown, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    refused: tuple[Refused, ...] = ()
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerAddress:
    """An address to type into a charger, and what it takes to use it."""

    url: str
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMeter:
    """Where a meter is that is not configured yet, and its register map."""

    profile: str
    host: str
    port: int
    unit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvse:
    """An EVSE of a charger to be let in; `meter` None: `meter_id` is a configured one."""

    number: int
    evse_id: str
    meter_id: str
    meter: NewMeter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """A charger to be let in, as the operator filled it in."""

    charger_id: str
    evses: tuple[NewEvse, ...]
    rated_w: int
    discharge_w: int = 0
    dialect: str | None = None
    version: str | None = None
    new_password: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """It is let in. `password` is shown this once; empty: it keeps the one it came with."""

    charger_id: str
    password: str = field(default="", repr=False)
    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApproved:
    """It is not let in, and why; `command`: what to type, where the daemon may not write its own configuration."""

    faults: tuple[str, ...] = ()
    command: str = ""


class OperatorPort(Protocol):
    """The running station, as its operator deals with it."""

    def station(self) -> Station:
        """The present state."""

    def parts(self) -> Sequence[Part]:
        """Each part's condition, the worst first."""

    async def chargers(self) -> Chargers:
        """Configured, waiting, refused and rejected ones."""

    def places(self, charger_id: str = "") -> Sequence[ChargerAddress]:
        """What to type into a charger, the way to try first at the front."""

    def drivers_origin(self) -> str:
        """How the drivers' pages' addresses begin; "": they are not served."""

    def free_meters(self) -> Sequence[str]:
        """Configured meters that bill no EVSE."""

    def register_maps(self) -> Sequence[str]:
        """Names of the register maps that a new meter may have."""

    async def approve(self, approval: ApprovalRequest) -> Approved | NotApproved:
        """Let a charger in: its part of the configuration is written, checked with everything else, and read."""

    async def reject(self, charger_id: str) -> bool:
        """Send a waiting charger away; False: none of this id waits."""
