"""Host the contract in memory: a fake of the peer's world state, in which a transaction does not see its own writes.

It also checks what the contract guarantees to every host: each key is written once, in sorted order, and a refused call
writes nothing.
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgegw.contract import Creator, Response, invoke

QUARTER_S = 900
DAY0 = 1_784_041_200  # 2026-07-15 00:00 in Korea, a Wednesday
ADMIN = Creator(msp_id="ProducerMSP", role="admin")
ORACLE = Creator(msp_id="EVUserMSP", role="oracle")
DESK = Creator(msp_id="IndustryMSP", role="exchange")
AUDITOR = Creator(msp_id="IndustryMSP", role="auditor")
ECO = Creator(msp_id="ProducerMSP", role="representative")
EVU = Creator(msp_id="EVUserMSP", role="representative")
IND = Creator(msp_id="IndustryMSP", role="representative")
GATE = Creator(msp_id="EVUserMSP", role="gateway", gateway_id="GW1")
GATE2 = Creator(msp_id="EVUserMSP", role="gateway", gateway_id="GW2")


def digest(text: str) -> str:
    """Return a text's SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class MemoryStub:
    """One transaction's `Stub` over the committed state of a `World`."""

    state: dict[str, bytes]
    tx_id: str
    timestamp_ms: int
    creator: Creator
    writes: list[tuple[str, bytes | None]] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    policies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    event: tuple[str, bytes] | None = None

    def get(self, key: str) -> bytes | None:
        self.reads.add(key)
        return self.state.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.writes.append((key, value))

    def delete(self, key: str) -> None:
        self.writes.append((key, None))

    def scan(self, start: str, end: str, limit: int) -> Iterator[tuple[str, bytes]]:
        names = sorted(self.state)
        found = names[bisect_left(names, start) : bisect_left(names, end)][:limit]
        return iter([(name, self.state[name]) for name in found])

    def set_policy(self, key: str, msp_ids: Sequence[str]) -> None:
        self.policies[key] = tuple(msp_ids)

    def set_event(self, name: str, payload: bytes) -> None:
        assert self.event is None, "one event a transaction"
        self.event = (name, payload)


class RefusedError(Exception):
    """The contract answered with status 500; `code` is the refusal's code."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message.split(":", 1)[0]


class World:
    """A channel: tests call the contract as a given creator, at a given time."""

    def __init__(self) -> None:
        self.state: dict[str, bytes] = {}
        self.now_s = DAY0
        self.height = 0
        self.last: MemoryStub

    def respond(self, creator: Creator, function: str, args: Sequence[str]) -> Response:
        """Run a call and commit it; check what the contract guarantees to every host."""
        self.height += 1
        self.last = stub = MemoryStub(self.state, f"{self.height:064x}", self.now_s * 1000, creator)
        response = invoke(stub, function, args)
        names = [name for name, _ in stub.writes]
        assert names == sorted(set(names)), "each key once, sorted"
        assert response.status == 200 or not (stub.writes or stub.event), "a refusal writes nothing"
        assert (stub.event is not None) == bool(stub.writes), "an event tells of writes"
        for name, value in stub.writes:
            if value is None:
                self.state.pop(name, None)
            else:
                self.state[name] = value
        return response

    def call(self, who: Creator, function: str, **arguments: Any) -> dict[str, Any]:
        """Return the payload of one call. Raise RefusedError if it is refused."""
        response = self.respond(who, function, [json.dumps({"v": 1, **arguments})])
        if response.status != 200:
            raise RefusedError(response.message)
        payload: dict[str, Any] = json.loads(response.payload)
        return payload

    def code(self, who: Creator, function: str, **arguments: Any) -> str:
        """Return the refusal's code of a call that must be refused."""
        try:
            payload = self.call(who, function, **arguments)
        except RefusedError as refused:
            return refused.code
        raise AssertionError(f"{function} was not refused: {payload}")

    def record(self, key: str) -> dict[str, Any]:
        """Return a committed record."""
        found: dict[str, Any] = json.loads(self.state[key])
        return found

    def totals(self) -> dict[str, dict[str, int]]:
        """Return `AuditTotals`, as integers."""
        totals = self.call(AUDITOR, "AuditTotals")
        return {side: {name: int(value) for name, value in sums.items()} for side, sums in totals.items()}

    def balance(self, member_id: str) -> dict[str, Any]:
        """Return `balanceOf`, tokens and energy as integers."""
        found = self.call(AUDITOR, "balanceOf", memberId=member_id)
        for unit in ("tokens", "energy"):
            found[unit] = {place: int(value) for place, value in found[unit].items()}
        return found

    def sign_up(self, member_id: str, kind: str) -> None:
        """Sign up a member of `kind`, as its organisation's representative."""
        who = {"PRODUCER": ECO, "INDUSTRY": IND}.get(kind, EVU)
        self.call(
            who,
            "SignUp",
            memberId=member_id,
            kind=kind,
            commitment=digest(member_id),
            dupTag=digest(f"tag {member_id}"),
        )

    def mint(self, member_id: str, amount: int) -> None:
        """Mint tokens for a member, with a new reference."""
        ref = f"dep-{member_id}-{self.height}"
        self.call(DESK, "Mint", memberId=member_id, amount=str(amount), depositRef=ref)


