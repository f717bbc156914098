"""Checks a station without moving energy or money: files, disk, clock, ports, peer, broker, meters.

Decides what each check does and its finding: verdict, detail and hint. Changes nothing, submits no transaction and prints
no secret.
"""

import asyncio
import os
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from edgegw.common.error_codes import REMEDIES
from edgegw.common.errors import ConfigError, JournalError, LedgerError
from edgegw.common.sqlite import NewerSchemaError
from edgegw.config.schema import Config, MqttConfig, read_secret
from edgegw.core.events import StorageLevel
from edgegw.meters.profile import named_profile
from edgegw.ops.adjtime import clock_state
from edgegw.ops.storage import check_storage, existing, level_of, room_of
from edgegw.ports.station_health import CERTIFICATE_WARN_DAYS, NTP_HINT

CONNECT_S = 3.0


class Verdict(StrEnum):
    """The result of a check, ordered from worst to best."""

    FAILED = "failed"
    WARNING = "warning"
    OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check; `hint` is the remedy. `exit_78`: the daemon would not start."""

    check: str
    verdict: Verdict
    detail: str
    hint: str = ""
    exit_78: bool = False


def _ok(check: str, detail: str) -> Finding:
    return Finding(check=check, verdict=Verdict.OK, detail=detail)


def _bad(check: str, detail: str, hint: str, *, exit_78: bool = False) -> Finding:
    return Finding(check=check, verdict=Verdict.FAILED, detail=detail, hint=hint, exit_78=exit_78)


def _warning(check: str, detail: str, hint: str) -> Finding:
    return Finding(check=check, verdict=Verdict.WARNING, detail=detail, hint=hint)


# --- checks without a network --------------------------------------------------------------------------------------


def offline(config: Config) -> Iterator[Finding]:
    """Check the files that the configuration names, the disk and the journal."""
    yield _ok("configuration", f"{len(config.chargers)} chargers, {len(config.meters)} meters, no fault")
    yield from _secrets(config)
    yield from _representative(config)
    yield from _identities(config)
    yield from _profiles(config)
    yield from _tls(config)
    yield from _folder(config)


def _secrets(config: Config) -> Iterator[Finding]:
    named = [("station key", config.station.key_file)]
    if config.own_representative is not None:
        named.append(("members' key", config.own_representative.key_file))
    for name, path in named:
        try:
            read_secret(path)
        except ConfigError as fault:
            hint = "correct the file named above" if path.exists() else "edgegw init creates it"
            yield _bad(name, str(fault), hint, exit_78=True)
        else:
            yield _ok(name, f"{path}: private, 32 bytes")


def _representative(config: Config) -> Iterator[Finding]:
    """Check the CA certificate of a remote representative."""
    if config.representative is not None and config.representative.url is not None:
        from edgegw.representative.client import context_for  # noqa: PLC0415 - only where there is one

        try:
            context_for(config.representative.ca_file)
        except ConfigError as fault:
            hint = "copy the CA certificate of the representative there (docs/representative.md)"
            yield _bad("representative", str(fault), hint, exit_78=True)
        else:
            yield _ok("representative", f"{config.representative.url}: the CA certificate is readable")


def _identities(config: Config) -> Iterator[Finding]:
    from edgegw.ledger.identity import load_trust  # noqa: PLC0415 - gRPC comes with it

    founded_later = config.peer is not None and not config.ledger.trust_file.exists()
    if founded_later:
        yield _warning(
            "identity",
            "the embedded peer creates it at its first start",
            "run edgegw run or edgegw init --sandbox",
        )
        return
    folders = [("identity", config.ledger.identity)]
    if config.own_representative is not None:
        folders.append(("representative's identity", config.own_representative.identity))
    for name, folder in folders:
        yield _identity(name, folder)
    try:
        load_trust(config.ledger.trust_file)
    except ConfigError as fault:
        hint = "copy the CA certificates of the organisations there (docs/install.md)"
        yield _bad("trust", str(fault), hint, exit_78=True)


def _identity(name: str, folder: Path) -> Finding:
    """Check an identity: certificate and key in files, a key elsewhere (PKCS#11), or one that is being renewed."""
    if not any((folder / place).exists() for place in ("key.uri", "key.next.pem", "key.next.uri")):
        return pair(name, folder / "cert.pem", folder / "key.pem")
    from edgegw.ledger.identity import load_signer  # noqa: PLC0415 - gRPC is heavy; only a key elsewhere needs it

    try:
        found = load_signer(folder).identity.certificate
    except (ConfigError, ValueError) as error:
        return _bad(name, str(error), "edgegw enroll creates an identity", exit_78=True)
    return _lifetime(name, folder / "cert.pem", found)


def pair(name: str, certificate: Path, key: Path) -> Finding:
    """Check that a certificate and its private key exist, match, are valid now, and that the key's mode is 0600."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        mode = key.stat().st_mode & 0o777
        private = load_pem_private_key(key.read_bytes(), None)
    except OSError as error:
        return _bad(
            name,
            f"{error.filename}: {error.strerror}",
            "run edgegw init, or configure the right file",
            exit_78=True,
        )
    except (ValueError, TypeError) as error:
        return _bad(
            name,
            f"{certificate.parent}: {error}",
            "use PEM for both files, and a key without a passphrase",
            exit_78=True,
        )
    if mode & 0o077:
        return _bad(name, f"EGW-4002 {key}: mode {mode:04o}, expected 0600", f"chmod 600 {key}", exit_78=True)
    same = _public(private.public_key()) == _public(found.public_key())
    if not same:
        detail = f"EGW-4003 {key.name} is not the private key of {certificate.name}"
        return _bad(name, detail, REMEDIES["EGW-4003"].remedy, exit_78=True)
    return _lifetime(name, certificate, found)


def _lifetime(name: str, certificate: Path, found: x509.Certificate) -> Finding:
    left = found.not_valid_after_utc - datetime.now(UTC)
    until = f"{certificate}: valid until {found.not_valid_after_utc:%Y-%m-%d}"
    if left.days < 0:
        return _bad(name, f"{until}: expired", "renew it")
    if left.days < CERTIFICATE_WARN_DAYS:
        return _warning(name, f"{until}: {left.days} days left", "renew it")
    return _ok(name, until)


def _public(key: object) -> bytes:
    found: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]  # any kind of key has it
    return found


def _profiles(config: Config) -> Iterator[Finding]:
    for name in sorted({meter.profile for meter in config.meters}):
        try:
            named_profile(name)
        except ConfigError as fault:
            yield _bad(
                f"meter profile {name}",
                str(fault),
                "edgegw meter scan lists the meter profiles",
                exit_78=True,
            )
        else:
            yield _ok(f"meter profile {name}", "complete")


def _tls(config: Config) -> Iterator[Finding]:
    tls = config.ocpp.tls
    if tls is None:
        hint = "configure [ocpp.tls]; edgegw init creates certificates"
        yield _warning("TLS for chargers", "off: chargers use security profile 1", hint)
        return
    yield pair("TLS certificate", tls.certificate, tls.key_file)
    if tls.rsa_certificate is not None and tls.rsa_key_file is not None:
        yield pair("TLS certificate (RSA)", tls.rsa_certificate, tls.rsa_key_file)


def _folder(config: Config) -> Iterator[Finding]:
    folder = config.station.data_dir
    for place, name in {config.run_dir: "run folder", folder: "data folder"}.items():
        if name == "run folder" and not place.exists():  # the service manager creates it
            continue
        present = next(one for one in (place, *place.parents) if one.exists())
        if not present.is_dir():
            yield _bad(name, f"{present}: not a folder", "set another folder in [station]")
        elif not os.access(present, os.W_OK | os.X_OK):
            hint = f"run as the service's user: sudo -u edgegw edgegw …; or run chown -R edgegw: {place}"
            yield _bad(name, f"{place}: this user cannot write there", hint)
    room = room_of(existing(folder))
    level = level_of(room, missing_bytes=0, before=StorageLevel.OK)
    detail = f"{folder}: {room.free // 1_000_000} MB free"
    if level >= StorageLevel.NO_TELEMETRY:
        yield _bad("disk", f"EGW-5001 {detail}", REMEDIES["EGW-5001"].remedy)
    elif level is StorageLevel.WARN:
        yield _warning("disk", f"EGW-5001 {detail}", REMEDIES["EGW-5001"].remedy)
    else:
        yield _ok("disk", detail)
    for fault in check_storage(config):
        yield _bad("offline days", fault, REMEDIES["EGW-4001"].remedy, exit_78=True)
    if config.journal_path.exists():
        yield _journal(config.journal_path)


def _journal(path: Path) -> Finding:
    from edgegw.store.hash_chain import verify_chain  # noqa: PLC0415 - the store is loaded only where there is a journal

    try:
        broken = verify_chain(path)
    except JournalError as fault:
        is_newer = isinstance(fault, NewerSchemaError)
        return _bad(
            "journal",
            str(fault),
            fault.hint or "run edgegw db list, then edgegw db restore FILE",
            exit_78=is_newer,
        )
    if broken is not None:
        return _bad(
            "journal",
            f"fact {broken} was altered",
            "keep a copy of the file, then run edgegw db restore FILE",
        )
    return _ok("journal", f"{path}: the hash chain is intact")


# --- devices and servers --------------------------------------------------------------------------------------------


async def online(config: Config) -> list[Finding]:
    """Check clock, peer, broker and meters, all concurrently."""
    asked = [_clock(), _peer(config), *(_meter(meter.id, meter.host, meter.port) for meter in config.meters)]
    if config.mqtt is not None:
        asked.append(_broker(config, config.mqtt))
    return list(await asyncio.gather(*asked))


async def _clock() -> Finding:
    state = clock_state()
    if state is None:
        return _warning(
            "clock", "the kernel does not report whether NTP synchronizes it", "check: timedatectl"
        )
    if state.synchronized:
        return _ok("clock", f"synchronized by NTP, within {state.error_s:.3f} s")
    return _warning("clock", "not synchronized by NTP", NTP_HINT)


async def _peer(config: Config) -> Finding:
    from edgegw.ledger.client_factory import open_client  # noqa: PLC0415 - gRPC is heavy; only this check needs it

    place = config.ledger
    hint = "start the daemon; it starts the embedded peer" if config.peer else "check that the peer runs"
    if not place.trust_file.exists():
        return _warning("ledger", f"{place.endpoint}: no identity yet", hint)
    try:
        client = open_client(place)
        async with asyncio.timeout(CONNECT_S), client:
            began_s = time.monotonic()
            supply = await client.evaluate("totalSupply", {})
            took_ms = (time.monotonic() - began_s) * 1000
    except (LedgerError, ConfigError, TimeoutError, OSError) as fault:
        return _bad("ledger", f"{place.endpoint}: {str(fault) or 'no answer'}", hint)
    return _ok(
        "ledger",
        f"{place.endpoint}: answers in {took_ms:.0f} ms, supply {supply.get('supply', '?')} milli-token",
    )


async def _broker(config: Config, mqtt: MqttConfig) -> Finding:
    from edgegw.telemetry.probe import BrokerError, probe  # noqa: PLC0415 - the MQTT client is loaded only where there is a broker
    from edgegw.telemetry.settings import publisher_settings  # noqa: PLC0415 - same

    place = f"{mqtt.host}:{mqtt.port}"
    try:
        somebody_listens = await probe(publisher_settings(config, mqtt))
    except (BrokerError, ConfigError) as fault:
        return _bad("broker", str(fault), fault.hint or "edgegw mqtt test")
    if not somebody_listens:
        return _warning(
            "broker",
            f"{place}: accepts messages; no client subscribes",
            "subscribe, as edgegw mqtt watch does",
        )
    return _ok("broker", f"{place}: accepts messages; a client subscribes")


async def _meter(meter_id: str, host: str, port: int) -> Finding:
    return await _reach(f"meter {meter_id}", host, port, hint=f"edgegw meter diagnose {meter_id}")


async def _reach(check: str, host: str, port: int, *, hint: str) -> Finding:
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        number = (
            getattr(error, "errno", None) or 0
        )  # getaddrinfo's are negative; its strerror is a text already
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or "no answer"
        return _bad(check, f"{host}:{port}: {reason}", hint)
    return _ok(check, f"{host}:{port}: answers in {(time.monotonic() - began_s) * 1000:.0f} ms")


# --- the machine ----------------------------------------------------------------------------------------------------


def machine(config: Config, *, running: bool) -> Iterator[Finding]:
    """Check versions, the service, and the ports where it does not run."""
    yield _ok("versions", f"Python {sys.version.split()[0]}, {ssl.OPENSSL_VERSION}, {_sqlite()}")
    if not running:
        hint = "run sudo systemctl start edgegw, then journalctl -u edgegw"
        yield _warning("daemon", "not running", hint)
        yield from _ports(config)
    else:
        yield _ok("daemon", "running")


def _sqlite() -> str:
    import sqlite3  # noqa: PLC0415 - only for its version

    return f"SQLite {sqlite3.sqlite_version}"


def _ports(config: Config) -> Iterator[Finding]:
    wanted = [
        ("OCPP", config.ocpp.host, config.ocpp.port),
        ("health", config.health.host, config.health.port),
    ]
    if config.ocpp.tls is not None:
        wanted.append(("OCPP with TLS", config.ocpp.host, config.ocpp.tls.port))
    for name, pages in (("drivers' pages'", config.web), ("operator's pages'", config.operator)):
        if pages is not None:
            wanted.append((name, pages.host, pages.port))
    for name, host, port in wanted:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                yield _bad(
                    f"{name} port",
                    f"{host}:{port}: {error.strerror}",
                    "another program uses the port; find it: ss -ltnp",
                )
            else:
                yield _ok(f"{name} port", f"{host}:{port} is free")


def told(status: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Convert the health of the running daemon's parts to findings."""
    verdicts = {"ok": Verdict.OK, "degraded": Verdict.WARNING, "down": Verdict.FAILED}
    for part in (status or {}).get("parts", ()):
        yield Finding(
            check=f"daemon: {part['part']}",
            verdict=verdicts[part["level"]],
            detail=part["reason"],
            hint=part["hint"],
        )


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the worst verdict of all findings."""
    order = list(Verdict)
    return min((finding.verdict for finding in findings), key=order.index, default=Verdict.OK)
