"""Scan given addresses for meters: find the units that respond, and the profile that fits each. Reads only.

Decides how certain a match is and gives the reason. Limits its load: few hosts at once, one request at a time on each,
short timeouts. Never contacts an address that was not given.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network

from edgegw.common.errors import ConfigError
from edgegw.meters.decode import decode_identity
from edgegw.meters.diagnose import makes_energies
from edgegw.meters.modbus_connection import (
    ModbusConnection,
    ReadError,
    RefusedError,
    UnreachableError,
)
from edgegw.meters.profile import Block, Profile
from edgegw.meters.register_dump import Look, energy_text, look

HOSTS_AT_ONCE = 32
NETWORK_PREFIX_MIN = 24
UNIT_IDS = range(1, 248)
TIMEOUT_S = 0.3
POWER_W_MOST = 1_000_000
_ABSENT = frozenset({10, 11})  # exceptions of a gateway whose unit does not respond
_NOBODY = Block(fc=3, start=0, count=1)  # any response to it, even an exception, shows that the unit exists


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A unit that responds; `profile_id` is the best match (None if none fits), `others` fit too."""

    host: str
    port: int
    unit_id: int
    profile_id: str | None
    sure: bool
    reason: str
    others: tuple[str, ...] = ()
    serial: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """How well a profile fits; more points are better."""

    profile: Profile
    points: int
    reason: str
    serial: str | None


def hosts_of(host: str | None, network: str | None) -> list[str]:
    """Return the addresses to scan; raise ConfigError for an invalid or too large network."""
    if host is not None:
        return [host]
    try:
        named = ip_network(network or "", strict=False)
    except ValueError as error:
        raise ConfigError((f"--network {network}: {error}",)) from error
    if named.num_addresses > 1 << (32 - NETWORK_PREFIX_MIN):
        raise ConfigError((f"--network {network}: at most 256 addresses, such as 192.168.1.0/24",))
    return [str(address) for address in named.hosts()]


def unit_ids_of(text: str) -> list[int]:
    """Parse unit ids and ranges such as 1-5,9; raise ConfigError."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            ids = range(int(first), int(last if dash else first) + 1)
        except ValueError:
            ids = range(0)
        if not ids or ids[0] not in UNIT_IDS or ids[-1] not in UNIT_IDS:
            raise ConfigError(
                (f"--units {part.strip()}: expected numbers from 1 to 247, such as 1-10 or 1,2,5",)
            )
        found.update(ids)
    return sorted(found)


async def scan(
    hosts: Sequence[str],
    unit_ids: Sequence[int],
    profiles: Sequence[Profile],
    *,
    port: int = 502,
    timeout_s: float = TIMEOUT_S,
    asked: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Candidate]:
    """Return every unit that responds, by address; call `asked(done, total)` after each unit tried."""
    free = asyncio.Semaphore(HOSTS_AT_ONCE)
    total, done = len(hosts) * len(unit_ids), 0

    def passed(count: int) -> None:
        nonlocal done
        done += count
        asked(done, total)

    async def host(name: str) -> list[Candidate]:
        async with free:
            return await _scan_host(name, unit_ids, profiles, port=port, timeout_s=timeout_s, passed=passed)

    found = await asyncio.gather(*(host(name) for name in hosts))
    return [candidate for each in found for candidate in each]


async def _scan_host(
    host: str,
    unit_ids: Sequence[int],
    profiles: Sequence[Profile],
    *,
    port: int,
    timeout_s: float,
    passed: Callable[[int], None],
) -> list[Candidate]:
    line = ModbusConnection(host, port, framing="tcp", timeout_s=timeout_s, gap_s=0.0)
    found: list[Candidate] = []
    try:
        for number, unit_id in enumerate(unit_ids):
            try:
                there = await _is_there(line, unit_id)
            except UnreachableError:
                passed(len(unit_ids) - number)
                return found
            if there:
                found.append(await _identified(line, host, port, unit_id=unit_id, profiles=profiles))
            passed(1)
    finally:
        line.close()
    return found


async def _is_there(line: ModbusConnection, unit_id: int) -> bool:
    """Return whether the unit responds; raise UnreachableError."""
    try:
        await _request(line, unit_id, _NOBODY)
    except UnreachableError:
        raise
    except RefusedError as refused:
        return refused.exception_code not in _ABSENT
    except ReadError:
        return False
    return True


async def _request(line: ModbusConnection, unit_id: int, block: Block) -> Sequence[int]:
    if not line.connected:
        await line.connect()
    return await line.request(unit_id, block)


async def _identified(
    line: ModbusConnection, host: str, port: int, *, unit_id: int, profiles: Sequence[Profile]
) -> Candidate:
    fits = [fit for profile in profiles if (fit := await _fit(line, unit_id, profile)) is not None]
    fits.sort(key=lambda fit: -fit.points)
    place = Candidate(
        host=host, port=port, unit_id=unit_id, profile_id=None, sure=False, reason="no meter profile matches"
    )
    if not fits:
        return place
    best = fits[0]
    equal = [fit for fit in fits[1:] if fit.points == best.points]
    return replace(
        place,
        profile_id=best.profile.profile_id,
        sure=bool(best.profile.match) and not equal,
        reason=best.reason,
        others=tuple(fit.profile.profile_id for fit in fits[1:]),
        serial=best.serial,
    )


async def _fit(line: ModbusConnection, unit_id: int, profile: Profile) -> _Fit | None:
    """Match a profile by its model register if it has one, else by the plausibility of its registers."""
    try:
        for match in profile.match:
            if decode_identity(match, await _request(line, unit_id, match.block)) != match.equals:
                return None
        if not line.connected:
            await line.connect()
        seen = await look(line, unit_id, profile)
    except ReadError:
        return None
    if profile.match:
        match = profile.match[0]
        reason = f"model register {match.block.start:#06x} contains {match.equals}"
        return _Fit(profile=profile, points=100, reason=reason, serial=seen.serial)
    return _plausible(profile, seen)


def _plausible(profile: Profile, seen: Look) -> _Fit | None:
    """Score plausible energies, power and serial number, none of which proves the model alone."""
    if not makes_energies(profile, seen.sample.registers):
        return None
    power_w, energy = seen.power_w, seen.sample.energy
    if power_w is not None and abs(power_w) > POWER_W_MOST:
        return None
    has_serial = seen.serial not in {None, "0"}
    reason = (
        f"plausible: import {energy_text(energy.import_mwh)} Wh, export {energy_text(energy.export_mwh)} Wh"
    )
    reason += "" if power_w is None else f", power {power_w} W"
    reason += f", serial {seen.serial}" if has_serial else ""
    points = 1 + 2 * has_serial + bool(energy.import_mwh) + bool(energy.export_mwh) + bool(power_w)
    return _Fit(profile=profile, points=points, reason=reason, serial=seen.serial)


def as_toml(candidate: Candidate) -> str:
    """Return a `[[meters]]` table for the configuration, with an id made from the serial number."""
    profile = candidate.profile_id or "PROFILE"
    meter_id = "M-" + re.sub(r"[^A-Za-z0-9.-]", "-", candidate.serial or str(candidate.unit_id))[:40]
    return (
        f'[[meters]]\nid = "{meter_id}"\nprofile = "{profile}"\n'
        f'host = "{candidate.host}"\nport = {candidate.port}\nunit = {candidate.unit_id}\n'
    )
