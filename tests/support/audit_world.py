"""Build a small day for the auditor: the contract on a hash-chained ledger in memory, a station's facts, sealed books.

It holds all keys of its network, so that a test can also forge what honest organisations would not sign.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edgegw.contract import Creator, Response, invoke
from edgegw.fabric import block as blocks
from edgegw.fabric import rwset, transaction
from edgegw.fabric.identity import KeySigner
from edgegw.fabric.proto import common_pb2
from edgegw.fabric.transaction import Proposal
from edgegw.fabric.wire import decode, encode
from edgegw.ledger.identity import load_signer
from edgegw.peer import membership
from edgegw.peer.endorse import Simulation, choose_organisations, sign, simulate
from edgegw.peer.server import CHAINCODE, CHANNEL, HOME_MSP
from edgegw.peer.world_state import World as PeerWorld
from tests.support import contract_world
from tests.support.contract_world import DAY0, ECO, EVU, GATE, IND, LIGHT, QUARTER_S, World

NOON = DAY0 + 12 * 3600
SIX_PM = DAY0 + 18 * 3600
S = 1_000_000_000
Change = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Words:
    """A fixed byte string to sign."""

    message: bytes


class ChainWorld(World):
    """The contract's test world on real blocks of one transaction each; the test sets its clock."""

    def __init__(self, crypto: Path) -> None:
        super().__init__()
        self.crypto = crypto
        self.peers = membership.load_peers(crypto)
        self.blocks: list[list[bytes]] = []
        self.codes: dict[int, bytes] = {}
        self._ledger = PeerWorld()
        self._signers: dict[bytes, KeySigner] = {}

    def signer(self, creator: Creator) -> KeySigner:
        """Return the caller's key."""
        name = f"{creator.role}-{creator.gateway_id}".rstrip("-").lower()
        enrolment = membership.Enrolment(
            msp_id=creator.msp_id, name=name, role=creator.role, gateway=creator.gateway_id
        )
        signer = load_signer(membership.enrol(self.crypto, enrolment))
        assert isinstance(signer, KeySigner)
        self._signers[signer.identity.serialized] = signer
        return signer

    def respond(self, creator: Creator, function: str, args: Sequence[str]) -> Response:
        """Simulate, endorse, sign and append a call; one that writes nothing adds no block."""
        done, envelope = self._endorsed(creator, function, args)
        if done.response.status == 200 and done.recorded.writes:
            self._append([envelope], done)
        return Response(
            status=done.response.status, message=done.response.message, payload=done.response.payload
        )

    def race(self, creator: Creator, function: str, **arguments: Any) -> None:
        """Put a call twice into one block, endorsed on the same state: the second one conflicts."""
        args = [json.dumps({"v": 1, **arguments})]
        (done, first), (_, second) = (self._endorsed(creator, function, args) for _ in range(2))
        self._append([first, second], done)
        self.codes[len(self.blocks) - 1] = bytes([0, 11])

    def _endorsed(self, creator: Creator, function: str, args: Sequence[str]) -> tuple[Simulation, bytes]:
        self.height += 1
        signer = self.signer(creator)
        proposal = transaction.build_proposal(
            creator=signer.identity.serialized,
            nonce=hashlib.sha256(str(self.height).encode()).digest()[:24],
            timestamp_ns=self.now_s * S,
            channel=CHANNEL,
            chaincode=CHAINCODE,
            args=(function.encode(), *(arg.encode() for arg in args)),
        )
        done = simulate(invoke, self._ledger, proposal, creator=signer.identity)
        preferred = (HOME_MSP, "IndustryMSP", "ProducerMSP")
        msps = choose_organisations(self._ledger, done.recorded, preferred, least=2)
        return done, self._signed(proposal, done.payload, msps=msps, signer=signer)

    def _append(self, envelopes: list[bytes], done: Simulation) -> None:
        """Append a block whose first transaction is valid."""
        self.blocks.append(envelopes)
        self._ledger.apply(len(self.blocks) - 1, [(0, done.recorded)])
        for key, value in done.recorded.writes.items():
            self.state.pop(key, None)
            if value is not None:
                self.state[key] = value

    def _signed(self, proposal: Proposal, payload: bytes, *, msps: Sequence[str], signer: KeySigner) -> bytes:
        message = transaction.build_transaction(proposal, payload, sign(payload, self.peers, msps))
        return transaction.build_envelope(message, signer.sign(Words(message)))

    def forged(self, envelope: bytes, change: Change, *, msps: Sequence[str] | None = None) -> bytes:
        """Return the transaction with changed records, signed again by its endorsers (or `msps`)."""
        parsed = transaction.parse_transaction(decode(common_pb2.Envelope, envelope).payload)
        recorded = rwset.parse(CHAINCODE, parsed.rwset)
        records = {key: json.loads(value) for key, value in recorded.writes.items() if value is not None}
        change(records)
        writes: dict[str, bytes | None] = {
            key: None if value is None and key not in records else contract_json(records[key])
            for key, value in recorded.writes.items()
        }
        writes |= {key: contract_json(record) for key, record in records.items()}
        proposal = Proposal(
            tx_id=parsed.tx_id,
            channel=parsed.channel,
            chaincode=parsed.chaincode,
            args=parsed.args,
            creator=parsed.creator,
            nonce=parsed.nonce,
            timestamp_ns=parsed.timestamp_ns,
            header=parsed.header,
            payload=parsed.chaincode_payload,
            message=b"",
        )
        payload = transaction.build_response_payload(
            proposal,
            rwset=rwset.serialize(CHAINCODE, replace(recorded, writes=writes)),
            event=parsed.event,
            response=parsed.response,
        )
        signers = msps if msps is not None else self.endorsers(envelope)
        return self._signed(proposal, payload, msps=signers, signer=self._signers[parsed.creator])

    def endorsers(self, envelope: bytes) -> list[str]:
        """Return the organisations that endorsed."""
        parsed = transaction.parse_transaction(decode(common_pb2.Envelope, envelope).payload)
        by_endorser = {
            peer.identity.serialized: msp for msp, signers in self.peers.items() for peer in signers
        }
        return [by_endorser[endorser] for endorser, _ in parsed.endorsements]