def summer_tariff(zone: str = "KR-CB-1", **changes: Any) -> dict[str, Any]:
    """Return the arguments of the tariff in docs/contract.md, PostTariff in full."""
    hours = {"light": [[0, 480], [1320, 1440]], "mid": [[480, 900], [1260, 1320]], "peak": [[900, 1260]]}
    charge = {"light": "98300", "mid": "186000", "peak": "273200"}
    discharge = {"light": "109700", "mid": "135500", "peak": "169000"}
    floor = {"light": "90000", "mid": "70000", "peak": "140000"}
    seasons = {"summer": [6, 7, 8], "other": [1, 2, 3, 4, 5, 9, 10, 11, 12]}
    return {
        "tariffId": "KR-2026-06-01",
        "zone": zone,
        "effectiveFrom": 1_780_239_600,
        "utcOffsetS": 32_400,
        "documentHash": digest("the published tariff"),
        "calendar": {
            "seasons": seasons,
            "holidays": ["2026-08-17"],
            "sunday": "light",
            "holiday": "light",
            "saturdayPeakAs": "mid",
        },
        "periods": dict.fromkeys(seasons, hours),
        "ceilings": {
            "CHARGE": dict.fromkeys(seasons, charge),
            "DISCHARGE": dict.fromkeys(seasons, discharge),
        },
        "floors": {"CHARGE": dict.fromkeys(seasons, floor), "DISCHARGE": dict.fromkeys(seasons, floor)},
        **changes,
    }


def market(**config: Any) -> World:
    """Return a channel at the start of the day, with a tariff, members, gateways and meters, but no tokens."""
    world = World()
    world.call(ADMIN, "Configure", channel="market", **config)
    world.call(ORACLE, "PostTariff", **summer_tariff())
    for member_id, kind in (
        ("PRO1", "PRODUCER"),
        ("EVA", "EV"),
        ("EVB", "EV"),
        ("SUP", "SUPPLIER"),
        ("IND1", "INDUSTRY"),
    ):
        world.sign_up(member_id, kind)
    for gate in (GATE, GATE2):
        name = gate.gateway_id
        world.call(
            EVU, "RegisterGateway", gatewayId=name, certificateSha256=digest(name), stations=[f"ST-{name}"]
        )
        world.call(gate, "RegisterMeter", **meter(f"M-{name}", gatewayId=name))
    world.call(ECO, "RegisterMeter", **meter("PV", kind="PLANT", ratedW="200000"))
    return world


def meter(meter_ref: str, **changes: Any) -> dict[str, Any]:
    """Return the arguments of `RegisterMeter` for an EVSE meter of 22 kW with registers at 1,000 and 500 Wh."""
    return {
        "meterRef": meter_ref,
        "epoch": 0,
        "zone": "KR-CB-1",
        "kind": "EVSE",
        "importWh": "1000",
        "exportWh": "500",
        "ratedW": "22000",
        **changes,
    }


