"""OCPP framing: answers are matched with their CALLs, and malformed frames get the right error."""

import json

import pytest

from edgegw.chargers.call_types import Fault
from edgegw.chargers.rpc import CallEnded, CallReceived, Ignored, Rpc, SendText
from edgegw.chargers.schemas import Schemas


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_call_is_read(version: str) -> None:
    """A CALL gives id, action and payload; an absent payload or one that is no object is None."""
    rpc = Rpc(version)
    assert rpc.receive('[2,"a","Heartbeat",{}]') == CallReceived(
        message_id="a", action="Heartbeat", payload={}
    )
    assert rpc.receive('[2,"a","Heartbeat"]') == CallReceived(
        message_id="a", action="Heartbeat", payload=None
    )
    assert rpc.receive('[2,"a","Heartbeat",[1]]') == CallReceived(
        message_id="a", action="Heartbeat", payload=None
    )
    assert rpc.receive('[2,5,"Heartbeat",{}]') == CallReceived(message_id=5, action="Heartbeat", payload={})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "3", '"x"', "[2]", '[2,null,"A",{}]', '[2,"","A",{}]', "[" * 9999]
)
def test_unreadable_frame(text: str) -> None:
    """A frame without a readable id is answered as "-1" on 2.x and dropped on 1.6; none of it is repeated."""
    answer = Rpc("2.1").receive(text)
    assert isinstance(answer, SendText)
    assert json.loads(answer.text) == [4, "-1", "RpcFrameworkError", "unreadable", {}]
    dropped = Rpc("1.6").receive(text)
    assert isinstance(dropped, Ignored)
    assert (dropped.reason, dropped.flaw) == ("unreadable", answer.flaw)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f'[2,"a","Heartbeat",{{"x":{"9" * 10_000}}}]', "EGW-1204"),
        ('[2,"a","Heartbeat",{"x":NaN}]', "EGW-1204"),
        ('[2,"a","Heartbeat",{"x":-Infinity}]', "EGW-1204"),
        ('[2,"a","Heartbeat",{"x":1,"x":2}]', "EGW-1205"),
        (f'[2,"a","Heartbeat",{{"x":{"[" * 40}1{"]" * 40}}}]', "EGW-1220"),
        (f'[2,"a","Heartbeat",{{"x":{"[" * 100_000}', "EGW-1220"),
        ('[2,"a","Heartbeat",{"x":', "EGW-1201"),
        (' [ 2 , "a" , "Heartbeat" oops', "EGW-1201"),
    ],
)
def test_a_broken_call_is_still_a_call(text: str, code: str) -> None:
    """A malformed CALL with a readable id and action is answered as a CALL, with the reason."""
    call = Rpc("1.6").receive(text)
    assert isinstance(call, CallReceived)
    assert (call.message_id, call.action) == ("a", "Heartbeat")
    assert call.broken is not None
    assert call.broken.code == code


def test_a_broken_answer_ends_its_call() -> None:
    """A truncated answer is matched by its id and ends its CALL; one in a lenient form is accepted."""
    rpc = Rpc("1.6")
    rpc.call("m1", "GetConfiguration", {}, deadline_s=9)
    assert rpc.receive('[3,"m1",{"configurationKey":[{"ke') == CallEnded(
        message_id="m1", payload=None, reason="malformed answer"
    )
    rpc.call("m2", "GetConfiguration", {}, deadline_s=9)
    ended = rpc.receive('[3,"m2",{"status":"Accepted","x":1,"x":1}]')
    assert ended == CallEnded(message_id="m2", payload={"status": "Accepted", "x": 1})


