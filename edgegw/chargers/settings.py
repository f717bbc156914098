"""Settings of the OCPP server: addresses, chargers, and the functions that need secrets or randomness.

Never reads files: `config` and `app` build these.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, Protocol

Dialect = Literal["negative_limit_w", "negative_limit_a", "none"]
"""How a 1.6 or 2.0.1 charger takes a discharge command; 2.1 has a message of its own for it."""

VersionName = Literal["1.6", "2.0.1", "2.1"]

Log = Callable[[str, Mapping[str, object]], None]
"""Takes an event's name (docs/events.md) and its fields."""


Network = IPv4Network | IPv6Network
LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class ProfileStore(Protocol):
    """Stores the highest security profile of each charger: 0 never seen, 1 plain, 2 TLS. May block: call it in a thread."""

    def highest(self, charger_id: str) -> int:
        """Return the highest profile at which this charger authenticated."""

    def raise_to(self, charger_id: str, profile: int) -> None:
        """Store a profile durably; one below the highest changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Security profile 2 on a port of its own. The RSA pair is for chargers without ECDSA."""

    port: int  # 0: any free port
    certificate: Path
    key_file: Path
    rsa_certificate: Path | None = None
    rsa_key_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """Where chargers connect; `default_version` is for those that offer no sub-protocol.

    Without TLS only addresses in `plaintext_networks` may connect. `accept_unknown`: a charger that is not configured
    waits for approval instead of being refused. `open_timeout_s` (real time) bounds each handshake.
    """

    host: str
    port: int  # 0: any free port
    default_version: VersionName = "1.6"
    plaintext_networks: tuple[Network, ...] = LOOPBACK
    accept_unknown: bool = False
    tls: TlsSettings | None = None
    open_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerSettings:
    """One charger. `evses` maps its connector (1.6) or EVSE (2.x) numbers, from 1, to the station's EVSE ids.

    `version` is the only one it may speak, or None for whichever it offers.
    """

    charger_id: str
    password_hash: str  # as made by common.passwords.hash_password
    evses: Mapping[int, str]
    version: VersionName | None = None
    dialect: Dialect = "negative_limit_w"
    voltage_v: int = 230  # phase to neutral; with `phases` turns watts into amperes
    phases: int = 3


def _silent(_name: str, _fields: Mapping[str, object]) -> None:
    """Log nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationSettings:
    """Settings that all chargers share.

    `hash_token` returns the keyed hash of a normalised idToken, `fresh_transaction_id` 31 unguessable bits for a 1.6
    transaction, `fresh_message_id` an id for a CALL of ours. Intervals are seconds of the station's clock;
    `call_timeout_s` and `probe_timeout_s` are real time.
    """

    listener: ListenerSettings
    chargers: tuple[ChargerSettings, ...]
    hash_token: Callable[[str], str]
    fresh_transaction_id: Callable[[], int]
    fresh_message_id: Callable[[], str]
    log: Log = _silent
    heartbeat_interval_s: int = 300
    sample_interval_s: int = 60
    call_timeout_s: float = 30.0
    probe_timeout_s: float = 5.0
    ping_interval_s: float = 30.0
