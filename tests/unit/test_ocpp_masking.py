"""A kept frame names no card: tokens are replaced by their keyed hash, everything else stays as sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.chargers import json_values
from edgegw.chargers.masking import masked
from edgegw.core.events import TransactionEnded, TransactionStarted, TransactionUpdated
from tests.support.chargers_station import NOW, Talk


def mask(frame: str) -> str:
    return masked(frame, json_values.normal_token, lambda token: f"hash-of-{token}")


@pytest.mark.parametrize(
    ("frame", "kept"),
    [
        ('{"idTag" : "ab c", "x":1.50}', '{"idTag" : "#hash-of-AB C", "x":1.50}'),
        ('{"idToken":{"idToken":"a","type":"ISO14443"}}', '{"idToken":{"idToken":"#hash-of-A","type":"ISO14443"}}'),
        ('{"additionalInfo":[{"additionalIdToken":"q"}]}', '{"additionalInfo":[{"additionalIdToken":"#hash-of-Q"}]}'),
        ('{"idTag":"a","idTag":"b"}', '{"idTag":"#hash-of-A","idTag":"#hash-of-B"}'),
        ('{"id\\u0054ag":"\\u0061"}', '{"id\\u0054ag":"#hash-of-A"}'),
        ('{"idTag":12345}', '{"idTag":"#hash-of-12345"}'),
        ('{"idToken":{"idToken":"","type":"NoAuthorization"}}', '{"idToken":{"idToken":"","type":"NoAuthorization"}}'),
        ('{"reason":"idTag","text":"\\"idTag\\":\\"a\\""}', '{"reason":"idTag","text":"\\"idTag\\":\\"a\\""}'),
    ],
)  # fmt: skip
def test_only_tokens_are_masked(frame: str, kept: str) -> None:
    """Each spelling of a token gives way to its hash; names in other places, and all other text, stay to the byte."""
    assert mask(frame) == kept


TREE = st.recursive(
    st.none() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.sampled_from(["idTag", "idToken", 'a"idTag']), inner, max_size=3)
    ),
    max_leaves=12,
)


def expected(value: object) -> object:
    """The same tree, its tokens masked by structure instead of by text."""
    if isinstance(value, list):
        return [expected(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {name: expected(inner) for name, inner in value.items()}
    for name in ("idTag", "idToken"):
        if isinstance(found.get(name), str | int | float) and (
            token := json_values.normal_token(found[name])
        ):
            found[name] = f"#hash-of-{token}"
    return found


@given(tree=TREE, ascii_only=st.booleans())
def test_masking_by_text_is_masking_by_structure(tree: object, *, ascii_only: bool) -> None:
    """For any JSON, reading the masked text gives the tree with exactly its tokens masked."""
    frame = json.dumps(tree, ensure_ascii=ascii_only)
    assert json.loads(mask(frame)) == expected(json.loads(frame))


@pytest.mark.parametrize(
    ("version", "action", "payload"),
    [
        ("1.6", "StartTransaction", {"connectorId": 1, "idTag": "card1", "meterStart": 5, "timestamp": NOW}),
        ("1.6", "StartTransaction", {"connectorId": 9, "idTag": "card1"}),
        ("1.6", "StopTransaction", {"transactionId": 7, "idTag": "card1", "meterStop": 5, "timestamp": NOW}),
        *(
            (
                "2.1",
                "TransactionEvent",
                {
                    "eventType": kind,
                    "timestamp": NOW,
                    "seqNo": 0,
                    "evse": {"id": 1},
                    "transactionInfo": {"transactionId": "t"},
                    "idToken": {"idToken": "card1", "type": "ISO14443"},
                },
            )
            for kind in ("Started", "Updated", "Ended")
        ),
    ],
)
def test_no_event_carries_a_card(version: str, action: str, payload: dict[str, object]) -> None:
    """The frame of a billing event, which is journalled, holds the token's hash, and the event the same one."""
    event = Talk(version).event("m", action, payload)
    assert isinstance(event, TransactionStarted | TransactionUpdated | TransactionEnded)
    assert "card1" not in repr(event)
    assert '"#hash-of-CARD1"' in event.frame
    if not isinstance(event, TransactionEnded):
        assert event.id_token_hash == "hash-of-CARD1"
