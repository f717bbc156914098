"""Every equation of the ledger holds over random histories, added up from the raw records by code of its own."""

import json
from collections import Counter, defaultdict
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegw.contract import Creator
from edgegw.contract.price_formula import Window, quote
from tests.support.contract_world import (
    DAY0,
    DESK,
    ECO,
    EVU,
    GATE,
    GATE2,
    IND,
    QUARTER_S,
    RefusedError,
    attestation,
    digest,
    hold,
    industry_offer,
    line,
    market,
    sun_offer,
)

ZONE = "KR-CB-1"
MEMBERS = {"PRO1": ECO, "IND1": IND, "EVA": EVU, "EVB": EVU, "SUP": EVU}
REASONS = ("PRICE_NOT_FIXED", "PRICE_WINDOW_EMPTY", "NO_SLICE", "KEPT", "PEER_DOWN")
SOURCES = ("generation", "outside", "grid")
SINKS = ("industry", "conversion", "loss", "expired")
OVERWRITTEN = ("PostLoad", "RecordTrades")
DIRECT = (
    ("CHARGE", "EVA", "PRO1", "M-GW1:import"),
    ("DISCHARGE", "IND1", "EVA", "M-GW1:export"),
    ("DISCHARGE", "IND1", "PRO1", "PV:export"),
)