def test_call_without_action_is_refused() -> None:
    """A readable id is always answered, even where the action is no name."""
    answer = Rpc("1.6").receive('[2,"a",{},{}]')
    assert isinstance(answer, SendText)
    assert answer.text == '[4,"a","FormationViolation","malformed",{}]'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[5,"a","X","",{}]', "callresulterror"),
        ('[6,"a","X",{}]', "send"),
        ("[7]", "unknown_type"),
        ("[true]", "unknown_type"),
    ],
)
def test_other_types_are_ignored(text: str, reason: str) -> None:
    """Types 5 and 6 are tolerated and unknown ones ignored, on every version."""
    for version in ("2.1", "1.6"):
        ignored = Rpc(version).receive(text)
        assert isinstance(ignored, Ignored)
        assert ignored.reason == reason
        assert (ignored.flaw is None) == (reason != "unknown_type")


def test_an_unknown_type_with_an_id_is_told() -> None:
    """2.x has a word for a message type that is not supported; 1.6 has none."""
    answer = Rpc("2.1").receive('[9,"1","X",{}]')
    assert isinstance(answer, SendText)
    assert json.loads(answer.text)[:3] == [4, "1", "MessageTypeNotSupported"]
    assert isinstance(Rpc("1.6").receive('[9,"1","X",{}]'), Ignored)


def test_result_ends_its_call_once() -> None:
    """The first answer ends a CALL; a second one, or one with another id, is late."""
    rpc = Rpc("1.6")
    assert json.loads(rpc.call("m1", "Reset", {"type": "Soft"}, deadline_s=30)) == [
        2,
        "m1",
        "Reset",
        {"type": "Soft"},
    ]
    assert rpc.receive('[3,"other",{}]') == Ignored(reason="late_answer")
    assert rpc.receive('[3,"m1",{"status":"Accepted"}]') == CallEnded(
        message_id="m1", payload={"status": "Accepted"}
    )
    assert rpc.receive('[3,"m1",{"status":"Accepted"}]') == Ignored(reason="late_answer")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[4,"m1","NotSupported","",{}]', "NotSupported"),
        ('[4,"m1"]', "malformed answer"),
        ('[3,"m1",7]', "malformed answer"),
    ],
)
def test_error_ends_its_call(text: str, reason: str) -> None:
    """An error, or a result that is no object, ends the CALL with a reason."""
    rpc = Rpc("2.1")
    rpc.call("m1", "Reset", {}, deadline_s=30)
    assert rpc.receive(text) == CallEnded(message_id="m1", payload=None, reason=reason)


def test_deadline_frees_the_line() -> None:
    """A CALL past its deadline is over, the next may go, and the late answer ends nothing."""
    rpc = Rpc("2.0.1")
    rpc.call("m1", "Reset", {}, deadline_s=30)
    assert rpc.expire(29.9) == []
    with pytest.raises(AssertionError):
        rpc.call("m2", "Reset", {}, deadline_s=60)
    assert rpc.expire(30) == [CallEnded(message_id="m1", payload=None, reason="timeout")]
    rpc.call("m2", "Reset", {}, deadline_s=60)
    assert rpc.receive('[3,"m1",{}]') == Ignored(reason="late_answer")
    assert rpc.receive('[3,"m2",{}]') == CallEnded(message_id="m2", payload={})


def test_errors_are_spelt_as_their_version_does() -> None:
    """1.6 and 2.x have different words for the same fault."""
    assert json.loads(Rpc("1.6").error("a", Fault.INCOMPLETE))[2] == "OccurenceConstraintViolation"
    assert json.loads(Rpc("2.1").error("a", Fault.INCOMPLETE))[2] == "OccurrenceConstraintViolation"


def test_schemas_are_strict_on_what_we_send() -> None:
    """An outgoing payload against its schema is our fault; an incoming one is only flagged."""
    schemas = Schemas("1.6", frozenset({"ChangeConfiguration"}))
    schemas.assert_request("ChangeConfiguration", {"key": "k", "value": "v"})
    with pytest.raises(AssertionError, match=r"ChangeConfiguration\.req"):
        schemas.assert_request("ChangeConfiguration", {"key": "k"})
    with pytest.raises(AssertionError, match=r"ChangeConfiguration\.conf"):
        schemas.assert_response("ChangeConfiguration", {"status": "Perhaps"})
    assert not schemas.is_compliant_request("ChangeConfiguration", {"key": "\ud800", "value": 3})
