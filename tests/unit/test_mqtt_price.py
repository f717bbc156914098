"""A grid price from outside: accepted as it is written, or refused with a reason, whatever the bytes are."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.telemetry.price import PAYLOAD_BYTES_MAX, GridPrice, parse_price
from tests.support.core_bench import T0_NS, S

GOOD = {
    "price": "123.45",
    "unit": "KRW/kWh",
    "valid_from": "2026-07-14T15:00:00Z",
    "valid_to": "2026-07-15T01:00:00+09:00",
}


def payload(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_a_good_price_is_exact() -> None:
    """The decimal as written, in its unit, from and until the instants it names."""
    assert parse_price(payload(), T0_NS) == GridPrice(
        price=Decimal("123.45"), unit="KRW/kWh", valid_from_ns=T0_NS, valid_to_ns=T0_NS + 3_600 * S
    )
    price = parse_price(payload(price="-3"), T0_NS)
    assert isinstance(price, GridPrice)
    assert not price.holds_at(T0_NS - 1)
    assert price.holds_at(T0_NS)
    assert not price.holds_at(T0_NS + 3_600 * S)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * PAYLOAD_BYTES_MAX, "nested"),
        (b'{"price": 1}' + b" " * PAYLOAD_BYTES_MAX, "larger than 4096 bytes"),
        (b'{"price": "1", "price": "2"}', "twice"),
        (b'["price"]', "expected an object"),
        (b"NaN", "expected an object"),
        (payload(command="unlock"), "nothing else"),
        (json.dumps({"price": "1"}).encode(), "expected an object"),
        (payload(price=123.45), "must be a string"),
        (payload(price="1,5"), "decimal"),
        (payload(price="NaN"), "decimal"),
        (payload(price="1e9"), "decimal"),
        (payload(price="\u0661"), "decimal"),
        (payload(unit="KRW/MWh"), "per kWh"),
        (payload(valid_from="yesterday"), "ISO 8601"),
        (payload(valid_to="2026-07-14T16:00:00"), "ISO 8601"),
        (payload(valid_from="2026-07-14T16:00:00Z"), "after valid_from"),
        (payload(valid_to="9999-12-31T23:59:59-14:00"), "at most 8 days"),
        (payload(valid_from="2026-07-14T13:00:00Z", valid_to="2026-07-14T15:00:00Z"), "expired"),
    ],
)
def test_rubbish_is_refused_with_its_reason(bad: bytes, reason: str) -> None:
    """Each way of being no price is named, and none of them raises."""
    answer = parse_price(bad, T0_NS)
    assert isinstance(answer, str)
    assert reason in answer


@given(
    st.one_of(
        st.binary(max_size=64),
        st.dictionaries(st.sampled_from(sorted(GOOD)), st.text(max_size=30)).map(
            lambda changes: payload(**changes)
        ),
    )
)
def test_any_bytes_get_an_answer(anything: bytes) -> None:
    """Nothing that a broker can deliver raises."""
    assert isinstance(parse_price(anything, T0_NS), GridPrice | str)
