"""What a counter reset may hide from the station: bounded, and only where a new epoch follows."""

from typing import Any

from firmware_sim.audit.facts import Facts
from firmware_sim.audit.finding import Findings
from firmware_sim.audit.resets import STEPS_WH, unmeasured_wh_max

NS_PER_S = 1_000_000_000


def segment(epoch: int, begin_s: int, end_s: int, meter_id: str = "M1") -> dict[str, Any]:
    return {
        "meter_id": meter_id,
        "epoch": epoch,
        "start_ns": begin_s * NS_PER_S,
        "end_ns": end_s * NS_PER_S,
    }


def most_wh(resets_s: list[int], *segments: dict[str, Any]) -> tuple[int, list[str]]:
    findings = Findings()
    book = {"rated_w": 3_600, "resets": [{"utc_s": at_s} for at_s in resets_s]}
    facts = Facts(meters=(), by_kind={"segment": list(segments)})
    found_wh = unmeasured_wh_max(book, facts, meter_id="M1", findings=findings)
    return found_wh, [finding.code for finding in findings.found]


def test_without_resets_nothing_may_be_missing() -> None:
    """An epoch by itself, as after an exchange of the device, hides nothing."""
    assert most_wh([], segment(1, 0, 100), segment(2, 160, 900)) == (0, [])


def test_a_reset_hides_rated_power_for_the_gap_around_it() -> None:
    """3600 W for the 60 s between the epochs' readings is 60 Wh, for each reset its own gap; others' meters do not count."""
    segments = (segment(1, 0, 50), segment(1, 50, 100), segment(2, 160, 900), segment(3, 910, 1_800))
    assert most_wh([130], *segments, segment(2, 100, 100, "M2")) == (60 + STEPS_WH, [])
    assert most_wh([130, 905], *segments) == (60 + 10 + 2 * STEPS_WH, [])


def test_a_reset_that_the_station_did_not_see_is_found() -> None:
    """A station that read on in the old epoch as if nothing had happened is not believed."""
    assert most_wh([500], segment(1, 0, 900)) == (STEPS_WH, ["EPOCHS"])
    assert most_wh([500], segment(1, 0, 900), segment(2, 960, 1_800)) == (STEPS_WH, ["EPOCHS"])
