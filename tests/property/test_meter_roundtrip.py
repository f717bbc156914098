"""Physics -> simulated registers -> decoder: what the gateway reads is the physics truncated to the meter's step."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.meters.decode import decode_energy, decode_power
from edgegw.meters.profile import Register, load_profile
from firmware_sim.meter import MeterModel, Physics

PROFILES = sorted((Path(__file__).parents[2] / "configs" / "meters").glob("*.json"))
LOADED = {path.stem: (load_profile(path), MeterModel(path)) for path in PROFILES}
MWH = st.one_of(
    st.integers(0, 10**7),
    st.integers(0, 17_000_000_000),
    st.integers(0, 10**12),
    st.sampled_from([16_384_000_000, 16_777_216_000, 2**32 * 1000]).flatmap(
        lambda at: st.integers(at - 5000, at + 5000)
    ),
)


def _check(register: Register, truth_mwh: int, read_mwh: int | None) -> bool:
    """Assert the law for one register; returns whether it is beyond its exact domain."""
    truncated_mwh = truth_mwh // register.lsb_mwh * register.lsb_mwh
    assert read_mwh is not None
    if register.exact_max_mwh is None:
        assert register.width_bits is not None
        counted = register.field.num * 1000 // register.field.den << register.width_bits
        assert read_mwh == truncated_mwh % counted
        return False
    if truncated_mwh < register.exact_max_mwh:
        assert read_mwh == truncated_mwh
        return False
    step_mwh = register.lsb_mwh
    while truncated_mwh * register.lsb_mwh >= register.exact_max_mwh * step_mwh:
        step_mwh *= 2
    assert abs(read_mwh - truncated_mwh) <= step_mwh
    return True


@pytest.mark.parametrize("name", LOADED)
@settings(max_examples=150, deadline=None)
@given(import_mwh=MWH, export_mwh=MWH, power_w=st.integers(-300_000, 300_000))
def test_reading_is_the_truncated_physics(name: str, import_mwh: int, export_mwh: int, power_w: int) -> None:
    """decode(encode(x)) is x truncated to the step; beyond a float's domain within its coarser step, and marked."""
    profile, model = LOADED[name]
    physics = Physics(import_mwh, export_mwh, power_w)
    block = profile.energy_block
    energy = decode_energy(profile, model.words(block.fc, block.start, block.count, now=physics))
    import_coarse = _check(profile.import_, import_mwh, energy.import_mwh)
    export_coarse = _check(profile.export, export_mwh, energy.export_mwh)
    assert energy.degraded == (import_coarse or export_coarse)
    assert profile.power_block is not None
    power = profile.power_block
    read_w = decode_power(profile, model.words(power.fc, power.start, power.count, now=physics))
    assert read_w is not None
    assert abs(read_w - power_w) <= 10


@pytest.mark.parametrize("name", LOADED)
@settings(max_examples=80, deadline=None)
@given(start_mwh=st.integers(0, 10**11), steps=st.lists(st.integers(0, 50_000), max_size=20))
def test_a_growing_register_never_reads_as_falling(name: str, start_mwh: int, steps: list[int]) -> None:
    """Monotone physics gives monotone readings and differences that telescope, in the degraded domain too."""
    profile, model = LOADED[name]
    block = profile.energy_block
    readings = []
    for step in [0, *steps]:
        start_mwh += step
        words = model.words(block.fc, block.start, block.count, now=Physics(start_mwh, 0, 0))
        read_mwh = decode_energy(profile, words).import_mwh
        assert read_mwh is not None
        readings.append(read_mwh)
    assert readings == sorted(readings)
