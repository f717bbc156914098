"""Load meter profiles (`configs/meters/*.json`), and reject a register map that could misread a meter.

Decides the requests to a unit (both energy directions in one, and no two of equal length, so that a late response
cannot pass for another) and how words become exact ratios. Never uses a socket or a float.
Source: docs/meters.md, Profiles; each file names the source of its map.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgegw.common.bundled_files import configs
from edgegw.common.errors import ConfigError

WORDS = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2, "u64": 4, "s64": 4, "f64": 4}
TRANSPORTS = {"tcp", "rtu", "rtu-tcp"}
MAX_REGS = 125  # Modbus application protocol 1.1b3, 6.3 and 6.4: quantity of registers
EXACT_FLOAT_BITS = {"f32": 24, "f64": 53}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One read request: `count` registers from wire address `start` with function code `fc` (3 or 4)."""

    fc: int
    start: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A number in a block: value = raw * num / den * 10**(scale factor at `sf_off`), in Wh or W."""

    off: int
    kind: str
    num: int
    den: int
    sf_off: int | None = None
    nan: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A cumulative energy register in Wh; `fine` is a second number to add, smaller than one unit of `field`.

    `lsb_mwh` is the meter's smallest step. A float represents it exactly below `exact_max_mwh`; an integer wraps at
    2**`width_bits`. A `resettable` register can be set to zero at the meter.
    """

    field: Field
    fine: Field | None
    lsb_mwh: int
    exact_max_mwh: int | None
    width_bits: int | None
    resettable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A register block with a unit's model or serial number, an integer or ASCII; `equals` is a required value."""

    block: Block
    kind: Literal["u16", "u32", "ascii"]
    equals: int | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One meter model. The bus reads power only if `power_block` is the energy block, without an extra request."""

    profile_id: str
    transports: frozenset[str]
    little: bool
    min_gap_ms: int
    min_timeout_ms: int
    energy_block: Block
    import_: Register
    export: Register
    power_block: Block | None
    power: Field | None
    power_sign: int
    match: tuple[Identity, ...]
    serial: Identity | None


def load_profile(path: Path, *, base: int | None = None) -> Profile:
    """Read and check one profile; `base` relocates a relocatable map (SunSpec).

    Raises ConfigError with every fault as `file: key: message`.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError((f"{path}: cannot be read: {error}",)) from error
    reader = _Reader(raw if isinstance(raw, dict) else {}, base)
    profile = reader.profile()
    if reader.faults or profile is None:
        raise ConfigError(tuple(f"{path}: {fault}" for fault in reader.faults))
    return profile


def named_profile(name: str) -> Profile:
    """Load a profile by its file, or by the name of one that edgegw includes; raise ConfigError."""
    path = Path(name)
    if path.suffix == ".json":
        return load_profile(path)
    shipped = configs() / "meters" / f"{name}.json"
    if not shipped.is_file():
        raise ConfigError(
            (f"meter profile {name!r} is unknown; edgegw includes {', '.join(shipped_profiles())}",)
        )
    return load_profile(shipped)


def shipped_profiles() -> list[str]:
    """Return the names of all profiles that edgegw includes."""
    return sorted(path.stem for path in (configs() / "meters").glob("*.json"))


