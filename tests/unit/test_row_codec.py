"""State rows and canonical JSON: one text for one value, and back to the very same value."""

from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.common.canonical_json import canonical_json, sha256_hex
from edgegw.core.metering import MeterAccount
from edgegw.core.orders import Order
from edgegw.core.state import (
    TABLES,
    CachedAnswer,
    Evse,
    HoldBook,
    Session,
    Tally,
    TradeLine,
)
from edgegw.gateway.row_codec import decode_row, encode_row
from tests.support.core_bench import Bench
from tests.support.days import play


class Color(StrEnum):
    """For these tests."""

    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """A row as an older version wrote it."""

    a: int
    gone: str = "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """The same row today."""

    a: int
    added: tuple[int, ...] = (1, 2)
    color: Color = Color.RED


@pytest.mark.parametrize(
    "cls",
    [Evse, Session, HoldBook, TradeLine, CachedAnswer, MeterAccount, Order, Tally],
    ids=lambda cls: cls.__name__,
)
@given(data=st.data())
def test_any_row_comes_back_as_it_was(cls: type, data: st.DataObject) -> None:
    """Enums, optional nested rows, tuples and integers of any size survive text and back."""
    row = data.draw(st.from_type(cls))
    assert decode_row(cls, encode_row(row)) == row


def test_every_row_of_a_real_day_comes_back() -> None:
    """Every row of all tables in the middle of a day is decoded to an equal value."""
    universe = play(1)
    stations = [universe.station]
    bench = Bench()
    bench.active("sel")
    bench.update(soc_bp=5_000)
    stations.append(bench.station)
    for item in stations:
        for name, cls in TABLES.items():
            for row in getattr(item, name).values():
                assert decode_row(cls, encode_row(row)) == row


def test_versions_read_each_other() -> None:
    """A new field takes its default, one that is gone is ignored."""
    assert decode_row(New, encode_row(Old(a=1))) == New(a=1)
    assert decode_row(New, '{"a":1,"added":[3],"color":"red"}') == New(a=1, added=(3,))


def test_rows_hold_no_floats() -> None:
    """A value that rows cannot hold, such as a float, is a fault."""

    @dataclass(frozen=True)
    class Wrong:
        values: tuple[object, ...] = field(default=(0.5,))

    with pytest.raises(AssertionError):
        encode_row(Wrong())


def test_canonical_json_is_one_text() -> None:
    """Sorted keys, no spaces, UTF-8; tuples are lists; a float or another type is refused at any depth."""
    assert canonical_json({"b": [1, None, True], "a": {"ä": ("x",)}}) == '{"a":{"ä":["x"]},"b":[1,null,true]}'
    assert sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for wrong in (0.5, {1, 2}, b"x"):
        with pytest.raises(ValueError, match="not canonical"):
            canonical_json({"a": [wrong]})
