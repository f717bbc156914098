"""What a broken or hostile charger may send, one test for each kind of bad input.

Each case runs over a real socket against the real listener, core, loop and journal. It looks at the wire, at the one log
line with its code, and at what must not happen: a traceback, a secret in the log, harm to another charger or to the next
good message. The rules: docs/ocpp.md.
"""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from edgegw.core.state import Phase
from tests.support.chargers_running import basic
from tests.support.chargers_station import NOW
from tests.support.patience import until
from tests.support.whole_edge import TOKEN, Edge, answer_to, assert_clean, call, whole_edge


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with whole_edge(tmp_path) as found:
        yield found


async def unharmed(edge: Edge, *sockets: ClientConnection) -> None:
    """Sockets that were open still work, a good charger gets in, and the log is clean."""
    for socket in sockets:
        assert (await call(socket, "Heartbeat", {}))[0] == 3
    async with edge.dial("B") as other:
        assert (await call(other, "Heartbeat", {}))[0] == 3
    assert_clean(edge)


async def start(socket: ClientConnection, **changes: Any) -> Any:
    """A StartTransaction's answer."""
    payload = {"connectorId": 1, "idTag": TOKEN, "meterStart": 5_000, "timestamp": NOW, **changes}
    return (await call(socket, "StartTransaction", payload))[2]


# --- the connection -----------------------------------------------------------------------------------------------------

STRANGE = {"Authorization": "Basic ?"}


@pytest.mark.parametrize(
    ("path", "headers", "status", "code", "named"),
    [
        pytest.param("/", basic("A"), 404, "EGW-1001", {"path": "/"}, id="row1-no-path"),
        pytest.param("/ocpp/", basic("A"), 404, "EGW-1001", {"path": "/ocpp/"}, id="row1-empty-id"),
        pytest.param("/ocpp/" + "x" * 2000, basic("A"), 404, "EGW-1002", {"detail": "2000 characters"}, id="row2"),
        pytest.param("/ocpp/CP%00%0a../x", basic("A"), 404, "EGW-1003", {"path": "/ocpp/CP%00%0a../x"}, id="row3"),
        pytest.param("/ocpp/A?token=secret", {}, 401, "EGW-1101", {"charger_id": "A"}, id="row6-known"),
        pytest.param("/ocpp/Z", {}, 401, "EGW-1101", {"charger_id": "Z"}, id="row6-unknown"),
        pytest.param("/ocpp/A", STRANGE, 401, "EGW-1101", {"charger_id": "A"}, id="row6-no-basic"),
        pytest.param("/ocpp/A", basic("B"), 401, "EGW-1102", {"charger_id": "A"}, id="row7"),
    ],
)  # fmt: skip
async def test_who_may_not_connect(
    *, edge: Edge, path: str, headers: dict[str, str], status: int, code: str, named: dict[str, str]
) -> None:
    """Over the wire only the status; in the log one line with cause, address and remedy."""
    for _ in range(2):  # the second one within a minute leaves no further line
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{edge.chargers.port}{path}", additional_headers=headers)
        assert refused.value.response.status_code == status
        body = refused.value.response.body or b""
        assert len(body) < 40
        assert b"EGW" not in body
    (line,) = edge.coded(code)
    assert line["event"] == "charger.refused"
    assert (line["address"], bool(line["remedy"])) == ("127.0.0.1", True)
    for name, value in named.items():
        assert line[name] == value
    assert edge.chargers.refusals()[-1].count == 2
    assert "secret" not in edge.log.getvalue()
    await unharmed(edge)


async def test_row6_says_nothing_of_who_exists(edge: Edge) -> None:
    """Without a password a known and an unknown id get the same answer."""
    answers = []
    for charger_id in ("A", "Z"):
        with pytest.raises(InvalidStatus) as refused:
            await edge.dial(charger_id, additional_headers={})
        response = refused.value.response
        answers.append((response.reason_phrase, response.body, sorted(response.headers.keys())))
    assert answers[0] == answers[1]


async def test_row4_no_sub_protocol(edge: Edge) -> None:
    """A charger that offers no sub-protocol is served in the configured version."""
    async with edge.dial(subprotocols=None) as socket:
        assert socket.subprotocol is None
        await unharmed(edge, socket)
    assert edge.coded("EGW-1004") == []
    assert edge.lines("charger.connected")[0]["version"] == "1.6"


