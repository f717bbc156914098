"""Validate a grid price received over MQTT.

Decides form, size and times, strictly, because any client of the broker may have written it. An accepted price is only
displayed and never moves energy or money; the ledger alone prices trades.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

PAYLOAD_BYTES_MAX: Final = 4_096
LONGEST: Final = timedelta(days=8)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS = {"price", "unit", "valid_from", "valid_to"}
_PRICE = re.compile(r"-?\d{1,9}(\.\d{1,6})?", re.ASCII)
_UNIT = re.compile(r"[A-Z]{3}/kWh")


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPrice:
    """A grid price, exact as received; valid from `valid_from_ns` until before `valid_to_ns`."""

    price: Decimal
    unit: str
    valid_from_ns: int
    valid_to_ns: int

    def holds_at(self, now_ns: int) -> bool:
        """Return whether the price is valid at this time."""
        return self.valid_from_ns <= now_ns < self.valid_to_ns


def parse_price(payload: bytes, now_ns: int) -> GridPrice | str:
    """Return the price, or the reason why the payload is rejected; never raise for any bytes."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        return f"larger than {PAYLOAD_BYTES_MAX} bytes"
    try:
        body = json.loads(payload.decode("utf-8"), object_pairs_hook=_unrepeated)
    except RecursionError:
        return "nested too deep"
    except ValueError:
        return "not JSON, or a key appears twice"
    if not isinstance(body, dict) or set(body) != _KEYS:
        return f"expected an object with {', '.join(sorted(_KEYS))} and nothing else"
    if not all(isinstance(value, str) for value in body.values()):
        return "every value must be a string"
    return _judged(body, now_ns)


def _judged(body: dict[str, str], now_ns: int) -> GridPrice | str:
    if not _PRICE.fullmatch(body["price"]):
        return "price: expected a decimal such as 123.45"
    if not _UNIT.fullmatch(body["unit"]):
        return "unit: expected a currency per kWh such as KRW/kWh"
    start, end = _instant(body["valid_from"]), _instant(body["valid_to"])
    if start is None or end is None:
        return "valid_from, valid_to: expected ISO 8601 with an offset from UTC"
    if not timedelta(0) < end - start <= LONGEST:
        return f"valid_to: expected a time after valid_from, at most {LONGEST.days} days"
    if _nanoseconds(end) <= now_ns:
        return "expired"
    return GridPrice(
        price=Decimal(body["price"]),
        unit=body["unit"],
        valid_from_ns=_nanoseconds(start),
        valid_to_ns=_nanoseconds(end),
    )


def _unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key appears twice")
    return dict(pairs)


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