class _Reader:
    """Builds a Profile and collects all faults."""

    def __init__(self, raw: Mapping[str, Any], base: int | None) -> None:
        self.raw = raw
        self.faults: list[str] = []
        if base is not None and "base" not in raw:
            self._fault("base", "this register map cannot be moved")
        self.base = base if base is not None else raw.get("base", 0)

    def _fault(self, key: str, message: str) -> None:
        self.faults.append(f"{key}: {message}")

    def profile(self) -> Profile | None:
        """Return the profile, or None if it cannot be built; `faults` holds every fault."""
        try:
            profile = self._build()
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            self._fault("profile", f"missing or malformed: {error!r}")
            return None
        self._check_requests(profile)
        return profile

    def _build(self) -> Profile:
        raw = self.raw
        blocks = {block["name"]: self._block(f"blocks.{block['name']}", block) for block in raw["blocks"]}
        values = raw["values"]
        import_, export, power = values["import"], values["export"], values.get("power")
        if import_["block"] != export["block"]:
            self._fault(
                "values", "import and export must be in one block: two requests can tear or swap them"
            )
        if any(import_.get(key) != export.get(key) for key in ("type", "num", "den", "lsb_mwh", "plus_type")):
            self._fault("values", "import and export must have the same type and scale")
        self._one_of("word_order", raw["word_order"], ("big", "little"))
        self._one_of("sign", raw["sign"], ("import+", "export+"))
        self._one_of("confidence", raw["confidence"], ("A", "B", "C"))
        if not raw["sources"]:
            self._fault("sources", "a register map needs a source")
        for transport in raw["transports"]:
            self._one_of("transports", transport, TRANSPORTS)
        energy_block = blocks[import_["block"]]
        power_block = blocks[power["block"]] if power else None
        return Profile(
            profile_id=str(raw["id"]),
            transports=frozenset(raw["transports"]),
            little=raw["word_order"] == "little",
            min_gap_ms=int(raw["min_gap_ms"]),
            min_timeout_ms=int(raw["min_timeout_ms"]),
            energy_block=energy_block,
            import_=self._register("values.import", import_, energy_block),
            export=self._register("values.export", export, energy_block),
            power_block=power_block,
            power=self._field("values.power", power, power_block) if power_block else None,
            power_sign=1 if raw["sign"] == "import+" else -1,
            match=tuple(self._identity("match", match) for match in raw["match"]),
            serial=self._identity("serial", raw["serial"]) if raw["serial"] else None,
        )

    def _one_of(self, key: str, value: object, allowed: object) -> None:
        if value not in allowed:  # type: ignore[operator]  # tuples and sets only
            self._fault(key, f"{value!r} is not one of {allowed}")

    def _block(self, key: str, raw: Mapping[str, Any]) -> Block:
        block = Block(fc=raw["fc"], start=self.base + raw["start"], count=raw["count"])
        self._one_of(key, block.fc, (3, 4))
        if not 1 <= block.count <= min(self.raw["max_regs"], MAX_REGS):
            self._fault(
                key, f"{block.count} registers in one request; this meter gives {self.raw['max_regs']}"
            )
        if block.start < 0 or block.start + block.count > 1 << 16:
            self._fault(key, f"addresses {block.start} to {block.start + block.count - 1} leave 0 to 65535")
        return block

    def _field(self, key: str, raw: Mapping[str, Any], block: Block) -> Field:
        scale = raw.get("sf")
        field = Field(
            off=raw["off"],
            kind=raw["type"],
            num=raw["num"],
            den=raw["den"],
            sf_off=scale["off"] if scale else None,
            nan=frozenset(raw.get("nan", ())),
        )
        self._one_of(f"{key}.type", field.kind, tuple(WORDS))
        if not all(type(number) is int and number > 0 for number in (field.num, field.den)):
            self._fault(key, "num and den must be positive integers")
        ends = [field.off + WORDS.get(field.kind, 1)] + (
            [field.sf_off + 1] if field.sf_off is not None else []
        )
        if field.off < 0 or max(ends) > block.count:
            self._fault(key, f"lies outside its block of {block.count} registers")
        return field

    def _register(self, key: str, raw: Mapping[str, Any], block: Block) -> Register:
        register = Register(
            field=self._field(key, raw, block),
            fine=self._field(f"{key}.plus", raw["plus"], block) if "plus" in raw else None,
            lsb_mwh=raw["lsb_mwh"],
            exact_max_mwh=raw.get("exact_max_mwh"),
            width_bits=raw.get("width_bits"),
            resettable=raw["resettable"],
        )
        if raw["unit"] != "Wh":
            self._fault(key, "unit must be Wh; scale with num and den")
        if type(register.lsb_mwh) is not int or register.lsb_mwh <= 0:
            self._fault(key, "lsb_mwh must be a positive integer")
        elif register.field.kind in EXACT_FLOAT_BITS:
            self._check_float(key, register)
        elif register.width_bits is None:
            self._fault(key, "an integer register needs width_bits")
        else:
            finest = register.fine or register.field
            if finest.num * 1000 != register.lsb_mwh * finest.den:
                self._fault(key, "lsb_mwh must be one count of the register")
        return register

    def _check_float(self, key: str, register: Register) -> None:
        """Check that below `exact_max_mwh` adjacent floats differ by at most one step."""
        if register.exact_max_mwh is None:
            self._fault(key, "a float register needs exact_max_mwh")
            return
        unit_mwh = register.field.num * 1000 // register.field.den
        largest = register.exact_max_mwh // unit_mwh
        spacing_bits = max(largest - 1, 1).bit_length() - EXACT_FLOAT_BITS[register.field.kind]
        spacing_too_wide = (
            unit_mwh << spacing_bits > register.lsb_mwh
            if spacing_bits >= 0
            else unit_mwh > register.lsb_mwh << -spacing_bits
        )
        if spacing_too_wide:
            self._fault(key, "exact_max_mwh is beyond what this float can carry in steps of lsb_mwh")

    def _identity(self, key: str, raw: Mapping[str, Any]) -> Identity:
        kind = raw["type"]
        self._one_of(f"{key}.type", kind, ("u16", "u32", "ascii"))
        count = raw["count"] if kind == "ascii" else WORDS.get(kind, 1)
        block = self._block(key, {"fc": raw["fc"], "start": raw["addr"], "count": count})
        return Identity(block=block, kind=kind, equals=raw.get("equals"))

    def _check_requests(self, profile: Profile) -> None:
        blocks = {profile.energy_block, profile.power_block, profile.serial and profile.serial.block} - {None}
        counts = [block.count for block in blocks if block]
        if len(counts) != len(set(counts)):
            self._fault(
                "blocks", "two requests of equal length: a late answer to one would pass for the other"
            )