async def test_row5_none_that_is_spoken(edge: Edge) -> None:
    """A charger that offers no version spoken here is closed with the reason; the log names what it offered."""
    async with edge.dial(subprotocols=["ocpp1.5", "mqtt"]) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1002
        assert "ocpp2.1, ocpp2.0.1, ocpp1.6" in (socket.close_reason or "")
    (line,) = edge.coded("EGW-1004")
    assert (line["charger_id"], line["detail"]) == ("A", "offered: ocpp1.5, mqtt")
    await unharmed(edge)


# --- frames that are no billing message ---------------------------------------------------------------------------------

DEEP = "[" * 100_000
LONG_ID = "i" * 40
FRAMES = [
    ("2.1", "hello", [4, "-1", "RpcFrameworkError"], "EGW-1201", "hello", "row9"),
    ("1.6", "hello\x1b[31m\n", None, "EGW-1201", "hello\\x1b[31m\\n", "row9-1.6-has-no-word-for-it"),
    ("2.0.1", '{"idTag":"' + TOKEN, [4, "-1", "RpcFrameworkError"], "EGW-1201", '"idTag":"#"', "row9-a-card"),
    ("2.1", "{}", [4, "-1", "RpcFrameworkError"], "EGW-1202", "[2, id, action, payload], got an object", "row10-{}"),
    ("2.1", "[]", [4, "-1", "RpcFrameworkError"], "EGW-1202", "got a list of 0", "row10-[]"),
    ("2.1", "[2]", [4, "-1", "RpcFrameworkError"], "EGW-1202", "got a list of 1, type 2", "row10-[2]"),
    ("2.1", '[9,"1","X",{}]', [4, "1", "MessageTypeNotSupported"], "EGW-1203", "message type 9", "row11"),
    ("1.6", '[9,"1","X",{}]', None, "EGW-1203", "message type 9", "row11-1.6-ignores"),
    ("2.1", f'[2,"{LONG_ID}","Heartbeat",{{}}]', [4, "i" * 36, "RpcFrameworkError"], "EGW-1208", "40 characters", "row12"),
    ("2.1", '[2,5,"Heartbeat",{}]', [4, 5, "RpcFrameworkError"], "EGW-1208", "no text", "row12-int"),
    ("1.6", '[2,5,"Heartbeat",{}]', [3, 5, {"currentTime": NOW}], "EGW-1208", "no text", "row12-1.6-is-answered"),
    ("1.6", '[2,"a","Foo",{}]', [4, "a", "NotImplemented"], "EGW-1209", "Foo is not part of ocpp1.6", "row13"),
    ("2.1", '[2,"a","Foo",{}]', [4, "a", "NotImplemented"], "EGW-1209", "Foo is not part of ocpp2.1", "row13-2.1"),
    ("1.6", '[2,"a","Authorize",{"idTag":NaN}]', [4, "a", "TypeConstraintViolation"], "EGW-1204", "NaN", "row14-other"),
    ("1.6", '[2,"a","Heartbeat",{"x":1,"x":2}]', [4, "a", "FormationViolation"], "EGW-1205", "x appears twice (1, 2)", "row15-other"),
    ("1.6", f'[2,"a","Heartbeat",{{"x":{"9" * 5000}}}]', [4, "a", "TypeConstraintViolation"], "EGW-1204", "thousands of digits", "long-int"),
    ("2.1", DEEP[:60_000], [4, "-1", "RpcFrameworkError"], "EGW-1220", "nested 60000 deep", "row23"),
    ("1.6", '[2,"a","Heartbeat",{"x":' + DEEP[:33], [4, "a", "FormationViolation"], "EGW-1220", "nested 35 deep", "row23-a-call"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "text", "answer", "code", "detail"), [pytest.param(*row[:5], id=row[5]) for row in FRAMES]
)
async def test_frames_that_are_no_message(
    *, edge: Edge, version: str, text: str, answer: list[Any] | None, code: str, detail: str
) -> None:
    """A frame that is no message is answered as the version requires, logged once, and the same socket continues."""
    async with edge.dial(version=version) as socket:
        await socket.send(text)
        if answer is not None:
            assert (await answer_to(socket, answer[1]))[:3] == answer
        await unharmed(edge, socket)
    (line,) = edge.coded(code)
    assert (line["event"], line["charger_id"], line["count"]) == ("frame.flawed", "A", 1)
    assert detail in line["detail"]
    assert line["remedy"]
    assert edge.frames() == []


async def test_row24_a_frame_of_a_megabyte(edge: Edge) -> None:
    """Closed with 1009 and one line; the charger comes back."""
    async with edge.dial() as socket:
        await socket.send("x" * 1_000_000)
        with contextlib.suppress(ConnectionClosed):
            async for _ in socket:
                """What the station asked before."""
        assert socket.close_code == 1009
    async with edge.dial() as socket:
        await socket.send("[2," + " " * 65_000 + '"a","Heartbeat",{}]')
        assert (await answer_to(socket, "a"))[0] == 3
        await unharmed(edge, socket)
    (line,) = edge.coded("EGW-1221")
    assert (line["event"], line["charger_id"]) == ("frame.flawed", "A")