def contract_json(value: Any) -> bytes:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@dataclass
class Run:
    """A run's four files, as values that a test may change before it has them written."""

    world: ChainWorld
    blocks: list[list[bytes]]
    books: dict[str, Any]
    facts: list[dict[str, Any]]
    codes: dict[int, bytes]
    spoil: Callable[[bytes], bytes] = bytes

    def copy(self) -> "Run":
        """Return an independent copy."""
        return replace(
            self,
            blocks=[list(block) for block in self.blocks],
            books=copy.deepcopy(self.books),
            facts=copy.deepcopy(self.facts),
            codes=dict(self.codes),
        )

    def find(self, key: str) -> tuple[int, int]:
        """Return block and position of the transaction that last wrote a key with this prefix."""
        for number in reversed(range(len(self.blocks))):
            for position, envelope in enumerate(self.blocks[number]):
                parsed = transaction.parse_transaction(decode(common_pb2.Envelope, envelope).payload)
                if any(name.startswith(key) for name in rwset.parse(CHAINCODE, parsed.rwset).writes):
                    return number, position
        raise AssertionError(key)

    def forge(self, key: str, change: Change, *, msps: Sequence[str] | None = None) -> None:
        """Replace the transaction that wrote a key by one with changed records, signed by its endorsers (or `msps`)."""
        number, position = self.find(key)
        envelope = self.blocks[number][position]
        self.blocks[number][position] = self.world.forged(envelope, change, msps=msps)

    def seal(self) -> None:
        """Seal the books again, as a forger would."""
        content = {key: value for key, value in self.books.items() if key != "seal"}
        self.books["seal"] = hashlib.sha256(contract_json(content)).hexdigest()

    def write(self, folder: Path) -> dict[str, Path]:
        """Write the files, with the blocks' hash chain recomputed."""
        out, previous = bytearray(), b""
        for number, envelopes in enumerate(self.blocks):
            block = blocks.build_block(number, previous, envelopes)
            blocks.set_codes(block, self.codes.get(number, bytes(len(envelopes))))
            previous = blocks.header_hash(block.header)
            out += blocks.delimited(encode(block))
        names = ("blocks.bin", "trust.json", "books.json", "facts.jsonl")
        paths = dict(zip(("blocks", "trust", "books", "facts"), (folder / n for n in names), strict=True))
        paths["blocks"].write_bytes(self.spoil(bytes(out)))
        paths["trust"].write_bytes((self.world.crypto / membership.TRUST_FILE).read_bytes())
        paths["books"].write_text(json.dumps(self.books))
        paths["facts"].write_text("".join(json.dumps(fact) + "\n" for fact in self.facts))
        return paths


