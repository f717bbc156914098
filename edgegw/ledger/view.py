"""Answer pages' read requests through one client (`ports.representative.LedgerView`): prices, stations, trades, checks.

Decides how long a result is cached: fixed prices and committed trades for good, anything else for a few real seconds.
Equal concurrent requests share one call, and the number of concurrent calls is limited. Writes nothing.
Source: docs/contract.md (GetPrice, DetermineCost, FindStations, GetTrade).
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar, cast

from edgegw.common.errors import EdgegwError
from edgegw.common.trade_terms import Product
from edgegw.contract.codec import MalformedError, decode
from edgegw.contract.codes import Code
from edgegw.contract.records import Config, PriceRecord, Trade
from edgegw.contract.registry import StationPage
from edgegw.fabric.identity import parse_identity
from edgegw.fabric.trust import Roots
from edgegw.fabric.wire import MalformedMessageError
from edgegw.ledger.block_view import TRADE
from edgegw.ledger.client import LedgerClient
from edgegw.ledger.errors import BusinessRefusal
from edgegw.ledger.proof import Examined, examine_block, find_constants
from edgegw.ledger.receipt import Receipt
from edgegw.ledger.trade_recompute import evidence_checks
from edgegw.ports.representative import (
    Check,
    Checked,
    PriceShown,
    RefusedRequest,
    RepresentativeError,
    StationFound,
    TradeShown,
)

T = TypeVar("T")
AT_ONCE = 8  # concurrent calls
KEPT_S = 5.0  # real seconds for which a price that is not fixed, and a list of stations, are cached
PRICES_KEPT = 2048  # ten days of both products
TRADES_KEPT = 512
STATIONS_MOST = 1000
_PAGE = 200
_NS_PER_MS = 1_000_000
_NO_PRICE = {Code.NO_TARIFF, Code.PRICE_WINDOW_EMPTY, Code.INTERVAL_MISALIGNED, Code.BAD_ARGUMENT}

EvidenceOf = Callable[[str], Awaitable[Mapping[str, object] | None]]
"""Returns the station's own evidence of a trade from its journal (`evidence`, `signature`), or None."""


