"""Open submissions in the journal: rows of the version before submissions had types, word for word, open and resume."""

import json
from typing import Any, get_args

import pytest

from edgegw.core.effects import EndorseSubmission, SubmitEnvelope
from edgegw.core.station import wake
from edgegw.core.submission import (
    Endorsing,
    Envelope,
    InDoubt,
    New,
    Open,
    Payload,
    Prepared,
    Purpose,
    State,
)
from edgegw.core.submission_rows import SubmissionRow, submission_of
from edgegw.gateway.loop import restore
from edgegw.gateway.row_codec import decode_row, encode_row
from tests.support.core_bench import Bench

HOLD_5 = (
    r'"arguments_json":"{\"acceptRetail\":true,\"holdId\":\"bcac79b76ae0ae2fea7bbed7ea1f0a05\",'
    r"\"limitPrice\":\"400000\",\"maxWh\":\"100000\",\"memberId\":\"ret\",\"product\":\"CHARGE\",\"v\":1}"
    r'"'
)
HOLD_7 = HOLD_5.replace("bcac79b76ae0ae2fea7bbed7ea1f0a05", "55d62a0147ee3cf3c7f2b29dcb989c4a")
METER_8 = (
    r'"arguments_json":"{\"epoch\":1,\"exportWh\":\"0\",\"gatewayId\":\"GW1\",\"importWh\":\"1000\",'
    r"\"kind\":\"EVSE\",\"meterRef\":\"RA1\",\"ratedW\":\"22000\",\"v\":1,\"zone\":\"Z\"}"
    r'"'
)
# Written by the version before this one, in the order in which a hold goes through its states.
ROWS = {
    "new": "{" + HOLD_7 + ',"attempt":0,"block":-1,"code":"","detail":"","envelope_hex":"","expires_ns":'
    '1784042160000000000,"function":"Hold","lane":"acc~ret","number":7,"purpose":"hold","result":null,"state":"new",'
    '"subject":"55d62a0147ee3cf3c7f2b29dcb989c4a","submission_id":"0000000007","tx_id":""}',
    "endorsing": "{" + HOLD_5 + ',"attempt":0,"block":-1,"code":"","detail":"","envelope_hex":"","expires_ns":'
    '1784042160000000000,"function":"Hold","lane":"acc~ret","number":5,"purpose":"hold","result":null,"state":'
    '"endorsing","subject":"bcac79b76ae0ae2fea7bbed7ea1f0a05","submission_id":"0000000005","tx_id":""}',
    "prepared": "{" + HOLD_5 + ',"attempt":0,"block":-1,"code":"","detail":"","envelope_hex":"00","expires_ns":'
    '1784042160000000000,"function":"Hold","lane":"acc~ret","number":5,"purpose":"hold","result":{"reserved":"1000"},'
    '"state":"prepared","subject":"bcac79b76ae0ae2fea7bbed7ea1f0a05","submission_id":"0000000005","tx_id":"tx5"}',
    "in doubt": "{" + HOLD_5 + ',"attempt":1,"block":-1,"code":"","detail":"","envelope_hex":"00","expires_ns":'
    '1784042160000000000,"function":"Hold","lane":"acc~ret","number":5,"purpose":"hold","result":{"reserved":"1000"},'
    '"state":"in_doubt","subject":"bcac79b76ae0ae2fea7bbed7ea1f0a05","submission_id":"0000000005","tx_id":"tx5"}',
    "again": "{" + HOLD_5 + ',"attempt":2,"block":-1,"code":"MVCC_READ_CONFLICT","detail":"","envelope_hex":"",'
    '"expires_ns":1784042160000000000,"function":"Hold","lane":"acc~ret","number":5,"purpose":"hold","result":null,'
    '"state":"endorsing","subject":"bcac79b76ae0ae2fea7bbed7ea1f0a05","submission_id":"0000000005","tx_id":""}',
    "prepared again": "{" + HOLD_5 + ',"attempt":2,"block":-1,"code":"MVCC_READ_CONFLICT","detail":"","envelope_hex":'
    '"00","expires_ns":1784042160000000000,"function":"Hold","lane":"acc~ret","number":5,"purpose":"hold","result":'
    '{"reserved":"1000"},"state":"prepared","subject":"bcac79b76ae0ae2fea7bbed7ea1f0a05","submission_id":'
    '"0000000005","tx_id":"tx5"}',
    "meter": "{" + METER_8 + ',"attempt":0,"block":-1,"code":"","detail":"","envelope_hex":"","expires_ns":null,'
    '"function":"RegisterMeter","lane":"meter~MA1","number":8,"purpose":"meter","result":null,"state":"endorsing",'
    '"subject":"MA1/1","submission_id":"0000000008","tx_id":""}',
}  # fmt: skip
ENVELOPE = Envelope(tx_id="tx5", envelope_hex="00", result={"reserved": "1000"})


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_previous_version_is_the_row_of_this_one(name: str) -> None:
    """Read and written again, a row is the same text: either version opens the other's journal."""
    submission = decode_row(Payload, ROWS[name])
    assert isinstance(submission, get_args(Open))
    assert encode_row(submission) == ROWS[name]


def test_each_row_is_the_type_of_its_state() -> None:
    """Each row has the type of its state, with the fields of that state only."""
    read: dict[str, Any] = {name: decode_row(Payload, text) for name, text in ROWS.items()}
    assert [type(item) for item in read.values()] == [
        New, Endorsing, Prepared, InDoubt, Endorsing, Prepared, Endorsing,
    ]  # fmt: skip
    assert read["prepared"].envelope == read["in doubt"].envelope == ENVELOPE
    assert (read["again"].attempt, read["again"].code) == (2, "MVCC_READ_CONFLICT")
    assert read["meter"].purpose is Purpose.METER
    assert not hasattr(read["new"], "envelope")


def test_a_journal_of_the_previous_version_opens_and_resumes() -> None:
    """A doubt is sent again under its txid; what was being endorsed starts again, one at a time in its lane."""
    rows = {
        f"submissions/{json.loads(ROWS[name])['submission_id']}": ROWS[name]
        for name in ("in doubt", "new", "meter")
    }
    station = restore(
        Bench().station, lambda prefix: {key: text for key, text in rows.items() if key.startswith(prefix)}
    )
    outcome = wake(station, 0)
    assert [
        (effect.submission_id, effect.tx_id, effect.envelope_hex)
        for effect in outcome.effects
        if isinstance(effect, SubmitEnvelope)
    ] == [("0000000005", "tx5", "00")]
    assert [effect.submission_id for effect in outcome.effects if isinstance(effect, EndorseSubmission)] == [
        "0000000008"
    ]
    assert {key: item.state for key, item in outcome.station.submissions.items()} == {
        "0000000005": State.IN_DOUBT,
        "0000000007": State.NEW,
        "0000000008": State.ENDORSING,
    }


@pytest.mark.parametrize("state", [State.COMMITTED, State.REFUSED, State.EXPIRED])
def test_an_ended_submission_has_no_row(state: State) -> None:
    """An end is a fact, never a row; a row that says otherwise is a fault of ours."""
    row = SubmissionRow(
        submission_id="1", number=1, lane="a", purpose=Purpose.HOLD, subject="h", function="Hold",
        arguments_json="{}", state=state,
    )  # fmt: skip
    with pytest.raises(ValueError, match="submission 1 is"):
        submission_of(row)
