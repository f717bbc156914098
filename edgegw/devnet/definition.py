"""Read a network's definition from TOML: organisations, nodes, and how the channel cuts blocks.

Decides what may be defined, and the limits. `layout` decides folders and ports.
"""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgegw.common.bundled_files import configs
from edgegw.common.errors import ConfigError

Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
MspId = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]{0,30}$")]
PORT_MAX = 65_535


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Organisation(_Table):
    """A peer organisation."""

    msp_id: MspId
    name: Label
    peers: int = Field(ge=1, le=9)


class Ordering(_Table):
    """The ordering service: Raft nodes of one organisation, and how they cut blocks."""

    msp_id: MspId
    name: Label
    count: int = Field(ge=1, le=9)
    batch_timeout_ms: int = Field(ge=10, le=60_000)
    batch_messages_max: int = Field(ge=1, le=10_000)
    batch_bytes_preferred: int = Field(ge=1024, le=64 * 1024 * 1024)


class Definition(_Table):
    """A whole network; `ports_base` 0 selects free ports."""

    channel: Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{0,60}$")]
    chaincode: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")]
    domain: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,60}$")]
    host: str
    ports_base: int = Field(ge=0, le=PORT_MAX)
    endorsement_least: int = Field(ge=1)
    orderers: Ordering
    organisations: tuple[Organisation, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> "Definition":
        everybody: tuple[Organisation | Ordering, ...] = (self.orderers, *self.organisations)
        if len({one.msp_id for one in everybody}) != len(everybody):
            raise ValueError("two organisations have the same msp_id")
        if len({one.name for one in everybody}) != len(everybody):
            raise ValueError("two organisations have the same name")
        if self.endorsement_least > len(self.organisations):
            raise ValueError("endorsement_least requires more organisations than there are")
        if self.ports_base + self.ports > PORT_MAX:
            raise ValueError("ports_base leaves no room for all listeners")
        return self

    @property
    def ports(self) -> int:
        """The number of listeners: three per node, and one chaincode service per organisation."""
        nodes = self.orderers.count + sum(one.peers for one in self.organisations)
        return 3 * nodes + len(self.organisations)

    @property
    def endorsement_policy(self) -> str:
        """The chaincode's endorsement policy in the syntax of Fabric's command line."""
        members = ",".join(f"'{one.msp_id}.peer'" for one in self.organisations)
        return f"OutOf({self.endorsement_least},{members})"


def default_definition() -> Path:
    """Return the path of the definition that edgegw includes."""
    return configs() / "fabric" / "network.toml"


def read_definition(path: Path) -> Definition:
    """Read the definition in a file; raise ConfigError with every fault."""
    try:
        return Definition.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as fault:
        raise ConfigError((f"{path}: {fault.strerror}",)) from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigError((f"{path}: {fault}",)) from fault
    except ValidationError as fault:
        raise ConfigError(
            tuple(
                f"{path}: {'.'.join(map(str, one['loc'])) or 'network'}: {one['msg']}"
                for one in fault.errors()
            )
        ) from fault