class Market:
    """Random calls of all parties, most of them valid. A seed determines a history."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        pick = self.chance.choice
        self.world = market(
            lossBp=pick([0, 300]),
            dischargeLossBp=pick([0, 250]),
            netFeeMtok=pick(["0", "1500"]),
            gainMtok=pick(["500", "1000"]),
        )
        self.world.now_s = DAY0 + 5 * 3600 + 800
        self.done: list[tuple[Creator, str, dict[str, Any]]] = []
        self.counts: Counter[str] = Counter()
        self.generated = 500
        for member in ("EVA", "EVB", "IND1"):
            self.world.mint(member, 30_000_000)
        self.offer_to_buy(12_000_000)
        self.generate(40_000)
        self.steps = [
            *[self.next_quarter] * 3,
            *[self.record_trades] * 6,
            *[self.generate, self.hold_to_charge, self.hold_to_sell] * 2,
            *[
                self.deposit,
                self.payout,
                self.offer_to_buy,
                self.attest,
                self.transfer,
                self.end,
                self.sweep,
                self.replay,
            ],
        ]

    def step(self) -> None:
        """Make one random call."""
        self.chance.choice(self.steps)()

    def attempt(self, who: Creator, function: str, **arguments: Any) -> dict[str, Any] | None:
        """The payload, or None where the contract refused."""
        try:
            payload = self.world.call(who, function, **arguments)
        except RefusedError as refused:
            self.counts[f"{function} {refused.code}"] += 1
            return None
        self.counts[function] += 1
        self.done.append((who, function, arguments))
        return payload

    def new_id(self, kind: str) -> str:
        """A fresh id."""
        return f"{kind}{self.world.height}"

    def amount(self, most: int) -> int:
        """Something between one and `most`, small things as likely as large ones."""
        return min(most, self.chance.randint(1, 10 ** self.chance.randint(1, len(str(most)))))

    def interval(self) -> int:
        """Return the quarter hour of the ledger's time."""
        return self.world.now_s // QUARTER_S * QUARTER_S

    def pick(self, kind: str, **where: object) -> str:
        """Return an id that mostly fits, sometimes another record's, sometimes an unknown one."""
        found = self.records(kind)
        fits = [
            parts[0]
            for parts, record in found
            if where.items() <= record.items() and record.get("left") != "0"
        ]
        if self.chance.random() < 0.1:
            fits = [parts[0] for parts, _ in found]
        return self.chance.choice(fits) if fits else "unknown"

    def deposit(self) -> None:
        member = self.chance.choice(sorted(MEMBERS))
        amount = str(self.amount(3_000_000))
        self.attempt(DESK, "Mint", memberId=member, amount=amount, depositRef=self.new_id("d"))

    def payout(self) -> None:
        member = self.chance.choice(sorted(MEMBERS))
        amount = str(self.amount(900_000))
        self.attempt(DESK, "Burn", memberId=member, amount=amount, payoutRef=self.new_id("p"))

    def generate(self, wh_min: int = 0) -> None:
        """A lot, most of it offered."""
        wh, lot_id, start = wh_min + self.amount(10_000), self.new_id("L"), self.generated
        made = {
            "lotId": lot_id,
            "memberId": "PRO1",
            "meterRef": "PV",
            "epoch": 0,
            "interval": self.interval(),
        }
        span = {"startWh": str(start), "endWh": str(start + wh), "evidenceHash": digest(lot_id)}
        expires = self.interval() + self.chance.choice([4, 96, 960, 960]) * QUARTER_S
        if self.attempt(ECO, "RegisterGeneration", **made, **span, expiresAt=expires):
            self.generated += wh
            behind = {
                "lotId": lot_id,
                "wh": str(wh * 3 // 4 + 1),
                "limitPrice": "1",
                "validTo": DAY0 + 9 * 86_400,
            }
            self.attempt(ECO, "Offer", **sun_offer(self.new_id("O"), **behind))

    def offer_to_buy(self, mtok_min: int = 0) -> None:
        mtok = str(mtok_min + self.amount(2_000_000))
        offer = industry_offer(self.new_id("O"), mtok=mtok, limitPrice="400000", validTo=DAY0 + 9 * 86_400)
        self.attempt(IND, "Offer", **offer)

    def next_quarter(self) -> None:
        """Loads, slices and prices of a coming quarter hour, and time moves into it."""
        interval = self.interval() + QUARTER_S * (2 + self.chance.choice([0, 0, 0, 2, 12, 40]))
        self.world.now_s = interval - 600
        for product, sides in (("CHARGE", (ECO, EVU)), ("DISCHARGE", (EVU, IND))):
            where = {"zone": ZONE, "product": product, "interval": interval}
            for who in sides:
                self.attempt(who, "PostLoad", **where, wh=str(self.amount(90_000)))
        self.world.now_s = interval - 60
        for product in ("CHARGE", "DISCHARGE", "CHARGE", "DISCHARGE"):
            offer_id = self.pick("offer", product=product, status="OPEN")
            amount = self.amount(6000) if product == "CHARGE" else 50_000 + self.amount(900_000)
            if offer_id != "unknown":
                amount = min(amount, max(1, int(self.world.record(f"offer~{offer_id}")["left"])))
            made = {
                "sliceId": self.new_id("S"),
                "offerId": offer_id,
                "interval": interval,
                "amount": str(amount),
            }
            self.attempt(self.chance.choice([GATE, GATE, GATE2]), "Reserve", **made)
        for product in ("CHARGE", "DISCHARGE"):
            if self.chance.random() < 0.9:
                self.attempt(GATE, "FixPrice", zone=ZONE, product=product, interval=interval)
        self.world.now_s = interval + 800

    def attest(self) -> None:
        member = self.chance.choice(["EVA", "EVB"])
        wh = str(self.amount(12_000))
        arguments = attestation(self.new_id("A"), memberId=member, dischargeableWh=wh, socBp=9000)
        self.attempt(self.chance.choice([GATE, GATE2]), "AttestAvailability", **arguments)

    def hold_to_sell(self) -> None:
        self.attest()
        gate, member = self.chance.choice([GATE, GATE, GATE2]), self.chance.choice(["EVA", "EVB"])
        limit = self.chance.choice(["0", "1000", "150000", "400000"])
        most = str(500 + self.amount(4000))
        self.open_hold(gate, memberId=member, product="DISCHARGE", maxWh=most, limitPrice=limit)

    def hold_to_charge(self) -> None:
        gate, member = self.chance.choice([GATE, GATE, GATE2]), self.chance.choice(["EVA", "EVB"])
        limit, retail = self.chance.choice(["100000", "400000"]), self.chance.random() < 0.8
        most = str(500 + self.amount(9000))
        self.open_hold(gate, memberId=member, maxWh=most, limitPrice=limit, acceptRetail=retail)

    def open_hold(self, gate: Creator, **changes: Any) -> None:
        self.attempt(gate, "Hold", **hold(self.new_id("H"), **changes))

    def record_trades(self) -> None:
        """Lines of one gateway's meter, now and then with gaps and overlaps, market and retail, both directions."""
        gate = self.chance.choice([GATE, GATE, GATE2])
        lines: list[dict[str, Any]] = []
        for _ in range(self.chance.randint(1, 4)):
            product, direction = self.chance.choice([("CHARGE", "import"), ("DISCHARGE", "export")])
            if self.pick("hold", gatewayId=gate.gateway_id, status="OPEN", product=product) == "unknown":
                continue
            meter_ref, interval = f"M-{gate.gateway_id}", self.interval()
            same = [int(made["endWh"]) for made in lines if made["direction"] == direction]
            last = max([int(self.world.record(f"reg~{meter_ref}~0~{direction}")["wh"]), *same])
            start = max(0, last + self.chance.choice([0, 0, 0, 7, -7]))
            own = {"product": product, "gatewayId": gate.gateway_id, "status": "OPEN"}
            slice_id = self.pick("slice", **own, interval=interval)
            kind: dict[str, Any] = {"sliceId": slice_id}
            if product == "CHARGE" and (slice_id == "unknown" or self.chance.random() < 0.2):
                kind = {"kind": "RETAIL", "sliceId": None, "reason": self.chance.choice(REASONS)}
            where = {"meterRef": meter_ref, "direction": direction, "holdId": self.pick("hold", **own)}
            lines.append(line(interval, start, start + self.amount(2500), **where, **kind))
        if not lines:
            return
        payload = self.world.call(gate, "RecordTrades", lines=lines)
        for made, result in zip(lines, payload["results"], strict=True):
            self.counts[f"{made['kind']} {made['direction']} {result.get('code', result['status'])}"] += 1
        recorded = [
            made
            for made, result in zip(lines, payload["results"], strict=True)
            if result["status"] == "RECORDED"
        ]
        if recorded:
            again = self.world.call(gate, "RecordTrades", lines=recorded)
            assert {result["status"] for result in again["results"]} == {"KNOWN"}
            assert self.world.last.writes == [], "a replay of recorded lines changes nothing"

    def transfer(self) -> None:
        product, buyer, seller, name = self.chance.choice(DIRECT)
        meter_ref, direction = name.split(":")
        start = int(self.world.record(f"reg~{meter_ref}~0~{direction}")["wh"])
        made = line(
            self.interval(), start, start + self.amount(2000), meterRef=meter_ref, direction=direction
        )
        base = {field: made[field] for field in made if field not in {"kind", "holdId", "sliceId"}}
        parties = {"buyer": buyer, "seller": seller, "product": product, "zone": ZONE}
        self.attempt(MEMBERS[seller], "transfer", **base, **parties)

    def end(self) -> None:
        """End something that was open."""
        gate = self.chance.choice([GATE, GATE, GATE2])
        own = {"gatewayId": gate.gateway_id, "status": "OPEN"}
        self.attempt(gate, "Return", sliceId=self.pick("slice", **own))
        self.attempt(ECO, "ExpireLot", lotId=self.pick("lot"))
        if self.chance.random() < 0.5:
            self.attempt(gate, "Release", holdId=self.pick("hold", **own))
        else:
            offer_id = self.pick("offer", status="OPEN")
            self.attempt(self.chance.choice([ECO, IND]), "CloseOffer", offerId=offer_id)

    def sweep(self) -> None:
        member = self.chance.choice(sorted(MEMBERS))
        ids = self.world.balance(member)["credits"]
        self.attempt(MEMBERS[member], "Sweep", memberId=member, creditIds=ids[:3])

    def replay(self) -> None:
        """The same call again, however late, succeeds and writes nothing."""
        calls = [call for call in self.done if call[1] not in OVERWRITTEN]
        if calls:
            who, function, arguments = self.chance.choice(calls)
            self.world.call(who, function, **arguments)
            assert self.world.last.writes == [], function

    def check(self) -> None:
        """Every equation."""
        self.tokens_and_energy_are_conserved()
        self.histories_sum_up_to_holdings()
        self.trades_are_continuous_and_balanced()

    def records(self, kind: str) -> list[tuple[list[str], dict[str, Any]]]:
        """Key parts and record of all keys of a type."""
        return [
            (key.split("~")[1:], json.loads(raw))
            for key, raw in self.world.state.items()
            if key.startswith(f"{kind}~")
        ]

    def owned(self) -> dict[str, Counter[str]]:
        """Tokens and energy of each member, over account, positions and credits."""
        owned: dict[str, Counter[str]] = defaultdict(Counter)
        for _, account in self.records("acc"):
            owned[account["memberId"]].update(tokens=int(account["tokens"]), energy=int(account["energy"]))
        for (member, *_), credit in self.records("cr"):
            owned[member].update(tokens=int(credit["tokens"]), energy=int(credit["energy"]))
        for kind, all_, parts in (
            ("hold", "reserved", ("drawn", "released")),
            ("slice", "amount", ("drawn", "returned")),
            ("offer", "left", ()),
        ):
            for _, record in self.records(kind):
                left = int(record[all_]) - sum(int(record[part]) for part in parts)
                assert left >= 0
                unit = "tokens" if (kind == "hold") == (record["product"] == "CHARGE") else "energy"
                owned[record["memberId"]][unit] += left
        return owned

    def tokens_and_energy_are_conserved(self) -> None:
        """Supply is where it is; what came from sources is in accounts or sinks; the contract's totals say the same."""
        owned = self.owned()
        totals = self.world.totals()
        flows: Counter[str] = Counter()
        for _, sink in self.records("sink"):
            flows.update({name: int(wh) for name, wh in sink.items()})
        minted = sum(int(record["amount"]) for _, record in self.records("mint"))
        burned = sum(int(record["amount"]) for _, record in self.records("burn"))
        assert (
            minted - burned
            == sum(counts["tokens"] for counts in owned.values())
            == totals["tokens"]["supply"]
        )
        energy = sum(counts["energy"] for counts in owned.values())
        assert sum(flows[name] for name in SOURCES) == energy + sum(flows[name] for name in SINKS)
        for unit in ("tokens", "energy"):
            places = sum(totals[unit][place] for place in ("available", "held", "pending"))
            assert places == sum(counts[unit] for counts in owned.values())
        assert {name: totals["energy"][name] for name in SOURCES + SINKS} == {
            name: flows[name] for name in SOURCES + SINKS
        }

    def histories_sum_up_to_holdings(self) -> None:
        """The deltas of a member's history are what it owns."""
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        for (member, *_), entry in self.records("hist"):
            sums[member].update(tokens=int(entry["tokens"]), energy=int(entry["energy"]))
        owned = self.owned()
        owned.pop("FEE:network", None)
        assert {name: +counts for name, counts in sums.items()} == {
            name: +counts for name, counts in owned.items()
        }

    def trades_are_continuous_and_balanced(self) -> None:
        """Spans of a register are disjoint and within it; amounts, gross, fee and price follow from the records."""
        spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
        entries = {tuple(parts[::2]): entry for parts, entry in self.records("hist")}
        cfg = self.world.record("cfg")
        for _, trade in self.records("trade"):
            start, end, wh = (int(trade[name]) for name in ("startWh", "endWh", "wh"))
            spans[f"{trade['meterRef']}~0~{trade['direction']}"].append((start, end))
            amount, fee, price = (int(trade[name]) for name in ("amount", "fee", "price"))
            retail = trade["kind"] == "RETAIL"
            loss = 0 if retail else cfg["lossBp" if trade["product"] == "CHARGE" else "dischargeLossBp"]
            assert wh == end - start
            assert amount == (price * wh + 500) // 1000
            assert fee == (0 if retail else (int(cfg["netFeeMtok"]) * wh + 500) // 1000)
            assert int(trade["gross"]) == -(-wh * 10_000 // (10_000 - loss))
            name = f"trade.recorded:{trade['tradeId']}"
            paid = -int(entries[trade["buyer"], name]["tokens"])
            assert paid == int(entries[trade["seller"], name]["tokens"]) + fee == amount + fee
            if not retail:
                self.check_market(trade, price, wh)
        for name, traded in spans.items():
            traded.sort()
            assert all(earlier[1] <= later[0] for earlier, later in pairwise(traded))
            assert traded[-1][1] == int(self.world.record(f"reg~{name}")["wh"])

    def check_market(self, trade: dict[str, Any], price: int, wh: int) -> None:
        """The fixed price, recomputed from its own inputs, with a gain for both sides."""
        key = f"price~{trade['zone']}~{trade['product']}~{trade['interval']:012d}"
        record = self.world.record(key)
        window = Window(
            floor=int(record["floor"]),
            ceiling=int(record["ceiling"]),
            net_fee=int(record["netFee"]),
            gain=int(record["gain"]),
        )
        posted = {load["side"]: int(load["wh"]) for load in record["loads"]}
        result = quote(
            record["formula"],
            window,
            supply_wh=posted.get("supply", 0),
            demand_wh=posted.get("demand", 0),
        )
        assert result.price == int(record["price"]) == price
        assert window.floor + window.gain <= price <= window.ceiling - window.net_fee - window.gain
        assert 1000 * int(trade["amount"]) >= window.floor * wh
        assert 1000 * int(trade["amount"]) <= (window.ceiling - window.net_fee) * wh


def live(seed: int, steps: int) -> Market:
    """A history, checked after every step."""
    history = Market(seed)
    for _ in range(steps):
        history.step()
        history.check()
    return history


QUICK = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@QUICK
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 60))
def test_equations_hold_over_random_histories(seed: int, steps: int) -> None:
    """Tokens, energy, histories, registers, prices and replays are consistent, whatever is called."""
    live(seed, steps)


def test_random_histories_reach_every_kind_of_trade() -> None:
    """The histories are not trivial: they have trades of all kinds, and refusals."""
    counts: Counter[str] = Counter()
    for seed in range(4):
        counts += live(seed, 110).counts
    reached = (
        "MARKET import RECORDED",
        "MARKET export RECORDED",
        "RETAIL import RECORDED",
        "transfer",
        "ExpireLot",
    )
    assert all(counts[what] >= 3 for what in reached), counts
    assert sum(count for what, count in counts.items() if what.startswith(("MARKET", "RETAIL"))) > 100


@pytest.mark.soak
@settings(QUICK, max_examples=2000, derandomize=False)
@given(seed=st.integers(0, 2**32))
def test_long_histories(seed: int) -> None:
    """The same laws over many more and longer histories."""
    live(seed, 300)
