"""Validates the configuration of a representative process; reports every fault at once.

Decides which keys exist, their defaults and limits. Relative paths start at the folder of the file.
Source: `configs/representative.toml`.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from edgegw.common.errors import ConfigError
from edgegw.config.faults import fault_line, form_faults
from edgegw.config.files import read_text
from edgegw.config.schema import (
    ExchangeConfig,
    FilePath,
    LedgerPlace,
    LogConfig,
    Name,
    Port,
    Section,
    WebConfig,
)
from edgegw.representative.server import is_loopback


class MembersConfig(Section):
    """The representative's store and key, its zone, and the gateways that may connect (id or certificate SHA-256)."""

    store: FilePath
    key_file: FilePath
    zone: Name
    gateways: Annotated[
        tuple[Name | Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...], Field(min_length=1)
    ]


class ListenConfig(Section):
    """The address of the server for stations; beyond loopback with TLS only."""

    host: str = "127.0.0.1"
    port: Port = 8470
    certificate: FilePath | None = None
    key_file: FilePath | None = None

    @model_validator(mode="after")
    def _secured(self) -> Self:
        if (self.certificate is None) != (self.key_file is None):
            raise ValueError("certificate and key_file go together")
        if self.certificate is None and not is_loopback(self.host):
            raise ValueError(f"{self.host} is not a loopback address: needs certificate and key_file")
        return self


class PagesConfig(WebConfig):
    """The members' pages; served where this table exists."""

    port: Port = 8081

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if (self.certificate is None) != (self.key_file is None):
            raise ValueError("set both certificate and key_file, or neither")
        return self


class RepresentativeSettings(Section):
    """The whole configuration."""

    representative: MembersConfig
    listen: ListenConfig = ListenConfig()
    ledger: LedgerPlace
    web: PagesConfig | None = None
    exchange: ExchangeConfig | None = None
    log: LogConfig = LogConfig()


def load_representative(path: Path) -> RepresentativeSettings:
    """Read and validate the file; raises ConfigError with every fault, each as `file:line: key: message`."""
    text = read_text(path)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((f"{path}: {error}",)) from error
    try:
        return RepresentativeSettings.model_validate(tree, context={"folder": path.absolute().parent})
    except ValidationError as error:
        faults = form_faults(error, RepresentativeSettings)
        raise ConfigError(
            tuple(fault_line(path, text, at=at, message=message) for at, message in faults)
        ) from error
