"""Read every register of a meter's profile once, as raw words and as decoded values, for commands. Never writes.

Shows values without judging them; `diagnose` does that.
"""

import asyncio
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from edgegw.common.error_codes import explained
from edgegw.common.errors import DeviceError
from edgegw.meters.bus import answer_timeout_s
from edgegw.meters.decode import Energy, decode_energy, decode_identity, decode_power, raw_number
from edgegw.meters.modbus_connection import ModbusConnection, ReadError, RefusedError
from edgegw.meters.profile import WORDS, Block, Field, Identity, Profile

MODEL = "model"
SAMPLE_S = 0.1
SAMPLES_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterAddress:
    """A meter's address."""

    host: str
    port: int
    unit_id: int

    def __str__(self) -> str:
        return f"unit {self.unit_id} at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One register: `words` as received (None if the meter refused them), `raw` the number in them, `value` scaled."""

    name: str
    fc: int
    address: int
    words: tuple[int, ...] | None
    raw: str | None
    value: str | None
    unit: str

    @property
    def hex_words(self) -> str:
        """The words in hex, or "refused"."""
        return "refused" if self.words is None else " ".join(f"{word:04x}" for word in self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The energy block of one response, with `time.monotonic_ns` and UTC before and after the request."""

    t0_ns: int
    t1_ns: int
    utc0_ns: int
    utc1_ns: int
    registers: tuple[int, ...]
    energy: Energy

    @property
    def middle_ns(self) -> int:
        """The estimated time of the register values, halfway through the request."""
        return (self.t0_ns + self.t1_ns) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """All registers of a profile, read once; `power_w` has the meter's sign, without `swapped`."""

    sample: Sample
    power_w: int | None
    serial: str | None
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Two full reads, and samples of the energy block between them in order."""

    first: Look
    between: tuple[Sample, ...]
    last: Look

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All samples of the energy block, oldest first."""
        return (self.first.sample, *self.between, self.last.sample)


def line_to(place: MeterAddress, profile: Profile, *, timeout_s: float | None = None) -> ModbusConnection:
    """Return a new connection with the gateway's timeout and gap for this profile."""
    return ModbusConnection(
        place.host,
        place.port,
        framing="tcp",
        timeout_s=timeout_s or answer_timeout_s(profile, "tcp", 9600),
        gap_s=profile.min_gap_ms / 1000,
    )


def as_fault(
    error: ReadError, place: MeterAddress, *, name: str = "", profile: Profile | None = None
) -> DeviceError:
    """Return the exception for a failed read: code, meter, fault, address and remedy."""
    meter = f"meter {name}: " if name else ""
    where = "" if error.code == "EGW-2005" else f" ({place})"
    check = (
        f'; check profile "{profile.profile_id}"'
        if profile and error.code in {"EGW-2001", "EGW-2010"}
        else ""
    )
    return DeviceError(explained(error.code, f"{meter}{error.detail}{where}{check}"))


async def sample(line: ModbusConnection, unit_id: int, profile: Profile) -> Sample:
    """Read the energy block once; raise ReadError."""
    utc0_ns, t0_ns = time.time_ns(), time.monotonic_ns()
    registers = tuple(await line.request(unit_id, profile.energy_block))
    t1_ns, utc1_ns = time.monotonic_ns(), time.time_ns()
    return Sample(
        t0_ns=t0_ns,
        t1_ns=t1_ns,
        utc0_ns=utc0_ns,
        utc1_ns=utc1_ns,
        registers=registers,
        energy=decode_energy(profile, registers),
    )


async def look(line: ModbusConnection, unit_id: int, profile: Profile) -> Look:
    """Read every register of the profile once on an open connection; raise ReadError if the energy block fails."""
    shown = [await _identity(line, unit_id, match, name=MODEL) for match in profile.match]
    serial = None
    if profile.serial is not None:
        shown.append(await _identity(line, unit_id, profile.serial, name="serial"))
        serial = shown[-1].value
    taken = await sample(line, unit_id, profile)
    shown += _energies(profile, taken)
    power_w = None
    if profile.power is not None and profile.power_block is not None:
        words: Sequence[int] | None = taken.registers
        if profile.power_block != profile.energy_block:
            words = await _or_none(line, unit_id, profile.power_block)
        power_w = None if words is None else decode_power(profile, words)
        shown += _fields(
            "power", profile.power, profile.power_block, words=words, little=profile.little, value=power_w
        )
    return Look(sample=taken, power_w=power_w, serial=serial, shown=tuple(shown))


async def look_once(
    place: MeterAddress, profile: Profile, *, timeout_s: float | None = None, name: str = ""
) -> Look:
    """Connect, read every register once and disconnect; raise DeviceError (see `as_fault`)."""
    line = line_to(place, profile, timeout_s=timeout_s)
    try:
        await line.connect()
        return await look(line, place.unit_id, profile)
    except ReadError as error:
        raise as_fault(error, place, name=name, profile=profile) from error
    finally:
        line.close()


async def observe_once(
    place: MeterAddress, profile: Profile, *, seconds_s: float, name: str = ""
) -> Observed:
    """Make two full reads `seconds_s` apart on one connection, with samples between them; raise DeviceError."""
    line = line_to(place, profile)
    between = []
    try:
        await line.connect()
        first = await look(line, place.unit_id, profile)
        ends_s = time.monotonic() + seconds_s
        pause_s = max(SAMPLE_S, seconds_s / SAMPLES_MOST)
        while time.monotonic() + pause_s < ends_s:
            await asyncio.sleep(pause_s)
            between.append(await sample(line, place.unit_id, profile))
        await asyncio.sleep(max(0.0, ends_s - time.monotonic()))
        last = await look(line, place.unit_id, profile)
    except ReadError as error:
        raise as_fault(error, place, name=name, profile=profile) from error
    finally:
        line.close()
    return Observed(first=first, between=tuple(between), last=last)


def energy_text(energy_mwh: int | None) -> str | None:
    """Return exact Wh with three decimals."""
    return None if energy_mwh is None else f"{energy_mwh // 1000}.{energy_mwh % 1000:03d}"


async def _or_none(line: ModbusConnection, unit_id: int, block: Block) -> Sequence[int] | None:
    try:
        return await line.request(unit_id, block)
    except RefusedError:
        return None


async def _identity(line: ModbusConnection, unit_id: int, identity: Identity, *, name: str) -> Shown:
    words = await _or_none(line, unit_id, identity.block)
    value = None if words is None else decode_identity(identity, words)
    wanted = "" if identity.equals in {None, value} else f"expected {identity.equals}"
    return Shown(
        name=name,
        fc=identity.block.fc,
        address=identity.block.start,
        words=None if words is None else tuple(words),
        raw=identity.kind,
        value=None if value is None else str(value),
        unit=wanted,
    )


def _energies(profile: Profile, taken: Sample) -> list[Shown]:
    shown = []
    for name, register, energy_mwh in (
        ("import", profile.import_, taken.energy.import_mwh),
        ("export", profile.export, taken.energy.export_mwh),
    ):
        parts = {name: register.field} | ({f"{name} (rest)": register.fine} if register.fine else {})
        for part, field in parts.items():
            value = energy_text(energy_mwh) if part == name else None
            shown += _fields(
                part,
                field,
                profile.energy_block,
                words=taken.registers,
                little=profile.little,
                value=value,
                unit="Wh",
            )
    return shown


def _fields(
    name: str,
    field: Field,
    block: Block,
    *,
    words: Sequence[int] | None,
    little: bool,
    value: object = None,
    unit: str = "W",
) -> list[Shown]:
    """Return a number, and its scale factor if it has one."""
    count = WORDS[field.kind]
    own = None if words is None else tuple(words[field.off : field.off + count])
    shown = [
        Shown(
            name=name,
            fc=block.fc,
            address=block.start + field.off,
            words=own,
            raw=None if words is None else f"{field.kind} {raw_number(field, words, little)}",
            value=None if value is None else str(value),
            unit=unit,
        )
    ]
    if field.sf_off is not None and words is not None:
        word = words[field.sf_off]
        exponent = struct.unpack(">h", struct.pack(">H", word))[0]
        shown.append(
            Shown(
                name=f"{name} (scale)",
                fc=block.fc,
                address=block.start + field.sf_off,
                words=(word,),
                raw=f"s16 {exponent}",
                value=f"10^{exponent}",
                unit="",
            )
        )
    return shown
