"""Builds the tables of a station's configuration. Pure.

Decides which keys are written, and writes paths relative to the file where possible; `config.schema` defines the keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHANNEL = "energych"
CHAINCODE = "token"
GATEWAY = "gateway1"
ZONE = "KR-SEOUL"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerPlace:
    """The peer, and the identity that signs requests to it."""

    endpoint: str
    identity: Path
    trust_file: Path
    gateway_id: str = GATEWAY
    channel: str = CHANNEL
    chaincode: str = CHAINCODE
    cutoff_s: int | None = None
    own: Path | None = None
    """Data folder of an embedded peer that the daemon starts; None: the peer runs elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRepresentativeFiles:
    """The files of the EV users' representative in the gateway's process."""

    store: Path
    key_file: Path
    identity: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A configuration without chargers and meters. `folder`: the folder of its file."""

    folder: Path
    station_id: str
    zone: str
    data_dir: Path
    key_file: Path
    peer: PeerPlace
    run_dir: Path | None = None
    ocpp: Mapping[str, Any] = field(default_factory=dict)
    representative: OwnRepresentativeFiles | None = None
    participants: Path | None = None
    health: Mapping[str, Any] = field(default_factory=dict)
    web: Mapping[str, Any] = field(default_factory=dict)
    operator: Mapping[str, Any] = field(default_factory=dict)
    exchange: Path | None = None
    """The identity of an exchange desk with a simulated bank; None: no exchange."""

    def tables(self) -> dict[str, Any]:
        """Return the tables of the whole file."""
        station = {"id": self.station_id, "zone": self.zone, "data_dir": self._path(self.data_dir)}
        station["key_file"] = self._path(self.key_file)
        if self.run_dir is not None:
            station["run_dir"] = self._path(self.run_dir)
        tables: dict[str, Any] = {"station": station, "ocpp": dict(self.ocpp), "ledger": self._ledger()}
        if self.peer.own is not None:
            tables["peer"] = {"data_dir": self._path(self.peer.own)}
        if self.representative is not None:
            tables["representative"] = {
                "store": self._path(self.representative.store),
                "key_file": self._path(self.representative.key_file),
                "identity": self._path(self.representative.identity),
            }
        if self.exchange is not None:
            store = self._path(self.data_dir / "exchange.db")
            tables["exchange"] = {"identity": self._path(self.exchange), "store": store}
        if self.participants is not None:
            tables["sandbox"] = {"participants": self._path(self.participants)}
        for name, table in (("health", self.health), ("web", self.web), ("operator", self.operator)):
            if table:
                tables[name] = dict(table)
        return tables

    def _ledger(self) -> dict[str, Any]:
        ledger: dict[str, Any] = {
            "gateway_id": self.peer.gateway_id,
            "endpoint": self.peer.endpoint,
            "channel": self.peer.channel,
            "chaincode": self.peer.chaincode,
            "identity": self._path(self.peer.identity),
            "trust_file": self._path(self.peer.trust_file),
        }
        if self.peer.cutoff_s is not None:
            ledger["cutoff_s"] = self.peer.cutoff_s
        return ledger

    def _path(self, path: Path) -> str:
        """Return a path below the file's folder as relative, so that the folder can be moved; any other as it is."""
        inside = path.is_absolute() and path.is_relative_to(self.folder)
        return str(path.relative_to(self.folder) if inside else path)
