"""Registers to exact integers: golden images per profile, sentinels, and float domains."""

import struct
from pathlib import Path

import pytest

from edgegw.meters.decode import Energy, decode_energy, decode_identity, decode_power
from edgegw.meters.profile import Block, Identity, Profile, load_profile
from firmware_sim.meter import MeterModel, Physics

METERS = Path(__file__).parents[2] / "configs" / "meters"
PHYSICS = Physics(import_mwh=1_234_567_890, export_mwh=89_012_345, power_w=-7360)

# Energy and power registers of a meter that has counted 1234.567 kWh import, 89.012 kWh export and exports 7360 W,
# written down from the makers' formats; 0 elsewhere. (offset in the block, words)
GOLDEN: dict[str, tuple[list[tuple[int, list[int]]], list[tuple[int, list[int]]], int]] = {
    "eastron-sdm630": (
        [(0, [0xC5E6, 0x0000]), (0x14, [0x449A, 0x5225]), (0x16, [0x42B2, 0x0625])],
        [(0, [0xC5E6, 0x0000])],
        1000,
    ),
    "abb-b23": (
        [(0, [0, 0, 0x0001, 0xE240]), (4, [0, 0, 0, 0x22C5])],
        [(0, [0xFFF4, 0xC500])],
        10_000,
    ),
    "carlo-gavazzi-em340": (
        [(0, [0x04D2, 0]), (2, [0x0237, 0]), (8, [0x0059, 0]), (10, [0x000C, 0])],
        [(0, [0xE080, 0xFFFE])],
        1000,
    ),
    "siemens-pac2200": (
        [(0, [0x4132, 0xD687, 0, 0]), (8, [0x40F5, 0xBB40, 0, 0])],
        [(0, [0xC5E6, 0x0000])],
        1000,
    ),
    "schneider-iem3x55": (
        [(0, [0, 0, 0x0012, 0xD687]), (4, [0, 0, 0x0001, 0x5BB4])],
        [(2, [0xC0EB, 0x851F])],
        1000,
    ),
    "sunspec-203": (
        [
            (0, [203]), (18, [0xFD20]), (22, [1]), (38, [0x0001, 0x5BB4]), (46, [0x0012, 0xD687]), (54, [0]),
        ],
        [],
        1000,
    ),
    "sunspec-213": (
        [(0, [213]), (28, [0xC5E6, 0]), (60, [0x47AD, 0xDA00]), (68, [0x4996, 0xB438])],
        [],
        1000,
    ),
}  # fmt: skip


def _image(count: int, fields: list[tuple[int, list[int]]]) -> list[int]:
    words = [0] * count
    for offset, values in fields:
        words[offset : offset + len(values)] = values
    return words


def _profile(name: str) -> Profile:
    return load_profile(METERS / f"{name}.json")


def _f32(value: float) -> list[int]:
    return list(struct.unpack(">2H", struct.pack(">f", value)))


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_image_decodes_exactly(name: str) -> None:
    """The written-down registers give the energy in whole steps of this meter, and the power."""
    profile = _profile(name)
    energy_fields, power_fields, lsb_mwh = GOLDEN[name]
    energy = _image(profile.energy_block.count, energy_fields)
    assert decode_energy(profile, energy) == Energy(
        PHYSICS.import_mwh // lsb_mwh * lsb_mwh, PHYSICS.export_mwh // lsb_mwh * lsb_mwh, degraded=False
    )
    assert profile.power_block is not None
    power = (
        energy
        if profile.power_block == profile.energy_block
        else _image(profile.power_block.count, power_fields)
    )
    assert decode_power(profile, power) == -7360