@pytest.mark.parametrize("tag", ["a\nb", "\x1b[31mred", "<script>x</script>"])
async def test_row25_a_card_with_strange_characters(edge: Edge, tag: str) -> None:
    """An idTag is opaque: it is answered, and neither log nor journal ever shows it."""
    async with edge.dial() as socket:
        assert (await call(socket, "Authorize", {"idTag": tag}))[2] == {"idTagInfo": {"status": "Invalid"}}
        assert (await start(socket, idTag=tag))["idTagInfo"]["status"] == "Invalid"
        await unharmed(edge, socket)
    assert tag not in edge.log.getvalue()
    assert json.dumps(tag)[1:-1] not in edge.log.getvalue()
    assert all(json.dumps(tag)[1:-1] not in body["text"] for body in edge.frames())


# --- billing messages ---------------------------------------------------------------------------------------------------

START = (
    f'[2,"a","StartTransaction",{{"connectorId":1,"idTag":"{TOKEN}","timestamp":"{NOW}","meterStart":%s}}]'
)
STOP = f'[2,"a","StopTransaction",{{"transactionId":9,"timestamp":"{NOW}","meterStop":%s}}]'
EVENT = f"""[2,"a","TransactionEvent",{{"eventType":"%s","timestamp":"{NOW}","triggerReason":"Authorized","seqNo":0,
"transactionInfo":{{"transactionId":"t9"}},"evse":{{"id":1}},"idToken":{{"idToken":"{TOKEN}","type":"ISO14443"}}%s}}]"""
QUARANTINED = [
    ("1.6", START % "NaN", "Invalid", "EGW-1204", "NaN is no number", "row14"),
    ("1.6", START % "-Infinity", "Invalid", "EGW-1204", "-Infinity is no number", "row14-infinity"),
    ("2.1", EVENT % ("Started", ',"reservationId":NaN'), "Invalid", "EGW-1204", "NaN", "row14-2.1"),
    ("1.6", START % ("9" * 5000), "Invalid", "EGW-1204", "thousands of digits", "row14-digits"),
    ("1.6", START % '5,"meterStart":0', "Invalid", "EGW-1205", "meterStart appears twice (5, 0)", "row15"),
    ("1.6", START % '5,"idTag":"DEADBEEF"', "Invalid", "EGW-1205", "idTag appears twice", "row15-never-a-card"),
    ("2.1", EVENT % ("Ended", ',"seqNo":7'), None, "EGW-1205", "seqNo appears twice (0, 7)", "row15-2.1"),
    ("1.6", START % ("[" * 40), "Invalid", "EGW-1220", "nested 42 deep", "row23-billing"),
    ("1.6", STOP % ('4,"transactionData":' + "[" * 30_000), None, "EGW-1220", "nested 30002 deep", "row23-stop"),
    ("1.6", STOP % "", None, "EGW-1201", "Expecting value", "broken-stop"),
    ("1.6", (START % "5")[:-2], "Invalid", "EGW-1201", "Expecting ',' delimiter", "truncated-start"),
    ("2.1", (EVENT % ("Updated", ""))[:70], None, "EGW-1201", "", "truncated-event"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "text", "status", "code", "detail"),
    [pytest.param(*row[:5], id=row[5]) for row in QUARANTINED],
)
async def test_billing_messages_that_are_no_json(
    *, edge: Edge, version: str, text: str, status: str | None, code: str, detail: str
) -> None:
    """Stored as they came but for the card, acknowledged, without effect: a charger keeps nothing that was refused to it."""
    async with edge.dial(version=version) as socket:
        await socket.send(text)
        answer = await answer_to(socket, "a")
        assert answer[0] == 3
        told = answer[2].get("idTagInfo", answer[2].get("idTokenInfo", {}))
        if status is not None or version == "1.6":
            assert told.get("status") == status
        await unharmed(edge, socket)
        (line,) = edge.coded(code)
        assert (line["event"], line["charger_id"]) == ("frame.quarantined", "A")
        assert detail in line["detail"]
        assert "DEADBEEF" not in edge.log.getvalue()
        (stored,) = edge.frames()
        assert stored["flaws"][0]["code"] == code
        assert stored["text"][:20] == text[:20]
        for card in (TOKEN, "DEADBEEF"):
            assert card not in stored["text"]
        assert edge.evse("A1").session is None
        if version == "1.6":
            assert (await start(socket))["idTagInfo"]["status"] == "Accepted"


