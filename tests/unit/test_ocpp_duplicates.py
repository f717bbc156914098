"""A repeated billing message is recognised, differences are reported, and the memory for it is bounded."""

import json
from typing import Any

import pytest

from edgegw.chargers import json_values
from edgegw.chargers.admission import (
    AdmissionControl,
    Attempt,
    Denial,
    RememberedProfiles,
    charger_id_of,
)
from edgegw.chargers.basic_authentication import Gatekeeper
from edgegw.chargers.duplicates import KEPT_CHARACTERS_MAX, KEPT_MAX, Duplicates
from edgegw.chargers.masking import masked_broken
from edgegw.chargers.pending_chargers import PendingChargers
from edgegw.chargers.rejection_log import RejectionLog
from edgegw.chargers.settings import ListenerSettings


def frame(**payload: Any) -> str:
    return json.dumps([2, "id", "TransactionEvent", payload])


def test_a_repeat_may_come_late_and_say_so() -> None:
    """Equal bytes, another message id or the offline flag are a repeat; a different value is not, and is named."""
    repeats = Duplicates()
    first = frame(seqNo=1, reason="a", idTag="#x", values=[1])
    assert repeats.differing("k", first) is None
    assert repeats.differing("k", first) is None
    assert repeats.differing("k", first.replace('"id"', '"other"')) is None
    assert repeats.differing("k", frame(seqNo=1, reason="a", idTag="#x", values=[1], offline=True)) is None
    flaw = repeats.differing("k", frame(seqNo=1, reason="b", idTag="#y", values=[2]))
    assert flaw is not None
    assert flaw.detail == 'k: other idTag; reason "a" -> "b"; other values'
    assert repeats.differing("k", first) is None  # the first one stays what it is compared with


def test_memory_is_short() -> None:
    """The newest few are kept, by number and by size."""
    repeats = Duplicates()
    for number in range(KEPT_MAX + 1):
        repeats.differing(str(number), frame(n=number))
    assert repeats.differing("0", frame(n=99)) is None  # forgotten, and thereby first again
    assert repeats.differing("5", frame(n=99)) is not None
    repeats.differing("big", frame(n="x" * KEPT_CHARACTERS_MAX))
    assert repeats._characters <= KEPT_CHARACTERS_MAX


@pytest.mark.parametrize(
    "text",
    [
        '[2,"a","StartTransaction",{"idTag":"SECRET',
        '[2,"a","StartTransaction",{"idTag":"SECRET"',
        '[2,"a","StartTransaction",{"meterStart":NaN,"idTag":"SECRET"}]',
        "{'idTag':'SECRET','x':1}",
        "{idtag=SECRET}",
        '{"idToken":{"idToken":"SECRET","type":"ISO',
        '{"idToken" : {"additionalInfo":[{"additionalIdToken": "SECRET',
        '{"x":1..2,"idTag":1..2SECRET}',
        '{"a\x01":"\\q","id\\u0054ag":"SECRET',
    ],
)
def test_broken_frames_show_no_card(text: str) -> None:
    """In text that is not JSON, anything that may be a card's number is removed, in any spelling; the rest is kept."""
    kept = masked_broken(text, json_values.normal_token, lambda _: "hash")
    assert "SECRET" not in kept
    assert kept[:3] == text[:3]


def test_broken_frames_without_a_card_stay_as_they_came() -> None:
    """Nothing is cut out of a reading."""
    text = '[2,"a","MeterValues",{"connectorId":1,"meterValue":[{'
    assert masked_broken(text, json_values.normal_token, lambda _: "hash") == text


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("fe80::1%eth0", False), ("10.0.0.1", False), ("", False)],
)  # fmt: skip
async def test_plain_networks_hold_for_every_spelling_of_an_address(address: str, *, allowed: bool) -> None:
    """IPv4 in the clothes of IPv6 is IPv4; a zone is no part of an address; what is none is nowhere."""
    door = AdmissionControl(
        settings=ListenerSettings(host="", port=0),
        gatekeeper=Gatekeeper({}, lambda: 0.0),
        refusals=RejectionLog(lambda *_: None, now_ns=lambda: 0, now_s=lambda: 0.0),
        pending=PendingChargers(),
        profiles=RememberedProfiles(),
    )
    attempt = Attempt(path="/ocpp/A", is_upgrade=True, authorization=(), address=address, profile=1)
    assert await door.admit(attempt) == (401 if allowed else 403)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ocpp/CP*1", "CP*1"),
        ("/ocpp/a%7Cb?x=1", "a|b"),
        ("/ocpp/" + "x" * 48, "x" * 48),
        ("/ocpp/" + "x" * 49, "EGW-1002"),
        ("/ocpp/a/b", "EGW-1003"),
        ("/ocpp/a b", "EGW-1003"),
        ("/ocpp/a%0A", "EGW-1003"),
        ("/ocpp/%C3%A4", "EGW-1003"),
        ("/ocpp", "EGW-1001"),
        ("/ws/CP1", "EGW-1001"),
    ],
)
def test_the_id_in_a_path(path: str, expected: str) -> None:
    """One segment after /ocpp/, percent-decoded, of OCPP's identifier characters, at most 48."""
    found = charger_id_of(path)
    assert (found.code if isinstance(found, Denial) else found) == expected
