"""Finds this machine's addresses on the local network, the URLs to type into a charger, and free ports.

Decides which address is shown. Sends nothing: it reads the system's tables, and "connects" a UDP socket only to look up
the route. Source: OCPP-J 1.6 §3.1.1 (URL), RFC 5737 (documentation addresses), netdevice(7).
"""

import fcntl
import ipaddress
import itertools
import os
import secrets
import socket
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgegw.config.schema import OcppConfig

_NOWHERE = ("192.0.2.1", 9)  # TEST-NET-1: no host has it, and nothing is sent there
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
ANYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, never bound
LOOPBACK = frozenset({"localhost"})
PORTS = range(20_000, 32_000)  # below Linux's ephemeral ones
OWN_PORTS = 100
TRIES_AMONG_OWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAddress:
    """An IPv4 address of this machine, with its interface and network."""

    interface: str
    address: ipaddress.IPv4Address
    network: ipaddress.IPv4Network


def local_addresses() -> list[LocalAddress]:
    """Return this machine's IPv4 addresses except loopback; the one of the default route is first."""
    faced = _faced()
    found = [one for one in _of_interfaces() if not one.address.is_loopback]
    return sorted(found, key=lambda one: (str(one.address) != faced, one.interface))


def _of_interfaces() -> Iterator[LocalAddress]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                address, mask = (
                    ipaddress.IPv4Address(fcntl.ioctl(probe, number, request)[20:24])
                    for number in (_SIOCGIFADDR, _SIOCGIFNETMASK)
                )
            except OSError:
                continue  # an interface without an IPv4 address
            network = ipaddress.IPv4Network((int(address), str(mask)), strict=False)
            yield LocalAddress(interface=name, address=address, network=network)


def _faced() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def is_loopback(host: str) -> bool:
    """Return whether `host` is a loopback address or localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK


_round = itertools.count()
"""Numbers the returned ports: a returned port that is not bound yet is returned again only after all others."""


def free_port(first: int | None = None) -> int:
    """Return a free port of the loopback interface: `first`, or one outside the range of outgoing connections."""
    if first is not None and _is_free(first):
        return first
    for tries in itertools.count():
        if tries < TRIES_AMONG_OWN:
            own = _own_ports()
            port = own[next(_round) % len(own)]
        else:
            port = PORTS.start + secrets.randbelow(len(PORTS))
        if _is_free(port):
            return port
    raise AssertionError("it counts for ever")


@cache
def _own_ports() -> range:
    """Reserve ports for this process until it ends, by a file lock: a free port is bound only later."""
    starts = list(range(PORTS.start, PORTS.stop, OWN_PORTS))
    secrets.SystemRandom().shuffle(starts)
    for start in starts:
        try:
            place = Path(tempfile.gettempdir()) / f"edgegw-ports-{start}.lock"
            lock = os.open(place, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # locked by another process
            continue
        return range(start, start + OWN_PORTS)  # the descriptor stays open and keeps the lock
    return PORTS


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def network_of(host: str) -> ipaddress.IPv4Network | None:
    """Return the local network of a listening address; for a wildcard address, that of the first interface."""
    for one in local_addresses():
        if host in ANYWHERE or str(one.address) == host:
            return one.network
    return None


def public_host(ocpp: OcppConfig) -> str:
    """Return the host that chargers connect to: the configured one, else the listening address, else the local address."""
    if ocpp.public_host:
        return ocpp.public_host
    if ocpp.host not in ANYWHERE:
        return ocpp.host
    return next((str(one.address) for one in local_addresses()), socket.gethostname())


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerUrl:
    """A URL to type into a charger, and the condition of its use."""

    url: str
    remark: str


def charger_urls(ocpp: OcppConfig, charger_id: str = "") -> list[ChargerUrl]:
    """Return the URLs for a charger, the preferred one first; without an id, the charger appends its own."""
    host = public_host(ocpp)
    allowed = ", ".join(str(network) for network in ocpp.plaintext_networks)
    plain = ChargerUrl(
        url=_url("ws", host, ocpp.port, charger_id=charger_id),
        remark=f"without TLS (security profile 1), only for chargers in {allowed}",
    )
    if ocpp.tls is None:
        return [plain]
    secure = ChargerUrl(
        url=_url("wss", host, ocpp.tls.port, charger_id=charger_id),
        remark="with TLS (security profile 2); the charger must trust this station's CA certificate (tls/ca.pem)",
    )
    return [plain, secure] if _is_plaintext_welcome(ocpp, host) else [secure, plain]


def _is_plaintext_welcome(ocpp: OcppConfig, host: str) -> bool:
    """Return whether a charger on the local network may connect without TLS."""
    if is_loopback(host):
        return True
    return any(not network.is_loopback for network in ocpp.plaintext_networks)


def _url(scheme: str, host: str, port: int, *, charger_id: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}/ocpp/{charger_id}"


def server_names(public_name: str, listening: str) -> list[str]:
    """Return every host name and address of this machine that a certificate needs, `public_name` first."""
    name = socket.gethostname()
    found = [
        public_name,
        *(() if listening in ANYWHERE else (listening,)),
        name,
        f"{name.partition('.')[0]}.local",
    ]
    return [*found, *(str(one.address) for one in local_addresses()), "localhost", "127.0.0.1"]