class ClientView:
    """A `LedgerView` over a client; with `evidence_of`, `check` also checks the station's own evidence."""

    def __init__(
        self,
        client: LedgerClient,
        roots: Roots,
        *,
        zone: str,
        evidence_of: EvidenceOf | None = None,
        kept_s: float = KEPT_S,
        real_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._roots = roots
        self._zone = zone
        self._evidence_of = evidence_of
        self._constants: Config | None = None
        self._places = asyncio.Semaphore(AT_ONCE)
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}
        self._prices: _Cache[PriceShown | None] = _Cache(PRICES_KEPT, kept_s=kept_s, real_s=real_s)
        self._stations: _Cache[Sequence[StationFound]] = _Cache(64, kept_s=kept_s, real_s=real_s)
        self._trades: _Cache[TradeShown] = _Cache(TRADES_KEPT, kept_s=kept_s, real_s=real_s)

    async def price(self, product: Product, interval: int) -> PriceShown | None:
        """Return the fixed price of an interval, or a preview from what is posted.

        None if no tariff is in force, `interval` is not an interval, or the price window is empty and not fixed yet.
        """
        return await self._shared(("price", product, interval), lambda: self._price(product, interval))

    async def stations(self, geohash: str, product: Product | None = None) -> Sequence[StationFound]:
        """Return at most 1,000 stations below a geohash prefix; none if it is not a geohash."""
        return await self._shared(("stations", geohash, product), lambda: self._find(geohash, product))

    async def trade(self, trade_id: str) -> TradeShown | None:
        """Return a committed trade with the number of its block; None if the ledger has no such trade."""
        return await self._shared(("trade", trade_id), lambda: self._trade(trade_id))

    async def check(self, trade_id: str) -> Checked | RefusedRequest:
        """Fetch the trade's block and recompute it; refuse with TRADE_UNKNOWN if the ledger has no such trade."""
        return await self._shared(("check", trade_id), lambda: self._check(trade_id))

    async def _shared(self, question: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """Share one call among concurrent equal requests; a cancelled request does not cancel the call."""
        task = self._asked.get(question)
        if task is None:
            task = asyncio.create_task(self._ask(ask))
            self._asked[question] = task
            task.add_done_callback(partial(self._answered, question))
        return cast("T", await asyncio.shield(task))

    async def _ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        async with self._places:
            try:
                return await ask()
            except (EdgegwError, MalformedMessageError, MalformedError) as fault:
                raise RepresentativeError(f"the ledger cannot be queried: {fault}") from fault

    def _answered(self, question: Hashable, task: asyncio.Task[Any]) -> None:
        del self._asked[question]
        if not task.cancelled():
            task.exception()  # marks it as retrieved: every waiting request may have been cancelled

    async def _price(self, product: Product, interval: int) -> PriceShown | None:
        key = (product, interval)
        kept = self._prices.get(key)
        if not isinstance(kept, _Missing):
            return kept
        shown = await self._derived(product, interval)
        self._prices.put(key, shown, for_ever=shown is not None and shown.is_fixed)
        return shown

    async def _derived(self, product: Product, interval: int) -> PriceShown | None:
        place = {"zone": self._zone, "product": product, "interval": interval}
        for function in ("GetPrice", "DetermineCost"):
            try:
                return _shown_price(decode(PriceRecord, await self._client.evaluate(function, place)))
            except BusinessRefusal as refusal:
                if refusal.code in _NO_PRICE:
                    return None
                if refusal.code != Code.PRICE_NOT_FIXED:
                    raise
        return None

    async def _find(self, geohash: str, product: Product | None) -> Sequence[StationFound]:
        key = (geohash, product)
        kept = self._stations.get(key)
        if not isinstance(kept, _Missing):
            return kept
        query: dict[str, Any] = {"geohash": geohash, "pageSize": _PAGE}
        query |= {} if product is None else {"product": product}
        found: list[StationFound] = []
        bookmark = ""
        while len(found) < STATIONS_MOST:
            try:
                answer = await self._client.evaluate("FindStations", query | {"bookmark": bookmark})
            except BusinessRefusal as refusal:
                if refusal.code != Code.BAD_ARGUMENT:
                    raise
                break
            page = decode(StationPage, answer)
            found += [
                StationFound(
                    station_id=one.station_id, geohash=one.geohash, evses=one.evses, products=one.products
                )
                for one in page.stations
            ]
            bookmark = page.bookmark
            if not bookmark:
                break
        self._stations.put(key, found, for_ever=False)
        return found

    async def _trade(self, trade_id: str) -> TradeShown | None:
        kept = self._trades.get(trade_id)
        if not isinstance(kept, _Missing):
            return kept
        record = await self._record(trade_id)
        if record is None:
            return None
        shown = shown_trade(record, (await self._client.receipt(record.tx_id)).block)
        self._trades.put(trade_id, shown, for_ever=True)
        return shown

    async def _record(self, trade_id: str) -> Trade | None:
        try:
            return decode(Trade, await self._client.evaluate("GetTrade", {"tradeId": trade_id}))
        except BusinessRefusal as refusal:
            # A malformed id cannot be a trade's either.
            if refusal.code in {Code.TRADE_UNKNOWN, Code.BAD_ARGUMENT}:
                return None
            raise

    async def _check(self, trade_id: str) -> Checked | RefusedRequest:
        record = await self._record(trade_id)
        if record is None:
            return RefusedRequest(code=Code.TRADE_UNKNOWN, detail=trade_id)
        receipt = await self._client.receipt(record.tx_id)
        if self._constants is None:
            self._constants = await find_constants(self._client, self._roots, before=receipt.block)
        examined = await examine_block(self._client, receipt.block, self._roots, constants=self._constants)
        checks = [*examined.block, *_of_transaction(examined, record, receipt)]
        checks += await self._of_evidence(examined, record)
        return Checked(
            trade_id=trade_id,
            block=receipt.block,
            fields=_fields(_drawn(examined, record), examined, record),
            checks=tuple(checks),
        )

    async def _of_evidence(self, examined: Examined, record: Trade) -> Sequence[Check]:
        fact = None if self._evidence_of is None else await self._evidence_of(record.trade_id)
        if fact is None:
            return ()
        creator = examined.creators.get(record.tx_id)
        signers = [] if creator is None else [parse_identity(creator)]
        trusted = [one for one in signers if self._roots.issued(one)]
        return evidence_checks(fact, record, trusted)


def _of_transaction(examined: Examined, record: Trade, receipt: Receipt) -> Sequence[Check]:
    """Return the checks of the trade's transaction and of the trade as it wrote it."""
    drawn = _drawn(examined, record)
    place = receipt.tx_number
    transactions = examined.shown.get("transactions", ())
    found = examined.transactions[place] if place < len(transactions) else ()
    if drawn is None:
        why = examined.unreadable or f"transaction {record.tx_id} does not write it"
        return (*found, Check(name="record", holds=False, detail=why))
    told = drawn["Value"]["trade"]
    try:
        same = decode(Trade, told) == record
    except MalformedError:
        same = False
    return (
        *found,
        Check(name="record", holds=same, detail="" if same else "the peer returns a different record"),
        *examined.trades[drawn["KEY"]],
    )


def _drawn(examined: Examined, record: Trade) -> dict[str, Any] | None:
    """Return the trade in five fields from its own transaction, or None."""
    trades: list[dict[str, Any]] = [
        trade
        for one in examined.shown.get("transactions", ())
        if one["tx_id"] == record.tx_id
        for trade in one["trades"]
        if trade["KEY"] == TRADE + record.trade_id
    ]
    return trades[0] if trades else None


def _fields(drawn: dict[str, Any] | None, examined: Examined, record: Trade) -> dict[str, str]:
    """Return the five fields as text; for a missing trade, only its KEY and Prev_Hash."""
    if drawn is None:
        return {"KEY": TRADE + record.trade_id, "Prev_Hash": str(examined.shown.get("prev_hash", ""))}
    times = drawn["Timestamp"]
    mapped = f" ({times['real']})" if times["mapped"] else ""
    return {
        "KEY": drawn["KEY"],
        "Value": _text(drawn["Value"]),
        "Timestamp": times["ledger"] + mapped,
        "Prev_Hash": drawn["Prev_Hash"],
        "Proof": _text(drawn["Proof"]),
    }


def _text(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def _shown_price(record: PriceRecord) -> PriceShown:
    return PriceShown(
        product=record.product,
        interval=record.interval,
        period=record.period,
        is_fixed=record.final,
        price_mtok_per_kwh=record.price,
        floor_mtok_per_kwh=record.floor,
        ceiling_mtok_per_kwh=record.ceiling,
        supply_wh=record.supply_wh,
        demand_wh=record.demand_wh,
        weight_ppm=record.w_ppm,
    )


def shown_trade(record: Trade, block: int | None = None) -> TradeShown:
    """Return a trade's record in the form that pages show."""
    return TradeShown(
        trade_id=record.trade_id,
        kind=record.kind,
        product=record.product,
        interval=record.interval,
        buyer=record.buyer,
        seller=record.seller,
        start_wh=record.start_wh,
        end_wh=record.end_wh,
        price_mtok_per_kwh=record.price,
        amount_mtok=record.amount,
        fee_mtok=record.fee,
        evidence_hash=record.evidence_hash,
        tx_id=record.tx_id,
        at_ns=record.ledger_time_ms * _NS_PER_MS,
        block=block,
        reason=record.reason,
    )


class _Missing:
    """Marks the absence of a cached value, which may itself be None."""


class _Cache(Generic[T]):
    """A least-recently-used cache of at most `most` values, which expire after `kept_s` unless permanent."""

    def __init__(self, most: int, *, kept_s: float, real_s: Callable[[], float]) -> None:
        self._most = most
        self._kept_s = kept_s
        self._real_s = real_s
        self._values: OrderedDict[Hashable, tuple[T, float | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> T | _Missing:
        if key not in self._values:
            return _Missing()
        value, until_s = self._values[key]
        if until_s is not None and self._real_s() >= until_s:
            del self._values[key]
            return _Missing()
        self._values.move_to_end(key)
        return value

    def put(self, key: Hashable, value: T, *, for_ever: bool) -> None:
        self._values[key] = (value, None if for_ever else self._real_s() + self._kept_s)
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
