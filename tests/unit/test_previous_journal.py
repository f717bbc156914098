"""A journal of the previous version opens: sixteen moments of market days, row by row as that version wrote them."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from edgegw.common.units import SECOND_NS
from edgegw.core.effects import SubmitEnvelope
from edgegw.core.state import TABLES
from edgegw.core.station import wake
from edgegw.core.submission import InDoubt, Prepared
from edgegw.gateway.loop import restore
from edgegw.gateway.row_codec import decode_row, encode_row
from tests.support.universe import Universe

MOMENTS = cast(
    "list[dict[str, str]]",
    json.loads((Path(__file__).parents[1] / "golden" / "journal_rows.json").read_text()),
)


NAMES = [f"moment {number}" for number in range(len(MOMENTS))]


def rows_of(moment: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key: text for key, text in moment.items() if key.startswith(prefix)}


def now_ns(moment: Mapping[str, str]) -> int:
    """A moment after the newest reading."""
    meters = [json.loads(text) for text in rows_of(moment, "meters/").values()]
    return max(int(row["last"]["t1_ns"]) for row in meters if row["last"] is not None) + SECOND_NS


@pytest.mark.parametrize("moment", MOMENTS, ids=NAMES)
def test_every_row_is_read_and_written_as_it_was(moment: Mapping[str, str]) -> None:
    """Each row decodes to its class and encodes to the same text: the next version back can read it, too."""
    for key, text in moment.items():
        assert encode_row(decode_row(TABLES[key.partition("/")[0]], text)) == text, key


@pytest.mark.parametrize("moment", MOMENTS, ids=NAMES)
def test_a_station_wakes_from_the_rows(moment: Mapping[str, str]) -> None:
    """Nothing is lost on the way into the state, and each envelope that may have left is submitted as it was."""
    fresh = Universe(0).fresh
    station = restore(fresh, lambda prefix: rows_of(moment, prefix))
    for name in TABLES:
        assert set(getattr(station, name)) >= {
            key.partition("/")[2] for key in rows_of(moment, f"{name}/")
        }, name
    outcome = wake(station, now_ns(moment))
    sent = {effect.submission_id: effect for effect in outcome.effects if isinstance(effect, SubmitEnvelope)}
    doubtful = {
        item.submission_id: item
        for item in station.submissions.values()
        if isinstance(item, Prepared | InDoubt)
    }
    assert {key: (effect.tx_id, effect.envelope_hex) for key, effect in sent.items()} == {
        key: (item.envelope.tx_id, item.envelope.envelope_hex) for key, item in doubtful.items()
    }


def test_the_moments_show_what_they_are_for() -> None:
    """Among the moments: every state of a submission that is stored, sessions that charge, sell and end, untraded lines."""
    states = Counter(
        json.loads(text)["state"] for moment in MOMENTS for text in rows_of(moment, "submissions/").values()
    )
    assert set(states) == {"new", "endorsing", "prepared", "in_doubt"}
    tables = {key.partition("/")[0] for moment in MOMENTS for key in moment}
    assert tables >= {
        "evses",
        "meters",
        "holds",
        "slices",
        "prices",
        "lines",
        "submissions",
        "answers",
        "tally",
    }