@pytest.mark.parametrize("name", GOLDEN)
def test_simulated_meter_shows_the_golden_image(name: str) -> None:
    """The simulator, which reads the profile by itself, shows the very same words."""
    profile, model = _profile(name), MeterModel(METERS / f"{name}.json", serial="4711")
    energy_fields, power_fields, _ = GOLDEN[name]
    block = profile.energy_block
    golden = _image(block.count, energy_fields)
    assert model.words(block.fc, block.start, block.count, now=PHYSICS) == golden
    power = profile.power_block
    if power is not None and power != block:
        assert model.words(power.fc, power.start, power.count, now=PHYSICS) == _image(
            power.count, power_fields
        )
    if profile.serial is not None:
        serial = profile.serial.block
        words = model.words(serial.fc, serial.start, serial.count, now=PHYSICS)
        assert str(decode_identity(profile.serial, words)) == "4711"
    for match in profile.match:
        words = model.words(match.block.fc, match.block.start, match.block.count, now=PHYSICS)
        assert decode_identity(match, words) == match.equals


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -0.001, -0.0])
def test_a_float_that_is_no_register_is_not_measured(value: float) -> None:
    """NaN, infinities, a negative register and 0x80000000 ("no value") become None, the other register stays."""
    profile = _profile("eastron-sdm630")
    energy = decode_energy(profile, _image(24, [(0x14, _f32(value)), (0x16, _f32(1.5))]))
    assert energy == Energy(None, 1_500_000, degraded=False)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("abb-b23", [(4, [0xFFFF] * 4)]),
        ("carlo-gavazzi-em340", [(8, [0xFFFF, 0x7FFF])]),
        ("carlo-gavazzi-em340", [(8, [1, 0]), (10, [1000, 0])]),  # 1000 Wh cannot stand beside whole kWh
        ("carlo-gavazzi-em340", [(8, [1, 0]), (10, [0xFFFF, 0xFFFF])]),
        ("schneider-iem3x55", [(4, [0x8000, 0, 0, 0])]),
    ],
)
def test_sentinels_are_not_measured(name: str, fields: list[tuple[int, list[int]]]) -> None:
    """A value that the meter uses for an absent register is None, never a number; zero stays zero."""
    profile = _profile(name)
    assert decode_energy(profile, _image(profile.energy_block.count, fields)) == Energy(
        0, None, degraded=False
    )


@pytest.mark.parametrize(("exponent", "expected"), [(0x8000, None), (11, None), (0xFFFD, 5), (3, 5_000_000)])
def test_sunspec_scale_factor_comes_with_the_registers(exponent: int, expected: int | None) -> None:
    """Energy is scaled by the factor in the same answer; an unimplemented factor means not measured."""
    image = _image(55, [(46, [0, 5]), (54, [exponent])])
    assert decode_energy(_profile("sunspec-203"), image).import_mwh == expected


def test_power_sentinel_and_rounding() -> None:
    """Power rounds to whole watts, halves up; a sentinel is None."""
    profile = _profile("carlo-gavazzi-em340")
    assert decode_power(profile, [15, 0]) == 2
    assert decode_power(profile, [14, 0]) == 1
    assert decode_power(profile, [0xFFFF, 0x7FFF]) is None


def test_float_beyond_its_domain_is_degraded_and_monotone() -> None:
    """From 16384 kWh on a float32 in kWh has steps of 2 Wh and more: readings are marked, and never fall."""
    profile = _profile("eastron-sdm630")
    values = []
    bits = struct.unpack(">I", struct.pack(">f", 16383.99))[0]
    for step in range(30):
        word = bits + step
        energy = decode_energy(profile, _image(24, [(0x14, [word >> 16, word & 0xFFFF])]))
        assert energy.import_mwh is not None
        assert energy.degraded == (energy.import_mwh >= 16_384_000_000)
        values.append(energy.import_mwh)
    assert values == sorted(values)
    assert values[-1] > 16_384_000_000


def test_identity_text_and_absent_number() -> None:
    """ASCII ends at the first NUL and holds what can be printed; an all-ones serial number and an empty text are absent."""
    block = Block(fc=3, start=0, count=2)
    assert decode_identity(Identity(block=block, kind="ascii"), [0x4142, 0x4300]) == "ABC"
    assert decode_identity(Identity(block=block, kind="ascii"), [0x1B41, 0x0A42]) == "AB"
    assert decode_identity(Identity(block=block, kind="ascii"), [0, 0]) is None
    assert decode_identity(Identity(block=block, kind="u32"), [0xFFFF, 0xFFFF]) is None
