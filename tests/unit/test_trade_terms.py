"""The terms of a trade are equal in station and contract, and are stored and sent as plain strings."""

from typing import get_args, get_type_hints

from edgegw.common import trade_terms
from edgegw.contract import codec, codes, trades
from edgegw.core import ledger_replies
from edgegw.core.submission import Purpose


def test_station_and_contract_mean_the_same_words() -> None:
    """A product, direction or kind of line that only one side knew would be refused, or never sent."""
    assert get_args(trade_terms.Product) == get_args(codec.Product) == trade_terms.PRODUCTS
    assert (trade_terms.CHARGE, trade_terms.DISCHARGE) == (codes.CHARGE, codes.DISCHARGE)
    assert get_args(trade_terms.Direction) == get_args(codec.Direction)
    assert get_args(trade_terms.Direction) == (trade_terms.IMPORT, trade_terms.EXPORT)
    assert get_args(trade_terms.LineKind) == get_args(get_type_hints(trades.LineArguments)["kind"])
    assert get_args(trade_terms.LineKind) == (trade_terms.MARKET, trade_terms.RETAIL)


def test_a_record_names_a_product_or_none() -> None:
    """Anything but a product's own word is no product."""
    assert [trade_terms.product_of(word) for word in ("CHARGE", "DISCHARGE")] == ["CHARGE", "DISCHARGE"]
    assert [trade_terms.product_of(word) for word in ("charge", None, 1)] == [None, None, None]


def test_every_purpose_has_a_reader() -> None:
    """An ended submission that nothing read would leave its hold, slice or line waiting for ever."""
    assert set(ledger_replies.READERS) == set(Purpose)
