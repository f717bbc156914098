"""Segments telescope: whatever a meter does, their sums are differences of its cumulative registers."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.common.units import INTERVAL_NS
from edgegw.core.events import RegisterRead
from edgegw.core.metering import MeterAccount, Segment, cut_at_last, measure

START_NS = 1_784_041_200_000_000_000
ACCOUNT = MeterAccount(meter_id="M", meter_ref="R", power_w_max=22_000)
# What happens before a reading: seconds, mean power in W (import positive), jitter of the answer in ms, and a trick.
STEPS = st.lists(
    st.tuples(
        st.integers(1, 2_000),
        st.integers(-11_000, 22_000),
        st.integers(0, 400),
        st.sampled_from(["none"] * 12 + ["up", "down", "nan", "reset", "swap", "stranger", "cut"]),
    ),
    max_size=60,
)


class Meter:
    """A meter's true registers, and everything that the core made of its readings."""

    def __init__(self) -> None:
        self.account = ACCOUNT
        self.now_ns = START_NS
        self.registers = [7_000, 3_000]
        self.serial = 1
        self.segments: list[Segment] = []
        self.firsts: dict[int, tuple[int, int]] = {}
        self.lasts: dict[int, tuple[int, int]] = {}
        self.read(0)

    def read(
        self, jitter_ms: int, *, registers: list[int | None] | None = None, serial: str | None = None
    ) -> None:
        """One reading, true or tricked; remembers each epoch's first and last accepted registers."""
        shown = registers or list(self.registers)
        reading = RegisterRead(
            meter_id="M",
            t0_ns=self.now_ns,
            t1_ns=self.now_ns + jitter_ms * 1_000_000,
            import_mwh=shown[0],
            export_mwh=shown[1],
            power_w=None,
            serial=serial or str(self.serial),
        )
        measured = measure(self.account, reading)
        self.account = measured.account
        self.segments += measured.segments
        assert self.account.first is not None
        assert self.account.last is not None
        first, last = self.account.first, self.account.last
        self.firsts[self.account.epoch] = (first.import_mwh, first.export_mwh)
        self.lasts[self.account.epoch] = (last.import_mwh, last.export_mwh)

    def play(self, step: tuple[int, int, int, str]) -> None:
        """Time passes at a power, then the meter is read, or plays a trick."""
        seconds, power_w, jitter_ms, trick = step
        self.now_ns += seconds * 1_000_000_000
        self.registers[power_w < 0] += abs(power_w) * seconds * 1000 // 3600
        if trick == "up":
            self.read(jitter_ms, registers=[self.registers[0] + 10**9, self.registers[1]])
        elif trick == "down":
            self.read(jitter_ms, registers=[0, 0])
        elif trick == "nan":
            self.read(jitter_ms, registers=[None, self.registers[1]])
        elif trick == "stranger":
            self.read(jitter_ms, registers=[60_000, 70_000], serial="stranger")
        elif trick == "cut":
            self.account, segment = cut_at_last(self.account)
            self.segments += [] if segment is None else [segment]
        else:
            if trick == "reset":
                self.registers = [0, 0]
            elif trick == "swap":
                self.serial += 1
                self.registers = [50_000, 60_000]
                self.account = replace(self.account, adopted=str(self.serial))
            self.read(jitter_ms)


@given(STEPS)
@settings(max_examples=150)
def test_segments_sum_up_to_the_register(steps: list[tuple[int, int, int, str]]) -> None:
    """Per epoch: segments are contiguous, none is negative, and they sum up to last minus first accepted register."""
    meter = Meter()
    for step in steps:
        meter.play(step)
    meter.account, rest = cut_at_last(meter.account)
    segments = meter.segments + ([] if rest is None else [rest])
    for epoch, first in meter.firsts.items():
        own = [segment for segment in segments if segment.epoch == epoch]
        at = first
        for segment in own:
            assert (segment.start.import_mwh, segment.start.export_mwh) == at
            at = (segment.end.import_mwh, segment.end.export_mwh)
            assert segment.import_wh >= 0
            assert segment.export_wh >= 0
            assert segment.end.at_ns > segment.start.at_ns
        assert at == meter.lasts[epoch]
        wh = (
            meter.lasts[epoch][0] // 1000 - first[0] // 1000,
            meter.lasts[epoch][1] // 1000 - first[1] // 1000,
        )
        assert wh == (sum(item.import_wh for item in own), sum(item.export_wh for item in own))


@given(STEPS)
def test_no_segment_crosses_a_quarter_hour(steps: list[tuple[int, int, int, str]]) -> None:
    """Each segment is within the quarter hour that it is recorded in."""
    meter = Meter()
    for step in steps:
        meter.play(step)
    for segment in meter.segments:
        start_ns = segment.interval * 1_000_000_000
        assert start_ns <= segment.start.at_ns < segment.end.at_ns <= start_ns + INTERVAL_NS


@given(STEPS)
def test_a_glitch_changes_nothing(steps: list[tuple[int, int, int, str]]) -> None:
    """A single wrong, missing or foreign reading between two right ones leaves segments as they would be without it."""
    plain, glitched = Meter(), Meter()
    for seconds, power_w, jitter_ms, trick in steps:
        calm = (seconds, power_w, jitter_ms, trick if trick in {"none", "cut"} else "none")
        if trick in {"up", "down", "nan", "stranger"}:
            glitched.play((seconds, power_w, jitter_ms, trick))
            plain.now_ns, plain.registers = glitched.now_ns, list(glitched.registers)
            calm = (1, 0, 0, "none")
        plain.play(calm)
        glitched.play(calm)
    assert glitched.segments == plain.segments
    assert replace(glitched.account, quarantined=0) == replace(plain.account, quarantined=0)