def tiny_day(folder: Path) -> Run:
    """EVA charges at market and retail and sells at the peak; a plant sells directly; all is swept and closed."""
    membership.found(folder / "crypto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract_world, "World", lambda: ChainWorld(folder / "crypto"))
        world = contract_world.session(lossBp=300, netFeeMtok="2000")
    assert isinstance(world, ChainWorld)
    station = Station(world)
    station.charge()
    _sell_directly(world)
    station.sell()
    _close(world)
    return Run(world=world, blocks=world.blocks, books=_books(), facts=station.facts, codes=world.codes)


class Station:
    """GW1 with one meter: its trades on the ledger, and its facts."""

    def __init__(self, world: ChainWorld) -> None:
        self.world = world
        self.facts: list[dict[str, Any]] = []
        self.note("meters", {"METER1": {"meter_ref": "M-GW1", "evse_id": "E1"}})
        self._fact("epoch", serial="1", import_mwh=1_000_000, export_mwh=500_000)

    def note(self, kind: str, body: dict[str, Any]) -> None:
        self.facts.append(json.loads(json.dumps({"kind": kind, "body": body})))

    def _fact(self, kind: str, **body: Any) -> None:
        self.note(kind, {"meter_id": "METER1", "epoch": 0, **body})

    def charge(self) -> None:
        """1,940 Wh at market (all of the slice, 3 % lost), 560 Wh at retail, then 1 Wh of standby."""
        world = self.world
        retail = {"kind": "RETAIL", "reason": "NO_SLICE", "sliceId": None}
        self._trade(
            LIGHT,
            ((1000, 2940), (2940, 3500)),
            {},
            retail,
            readings=((1_000_000, 500_000), (3_500_000, 500_000)),
        )
        self._segment((LIGHT + 3600, LIGHT + 4321), (3_500_000, 3_501_000), (500_000, 500_000), session=None)
        self._fact(
            "untraded", direction="import", code="STANDBY", energy_wh=1, start_wh=3500, interval=LIGHT + 3600
        )
        world.call(GATE, "Release", holdId="H1")
        world.call(GATE, "Return", sliceId=f"S{LIGHT}")
        sweep(world, ECO, "PRO1")
        sweep(world, GATE, "EVA")

    def sell(self) -> None:
        """EVA attests 6 kWh, holds 4 and sells 1."""
        world = self.world
        world.now_s = SIX_PM - 3600
        world.call(IND, "Offer", **contract_world.industry_offer())
        world.call(GATE, "Reserve", sliceId=f"S{SIX_PM}", offerId="OI", interval=SIX_PM, amount="400000")
        contract_world.fix_price(world, "DISCHARGE", SIX_PM, supply=12_368, demand=50_000)
        world.now_s = SIX_PM
        world.call(GATE, "AttestAvailability", **contract_world.attestation())
        hold = contract_world.hold("H2", product="DISCHARGE", maxWh="4000", limitPrice="150000")
        world.call(GATE, "Hold", **hold)
        world.now_s = SIX_PM + QUARTER_S
        line = {"direction": "export", "holdId": "H2"}
        self._trade(SIX_PM, ((500, 1500),), line, readings=((3_501_000, 500_000), (3_501_000, 1_500_000)))
        world.call(GATE, "Release", holdId="H2")
        world.call(GATE, "Return", sliceId=f"S{SIX_PM}")
        sweep(world, GATE, "EVA")

    def _trade(
        self,
        interval: int,
        spans: tuple[tuple[int, int], ...],
        *changes: dict[str, Any],
        readings: tuple[tuple[int, int], tuple[int, int]],
    ) -> None:
        """Trade one segment of a session, one line per span, with evidence signed by the gateway."""
        (first_in, first_out), (last_in, last_out) = readings
        self._segment((interval, interval + 900), (first_in, last_in), (first_out, last_out), session="s")
        start, end = (
            [[at * S - S, at * S, *registers], [at * S, at * S + S, *registers]]
            for at, registers in ((interval, readings[0]), (interval + 900, readings[1]))
        )
        lines = []
        for span, change in zip(spans, changes, strict=True):
            line = contract_world.line(interval, *span, **change)
            evidence = {"tradeId": line["tradeId"], "start": start, "end": end, "nonce": "n", "serial": "1"}
            line["evidenceHash"] = hashlib.sha256(contract_json(evidence)).hexdigest()
            signature = self.world.signer(GATE).sign(Words(contract_json(evidence))).hex()
            self.note("evidence", {"trade_id": line["tradeId"], "evidence": evidence, "signature": signature})
            lines.append(line)
        results = self.world.call(GATE, "RecordTrades", lines=lines)["results"]
        assert [result["status"] for result in results] == ["RECORDED"] * len(lines), results
        for line in lines:
            self._fact("trade", trade_id=line["tradeId"], status="RECORDED", tx_id="tx")

    def _segment(
        self,
        times_s: tuple[int, int],
        import_mwh: tuple[int, int],
        export_mwh: tuple[int, int],
        *,
        session: str | None,
    ) -> None:
        self._fact(
            "segment",
            start_ns=times_s[0] * S,
            end_ns=times_s[1] * S,
            interval=times_s[0],
            import_mwh=list(import_mwh),
            export_mwh=list(export_mwh),
            gap_ns=2 * S,
            session_id=session,
        )


def sweep(world: World, who: Creator, member_id: str) -> None:
    """Sweep all pending credits of a member."""
    world.call(who, "Sweep", memberId=member_id, creditIds=world.balance(member_id)["credits"])


def _sell_directly(world: World) -> None:
    """Sell the plant's 4 kWh at noon directly to industry."""
    contract_world.fix_price(world, "DISCHARGE", NOON, supply=1, demand=3)
    world.now_s = NOON + QUARTER_S
    contract_world.generate(world, lot_id="L2", start_wh=20_500, wh=5000)
    world.call(
        ECO,
        "transfer",
        tradeId="PV:0:export:500",
        buyer="IND1",
        seller="PRO1",
        product="DISCHARGE",
        zone="KR-CB-1",
        interval=NOON,
        meterRef="PV",
        epoch=0,
        direction="export",
        startWh="500",
        endWh="4500",
        evidenceHash=contract_world.digest("noon"),
    )


def _close(world: ChainWorld) -> None:
    """Pay out, expire offers and lots, let two posts of a floor conflict, and let a member leave."""
    world.call(contract_world.DESK, "Burn", memberId="PRO1", amount="1000", payoutRef="pay-1")
    world.call(IND, "CloseOffer", offerId="OI")
    world.now_s = DAY0 + 86_400
    world.race(
        contract_world.ORACLE,
        "PostFloor",
        zone="KR-CB-1",
        product="CHARGE",
        hour=DAY0 + 86_400 + 7200,
        floor="91000",
    )
    world.call(ECO, "CloseOffer", offerId="O1")
    world.call(ECO, "ExpireLot", lotId="L2")
    world.call(EVU, "Update", memberId="EVB", expectedVersion=1, status="LEFT")


def _books() -> dict[str, Any]:
    """Return the sealed books of EVSE E1, written by hand."""
    quarters = [
        (LIGHT, 1_000_300, 500_200),
        (LIGHT + 900, 3_500_700, 500_200),
        (SIX_PM, 3_501_400, 500_200),
        (SIX_PM + 900, 3_501_400, 1_500_100),
    ]
    books = {
        "evses": {
            "E1": {
                "rated_w": 22_000,
                "standby_mwh": 700,
                "register_start_mwh": {"import": 1_000_300, "export": 500_200},
                "register_end_mwh": {"import": 3_501_400, "export": 1_500_100},
                "quarters": [
                    {"utc_s": at_s, "import_mwh": import_mwh, "export_mwh": export_mwh}
                    for at_s, import_mwh, export_mwh in quarters
                ],
                "resets": [],
            }
        },
        "witness": {"import_wh": 2501, "export_wh": 1000},
    }
    seal = hashlib.sha256(contract_json(books)).hexdigest()
    return {**books, "seal": seal}