async def test_broken_billing_messages_with_strange_ids(edge: Edge) -> None:
    """A billing message gets its CALLRESULT under whatever id it came."""
    async with edge.dial(version="2.1") as socket:
        for message_id in (5, "i" * 300, "\ud800"):
            await socket.send(json.dumps([2, message_id, "MeterValues", {"evseId": 1, "meterValue": []}]))
            assert await answer_to(socket, message_id) == [3, message_id, {}]
        await unharmed(edge, socket)
    assert len(edge.coded("EGW-1208")) == 1
    assert len(edge.frames()) == 3


def values(version: str, value: Any, unit: str | None = "Wh", timestamp: str = NOW) -> dict[str, Any]:
    """MeterValues with one import register."""
    unit_of = (
        {} if unit is None else ({"unit": unit} if version == "1.6" else {"unitOfMeasure": {"unit": unit}})
    )
    sampled = {"value": value, "measurand": "Energy.Active.Import.Register", **unit_of}
    place = {"connectorId": 1} if version == "1.6" else {"evseId": 1}
    return {**place, "meterValue": [{"timestamp": timestamp, "sampledValue": [sampled]}]}


@pytest.mark.parametrize(
    ("version", "payload", "code", "detail"),
    [
        pytest.param("1.6", values("1.6", "12,5"), "EGW-1206", '"12,5"; a comma?', id="row16"),
        pytest.param("2.1", values("2.1", "12,5"), "EGW-1206", '"12,5"; a comma?', id="row16-2.1"),
        pytest.param("1.6", values("1.6", "x"), "EGW-1204", 'is "x"', id="row14-text"),
        pytest.param("1.6", values("1.6", "1", timestamp="1970-01-01T00:00:00Z"), "EGW-1214", "1970-01-01", id="row19-1970"),
        pytest.param("2.1", values("2.1", 1, timestamp="2099-01-01T00:00:00Z"), "EGW-1214", "2099-01-01", id="row19-2099"),
    ],
)  # fmt: skip
async def test_values_that_cannot_be_used(
    *, edge: Edge, version: str, payload: dict[str, Any], code: str, detail: str
) -> None:
    """The message is acknowledged and stored with what is wrong with it; the next one is read as any other."""
    async with edge.dial(version=version) as socket:
        assert (await call(socket, "MeterValues", payload))[2] == {}
        assert (await call(socket, "MeterValues", values(version, "13")))[2] == {}
        await unharmed(edge, socket)
    (line,) = edge.coded(code)
    assert (line["event"], line["charger_id"]) == ("frame.quarantined", "A")
    assert detail in line["detail"]
    flawed, good = edge.frames()
    assert flawed["flaws"] == [{"code": code, "detail": line["detail"]}]
    assert "flaws" not in good


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_row17_unit_missing(edge: Edge, version: str) -> None:
    """A missing unit is Wh by the standard's default, which is recorded and not logged."""
    async with edge.dial(version=version) as socket:
        await call(socket, "MeterValues", values(version, "5000", unit=None))
        await call(socket, "MeterValues", values(version, "5000"))
        await unharmed(edge, socket)
    assumed, told = edge.frames()
    assert assumed["unit_assumed"] is True
    assert "unit_assumed" not in told
    assert edge.lines("frame.quarantined", "frame.flawed") == []


async def test_row18_a_register_that_went_back(edge: Edge) -> None:
    """Acknowledged; the session is disputed with both values on record, and the meter bills it as any other."""
    async with edge.dial() as socket:
        begun = await start(socket)
        stop = {"transactionId": begun["transactionId"], "meterStop": 4_200, "timestamp": NOW}
        assert (await call(socket, "StopTransaction", stop))[0] == 3
        await unharmed(edge, socket)
    (line,) = edge.coded("EGW-1210")
    assert line["event"] == "session.disputed"
    assert (line["start_wh"], line["register_wh"]) == (5_000, 4_200)
    await until(lambda: edge.lines("session.finished"))
    assert len(edge.lines("session.finished")) == 1


@pytest.mark.parametrize("timestamp", ["1970-01-01T00:00:00Z", "2099-12-31T23:59:59Z", "yesterday"])
async def test_row19_a_clock_that_is_far_off(edge: Edge, timestamp: str) -> None:
    """A start with a wrong clock is accepted, at the station's time, and flagged."""
    async with edge.dial() as socket:
        assert (await start(socket, timestamp=timestamp))["idTagInfo"]["status"] == "Accepted"
        await unharmed(edge, socket)
    (line,) = edge.coded("EGW-1214")
    assert timestamp in line["detail"]
    assert NOW in line["detail"]


