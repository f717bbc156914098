"""Encode exact energy in mWh as the Modbus registers of a given meter model.

A register is the energy truncated to the meter's step when it is read, never a sum of truncated steps.
Reads the gateway's profile files (docs/meters.md) with code of its own, so that a misreading in either shows up.
"""

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_CODES = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "f32": "f", "u64": "Q", "s64": "q", "f64": "d"}
_Writer = Callable[["Physics"], list[int]]


class Physics(NamedTuple):
    """The meter's true state: energy in each direction in mWh, power in W (positive: import)."""

    import_mwh: int
    export_mwh: int
    power_w: int


class MeterModel:
    """The register map of one meter model; `spans` are the (address, count) ranges it answers, by function code."""

    def __init__(self, profile_path: Path, *, serial: str = "10000001") -> None:
        raw: dict[str, Any] = json.loads(profile_path.read_text(encoding="utf-8"))
        self._little = raw["word_order"] == "little"
        self._base: int = raw.get("base", 0)
        self._sign = 1 if raw["sign"] == "import+" else -1
        self._blocks = {block["name"]: block for block in raw["blocks"]}
        self.spans: dict[int, list[tuple[int, int]]] = {3: [], 4: []}
        self._constants: dict[tuple[int, int], int] = {}
        self._serial: Mapping[str, Any] | None = raw["serial"]
        self._live: list[tuple[int, int, int, _Writer]] = []  # fc, first address, words, writer
        for block in raw["blocks"]:
            self.spans[block["fc"]].append((self._base + block["start"], block["count"]))
        for match in raw["match"]:
            self._place(match, _identity_words(match, match["equals"]))
        self.set_serial(serial)
        for direction in ("import", "export"):
            self._add_energy(direction, raw["values"][direction])
        if power := raw["values"].get("power"):
            scale = self._sign * power["den"] / (power["num"] * 10 ** power.get("sf", {"usual": 0})["usual"])
            self._add(power, power["off"], power["type"], number=lambda now: now.power_w * scale)
            self._place_scale(power)

    def set_serial(self, serial: str) -> None:
        """Set the serial number registers, as after a replacement by a device of the same model."""
        if self._serial is not None:
            self._place(self._serial, _identity_words(self._serial, serial))

    def words(self, fc: int, address: int, count: int, *, now: Physics) -> list[int]:
        """Return the words at `address` to `address + count - 1` for the state `now`; 0 where the map has no value."""
        end = address + count
        out = [self._constants.get((fc, at), 0) for at in range(address, end)]
        for live_fc, first, length, write in self._live:
            if live_fc == fc and first < end and first + length > address:
                for at, word in enumerate(write(now), first):
                    if address <= at < end:
                        out[at - address] = word
        return out

    def _place(self, identity: Mapping[str, Any], words: Sequence[int]) -> None:
        first = self._base + identity["addr"]
        self.spans[identity["fc"]].append((first, len(words)))
        self._constants.update({(identity["fc"], first + at): word for at, word in enumerate(words)})

    def _place_scale(self, value: Mapping[str, Any]) -> None:
        if scale := value.get("sf"):
            block = self._blocks[value["block"]]
            at = self._base + block["start"] + scale["off"]
            self._constants[block["fc"], at] = scale["usual"] & 0xFFFF

    def _add_energy(self, direction: str, value: Mapping[str, Any]) -> None:
        lsb_mwh: int = value["lsb_mwh"]
        usual: int = value.get("sf", {"usual": 0})["usual"]
        unit_mwh_times_den = value["num"] * 1000 * 10**usual
        of = 0 if direction == "import" else 1

        def truncated_mwh(now: Physics) -> int:
            return now[of] // lsb_mwh * lsb_mwh

        def whole(now: Physics) -> int:
            count = truncated_mwh(now) * value["den"] // unit_mwh_times_den
            return int(count % 2 ** value["width_bits"])

        def floating(now: Physics) -> float:
            return float(truncated_mwh(now) * value["den"] / unit_mwh_times_den)

        def fine(now: Physics) -> int:
            rest_mwh = truncated_mwh(now) % (unit_mwh_times_den // value["den"])
            return int(rest_mwh * value["plus"]["den"] // (value["plus"]["num"] * 1000))

        self._add(value, value["off"], value["type"], number=floating if value["type"][0] == "f" else whole)
        if "plus" in value:
            self._add(value, value["plus"]["off"], value["plus"]["type"], number=fine)
        self._place_scale(value)

    def _add(
        self, value: Mapping[str, Any], off: int, kind: str, *, number: Callable[[Physics], float]
    ) -> None:
        block = self._blocks[value["block"]]
        packer = struct.Struct(">" + _CODES[kind])
        splitter = struct.Struct(f">{packer.size // 2}H")
        step = -1 if self._little else 1
        is_float = kind[0] == "f"

        def write(now: Physics) -> list[int]:
            raw = number(now)
            return list(splitter.unpack(packer.pack(raw if is_float else int(raw))))[::step]

        self._live.append((block["fc"], self._base + block["start"] + off, packer.size // 2, write))


def _identity_words(identity: Mapping[str, Any], value: int | str) -> list[int]:
    if identity["type"] == "ascii":
        text = str(value).encode("ascii").ljust(identity["count"] * 2, b"\0")
        return list(struct.unpack(f">{identity['count']}H", text[: identity["count"] * 2]))
    if identity["type"] == "u16":
        return [int(value)]
    return list(struct.unpack(">2H", struct.pack(">I", int(value))))
