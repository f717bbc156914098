"""Meter profiles: what is shipped loads, and a file that could misread a meter is refused by name."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgegw.common.errors import ConfigError
from edgegw.meters.profile import load_profile, named_profile, shipped_profiles

PROFILES = sorted((Path(__file__).parents[2] / "configs" / "meters").glob("*.json"))
ABB = next(path for path in PROFILES if path.stem == "abb-b23")
SUNSPEC = next(path for path in PROFILES if path.stem == "sunspec-203")


def _written(tmp_path: Path, raw: object) -> Path:
    path = tmp_path / "meter.json"
    path.write_text(json.dumps(raw))
    return path


def _faults(tmp_path: Path, source: Path, *changes: tuple[str, Any]) -> str:
    raw = copy.deepcopy(json.loads(source.read_text()))
    for key, value in changes:
        at: Any = raw
        *way, last = key.split(".")
        for step in way:
            at = at[int(step) if step.isdigit() else step]
        at[int(last) if last.isdigit() else last] = value
    with pytest.raises(ConfigError) as caught:
        load_profile(_written(tmp_path, raw))
    return str(caught.value)


def test_profiles_by_name_and_by_file() -> None:
    """A bundled profile is found by name, any other by its file; an unknown name lists the bundled ones."""
    assert shipped_profiles() == [path.stem for path in PROFILES]
    assert named_profile("abb-b23") == named_profile(str(ABB)) == load_profile(ABB)
    with pytest.raises(ConfigError, match=r"meter profile 'abb' is unknown; edgegw includes abb-b23, carlo"):
        named_profile("abb")


def test_every_shipped_profile_is_documented() -> None:
    """docs/meters.md has a row for each profile, and for no other, with its serial's register and its step."""
    text = (Path(__file__).parents[2] / "docs" / "meters.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| .+ \| (.+) \| (\S+) \|$", text, re.MULTILINE)
    told = {name: (step, serial) for name, step, serial in rows}
    for name in shipped_profiles():
        profile = named_profile(name)
        step = (
            "from the meter's scale factor"
            if profile.import_.field.sf_off
            else f"{profile.import_.lsb_mwh // 1000} Wh"
        )
        assert told.pop(name) == (step, f"{profile.serial.block.start:#06x}" if profile.serial else "none")
    assert told == {}


def test_the_promised_meters_are_shipped() -> None:
    """The seven meters of the metering edge each have a profile file."""
    assert {path.stem for path in PROFILES} >= {
        "eastron-sdm630",
        "abb-b23",
        "carlo-gavazzi-em340",
        "siemens-pac2200",
        "schneider-iem3x55",
        "sunspec-203",
        "sunspec-213",
    }


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_shipped_profile_is_sound(path: Path) -> None:
    """A shipped profile loads, is named after its file, names sources, and has no two requests of equal length."""
    profile = load_profile(path)
    raw = json.loads(path.read_text())
    assert profile.profile_id == path.stem
    assert all(source["repo"] and source["path"] for source in raw["sources"])
    requests = {
        profile.energy_block,
        profile.power_block,
        profile.serial.block if profile.serial else None,
    } - {None}
    assert len({request.count for request in requests if request}) == len(requests)


def test_sunspec_map_moves_with_its_base() -> None:
    """A relocated SunSpec map shifts every request, the serial's among them (SolarEdge: 40188)."""
    usual, moved = load_profile(SUNSPEC), load_profile(SUNSPEC, base=40188)
    assert usual.energy_block.start == 40070
    assert moved.energy_block.start == 40188
    assert moved.serial is not None
    assert moved.serial.block.start == 40170


def test_a_fixed_map_cannot_be_moved() -> None:
    """A base for a map that has none is a fault, not ignored."""
    with pytest.raises(ConfigError, match="base: this register map cannot be moved"):
        load_profile(ABB, base=100)


@pytest.mark.parametrize(
    ("source", "changes", "message"),
    [
        (ABB, [("blocks.1.count", 8)], "equal length"),
        (ABB, [("values.export.block", "power"), ("values.export.off", 0)], "in one block|one block"),
        (ABB, [("values.export.num", 100)], "same type and scale"),
        (ABB, [("values.import.off", 6)], "values.import: lies outside its block"),
        (ABB, [("blocks.0.count", 126)], "126 registers in one request"),
        (ABB, [("blocks.0.start", 65530)], "leave 0 to 65535"),
        (ABB, [("blocks.0.fc", 1)], "blocks.energy: 1 is not one of"),
        (ABB, [("values.import.num", 0.1)], "num and den must be positive integers"),
        (ABB, [("values.import.lsb_mwh", 1000)], "lsb_mwh must be one count"),
        (ABB, [("values.import.lsb_mwh", 0)], "lsb_mwh must be a positive integer"),
        (ABB, [("values.import.width_bits", None)], "needs width_bits"),
        (ABB, [("values.import.unit", "kWh")], "unit must be Wh"),
        (ABB, [("values.import.type", "u48")], "not one of"),
        (ABB, [("word_order", "middle")], "word_order"),
        (ABB, [("sign", "-")], "sign"),
        (ABB, [("confidence", "sure")], "confidence"),
        (ABB, [("transports", ["udp"])], "transports"),
        (ABB, [("sources", [])], "sources"),
        (
            SUNSPEC.with_name("eastron-sdm630.json"),
            [("values.import.exact_max_mwh", None)],
            "needs exact_max_mwh",
        ),
        (
            SUNSPEC.with_name("eastron-sdm630.json"),
            [("values.import.exact_max_mwh", 32768 * 10**6)],
            "beyond what",
        ),
    ],
)
def test_a_faulty_profile_is_refused_by_name(
    tmp_path: Path, source: Path, changes: list[tuple[str, Any]], message: str
) -> None:
    """Each way to misread a meter is refused with a message that names the key."""
    import re

    assert re.search(message, _faults(tmp_path, source, *changes))


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """One read of a profile reports all its faults, each with the file's name."""
    faults = _faults(tmp_path, ABB, ("word_order", "x"), ("sign", "y"), ("sources", [])).splitlines()
    assert len(faults) == 3
    assert all("meter.json: " in fault for fault in faults)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str) -> None:
    """Broken JSON and JSON that is no profile are configuration faults, not crashes."""
    path = tmp_path / "meter.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"meter\.json"):
        load_profile(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path without a file is a configuration fault."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile(tmp_path / "none.json")