@pytest.mark.parametrize("action", ["StopTransaction", "MeterValues"])
async def test_row20_another_chargers_transaction(edge: Edge, action: str) -> None:
    """A message about another charger's transaction is acknowledged and quarantined; the other session continues."""
    async with edge.dial("A") as owner, edge.dial("B") as thief:
        transaction_id = (await start(owner))["transactionId"]
        before = edge.evse("A1").session
        payload = {"transactionId": transaction_id, "meterStop": 9_999, "timestamp": NOW}
        if action == "MeterValues":
            payload = {**values("1.6", "9999"), "transactionId": transaction_id}
        assert (await call(thief, action, payload))[0] == 3
        (line,) = edge.coded("EGW-1211")
        assert (line["event"], line["charger_id"]) == ("frame.quarantined", "B")
        assert edge.evse("A1").phase is Phase.ACTIVE
        assert edge.evse("A1").session == before
        stop = {"transactionId": transaction_id, "meterStop": 5_001, "timestamp": NOW}
        assert (await call(owner, "StopTransaction", stop))[0] == 3
        assert edge.evse("A1").phase is Phase.VACANT
        assert (await call(thief, "Heartbeat", {}))[0] == 3
    assert_clean(edge)


@pytest.mark.parametrize("transaction_id", [-1, 9223372036854775807])
async def test_row21_ids_that_mean_none(edge: Edge, transaction_id: int) -> None:
    """Values with an unknown id are matched by their connector; a stop is stored and quarantined, and ends no session."""
    async with edge.dial() as socket:
        await start(socket)
        told = {**values("1.6", "6000"), "transactionId": transaction_id}
        told["meterValue"][0]["sampledValue"].append({"value": "55", "measurand": "SoC", "unit": "Percent"})
        assert (await call(socket, "MeterValues", told))[2] == {}
        session = edge.evse("A1").session
        assert session is not None
        assert session.soc_bp == 5_500
        stop = {"transactionId": transaction_id, "meterStop": 9_999, "timestamp": NOW}
        assert (await call(socket, "StopTransaction", stop))[0] == 3
        (line,) = edge.coded("EGW-1212")
        assert (line["event"], line["detail"]) == ("frame.quarantined", f"transaction {transaction_id}")
        assert edge.evse("A1").phase is Phase.ACTIVE
        await unharmed(edge, socket)


async def test_row22_a_sequence_number_with_other_content(edge: Edge) -> None:
    """The first message counts; the second is acknowledged, stored, and logged with the difference. A true repeat is not logged."""
    event = {
        "eventType": "Started", "timestamp": NOW, "triggerReason": "Authorized", "seqNo": 0,
        "transactionInfo": {"transactionId": "t9"}, "evse": {"id": 1},
        "idToken": {"idToken": TOKEN, "type": "ISO14443"},
    }  # fmt: skip
    update = {"eventType": "Updated", "timestamp": NOW, "triggerReason": "MeterValuePeriodic", "seqNo": 1}
    update["transactionInfo"] = {"transactionId": "t9"}

    def soc(percent: int) -> dict[str, Any]:
        return {
            **update,
            "meterValue": [{"timestamp": NOW, "sampledValue": [{"value": percent, "measurand": "SoC"}]}],
        }

    async with edge.dial(version="2.0.1") as socket:
        accepted = {"idTokenInfo": {"status": "Accepted"}}
        assert (await call(socket, "TransactionEvent", event))[2] == accepted
        assert (await call(socket, "TransactionEvent", {**event, "offline": True}))[2] == accepted
        await call(socket, "TransactionEvent", soc(40))
        await call(socket, "TransactionEvent", {**soc(40), "offline": True})
        assert edge.coded("EGW-1213") == []
    async with edge.dial(version="2.0.1") as socket:  # also on a new socket
        assert (await call(socket, "TransactionEvent", soc(90)))[2] == {}
        (line,) = edge.coded("EGW-1213")
        assert (line["event"], line["detail"]) == ("frame.quarantined", "event:t9:1: other meterValue")
        session = edge.evse("A1").session
        assert session is not None
        assert session.soc_bp == 4_000
        assert (await call(socket, "TransactionEvent", {**event, "remoteStartId": 3}))[2] == accepted
        assert "0: remoteStartId null -> 3" in edge.coded("EGW-1213")[1]["detail"].removeprefix("event:t9:")
        assert edge.frames()[-1]["flaws"][0]["code"] == "EGW-1213"
        await unharmed(edge, socket)