def line(interval: int, start_wh: int, end_wh: int, /, **changes: Any) -> dict[str, Any]:
    """Return a MARKET line of GW1's meter, import by default; `sliceId` follows from the interval."""
    direction = changes.get("direction", "import")
    meter_ref = changes.get("meterRef", "M-GW1")
    made = {
        "tradeId": f"{meter_ref}:0:{direction}:{start_wh}",
        "meterRef": meter_ref,
        "epoch": 0,
        "direction": direction,
        "startWh": str(start_wh),
        "endWh": str(end_wh),
        "interval": interval,
        "kind": "MARKET",
        "holdId": "H1",
        "sliceId": f"S{changes.get('interval', interval)}",
        "evidenceHash": digest(f"{meter_ref} {start_wh}"),
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


LIGHT = DAY0 + 6 * 3600
"""A quarter hour of light load; the session below charges in it."""


def generate(
    world: World, *, lot_id: str = "L1", start_wh: int = 500, wh: int = 20_000, **changes: Any
) -> None:
    """Record a lot of PRO1's plant for the interval that just ended."""
    made = {
        "lotId": lot_id,
        "memberId": "PRO1",
        "meterRef": "PV",
        "epoch": 0,
        "interval": world.now_s // QUARTER_S * QUARTER_S - QUARTER_S,
        "startWh": str(start_wh),
        "endWh": str(start_wh + wh),
        "evidenceHash": digest(lot_id),
        "expiresAt": DAY0 + 86_400,
        **changes,
    }
    world.call(ECO, "RegisterGeneration", **made)


def sun_offer(offer_id: str = "O1", **changes: Any) -> dict[str, Any]:
    """Return the arguments of a CHARGE offer of 10,000 Wh from lot L1, valid all day."""
    made = {
        "offerId": offer_id,
        "memberId": "PRO1",
        "product": "CHARGE",
        "zone": "KR-CB-1",
        "lotId": "L1",
        "wh": "10000",
        "limitPrice": "90000",
        "validFrom": DAY0,
        "validTo": DAY0 + 86_400,
        "maxWhPerGatewayDay": "100000",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def industry_offer(offer_id: str = "OI", **changes: Any) -> dict[str, Any]:
    """Return the arguments of a DISCHARGE offer of 1,000 tokens, valid all day."""
    made = sun_offer(offer_id, lotId=None, wh=None)
    return {
        **made,
        "memberId": "IND1",
        "product": "DISCHARGE",
        "mtok": "1000000",
        "limitPrice": "168000",
        **changes,
    }


def hold(hold_id: str = "H1", **changes: Any) -> dict[str, Any]:
    """Return the arguments of EVA's charging hold: 10 kWh at the retail ceiling."""
    return {
        "holdId": hold_id,
        "memberId": "EVA",
        "product": "CHARGE",
        "maxWh": "10000",
        "limitPrice": "98300",
        "acceptRetail": True,
        **changes,
    }


def attestation(attest_id: str = "A1", **changes: Any) -> dict[str, Any]:
    """Return the arguments of EVA's attestation of 6,000 Wh."""
    return {
        "attestId": attest_id,
        "memberId": "EVA",
        "dischargeableWh": "6000",
        "socBp": 5000,
        "minSocBp": 4000,
        "capacityWh": "77400",
        "evidenceHash": digest(attest_id),
        **changes,
    }


def fix_price(world: World, product: str, interval: int, *, supply: int = 0, demand: int = 0) -> int:
    """Post both loads of an interval before its cut-off, fix the price after it, and return the price."""
    where = {"zone": "KR-CB-1", "product": product, "interval": interval}
    sides = {"CHARGE": (ECO, EVU), "DISCHARGE": (EVU, IND)}[product]
    world.now_s = interval - 600
    for who, wh in zip(sides, (supply, demand), strict=True):
        world.call(who, "PostLoad", **where, wh=str(wh))
    world.now_s = interval - 120
    return int(world.call(GATE, "FixPrice", **where)["price"])


def session(**config: Any) -> World:
    """Return a market in which EVA charges in LIGHT: tokens, a lot, an offer, a slice of 2,000 Wh, a price, a hold."""
    world = market(**config)
    world.now_s = LIGHT - 3600
    world.mint("EVA", 5_000_000)
    world.mint("IND1", 9_000_000)
    generate(world)
    world.call(ECO, "Offer", **sun_offer())
    world.call(GATE, "Reserve", sliceId=f"S{LIGHT}", offerId="O1", interval=LIGHT, amount="2000")
    fix_price(world, "CHARGE", LIGHT, supply=24_000, demand=14_000)
    world.now_s = LIGHT
    world.call(GATE, "Hold", **hold())
    world.now_s = LIGHT + QUARTER_S
    return world
