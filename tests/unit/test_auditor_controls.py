"""The auditor on a small real day: verified as it is, and never once anything in it was changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from edgegw.fabric.proto import common_pb2
from edgegw.fabric.wire import decode, encode
from firmware_sim.__main__ import main
from firmware_sim.audit.report import Sources, audit
from tests.audit_world import Change, Run, tiny_day
from tests.contract_world import LIGHT

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PRICE = f"price~KR-CB-1~CHARGE~{LIGHT:012d}"
LOAD = f"load~KR-CB-1~CHARGE~{LIGHT:012d}~EVUserMSP"
MARKET, RETAIL, SALE = ("M-GW1:0:import:1000", "M-GW1:0:import:2940", "M-GW1:0:export:500")
Tamper = Callable[[Run], None]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An honest day; tests change copies of it."""
    return tiny_day(tmp_path_factory.mktemp("day"))


def report_of(run: Run, folder: Path) -> dict[str, Any]:
    """The auditor's report on a run's files."""
    return audit(Sources(**run.write(folder)))


def more(record: dict[str, Any], name: str, by: int = 1) -> None:
    """Add to a quantity of a record."""
    record[name] = str(int(record[name]) + by)


# --- what somebody changed ------------------------------------------------------------------------------------------


def register(run: Run) -> None:
    """The true register of E1 ends 1 Wh higher; the books are sealed again."""
    run.books["evses"]["E1"]["register_end_mwh"]["import"] += 1000
    run.books["witness"]["import_wh"] += 1
    run.seal()


def unsealed(run: Run) -> None:
    """A quarter's register in the books is changed and the seal left as it was."""
    run.books["evses"]["E1"]["quarters"][0]["import_mwh"] += 1


def wrong_sum(run: Run) -> None:
    """The books' own sum is another one than their registers'."""
    run.books["witness"]["import_wh"] += 1
    run.seal()


def dropped(run: Run) -> None:
    """The transaction with the sale is gone from its block, and all hashes are made anew."""
    number, position = run.find(f"trade~{SALE}")
    del run.blocks[number][position]


def dropped_and_denied(run: Run) -> None:
    """The sale is gone, with everything after it, and the station's own word of it."""
    number, _ = run.find(f"trade~{SALE}")
    del run.blocks[number:]
    run.facts = [
        fact
        for fact in run.facts
        if fact["body"].get("trade_id") != SALE and not (fact["kind"] == "trade" and SALE in str(fact))
    ]


def doubled(run: Run) -> None:
    """The block with the sale comes twice, and is said to be valid twice."""
    number, position = run.find(f"trade~{SALE}")
    run.blocks.append([run.blocks[number][position]])


def doubled_elsewhere(run: Run) -> None:
    """Everybody signs a second record of the sale under another id."""

    def change(records: dict[str, Any]) -> None:
        again = f"{SALE}9"
        records[f"trade~{again}"] = {**records[f"trade~{SALE}"], "tradeId": again, "startWh": "5009"}

    run.forge(f"trade~{SALE}", change)


def price(run: Run) -> None:
    """Everybody signs a price that is one milli-token higher."""
    run.forge(PRICE, lambda records: more(records[PRICE], "price"))


def load(run: Run) -> None:
    """Everybody signs another demand than the price was made from."""
    run.forge(LOAD, lambda records: more(records[LOAD], "wh"))


def unsigned_price(run: Run) -> None:
    """The price's digits are changed in the block, hashes are made anew, signatures are not."""
    number, position = run.find(PRICE)
    envelope = run.blocks[number][position]
    assert b'"price":"92584"' in envelope
    run.blocks[number][position] = envelope.replace(b'"price":"92584"', b'"price":"92585"')


def block(run: Run) -> None:
    """One bit of the exported file is another."""

    def spoil(raw: bytes) -> bytes:
        at = raw.index(b'"price":"92584"') + 13
        return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]

    run.spoil = spoil


def cut_short(run: Run) -> None:
    """The file ends inside a block."""
    run.spoil = lambda raw: raw[:-7]


def missing_block(run: Run) -> None:
    """A block in the middle is gone, nothing else is changed."""
    kept = run.blocks[:20] + run.blocks[21:]

    def spoil(raw: bytes) -> bytes:
        first = sum(len(envelope) for block in kept[:20] for envelope in block)
        assert first
        return raw[: _start_of(raw, 20)] + raw[_start_of(raw, 21) :]

    run.spoil = spoil


def _start_of(raw: bytes, number: int) -> int:
    """Where a block begins in the file."""
    at = 0
    for _ in range(number):
        length, shift = 0, 0
        while True:
            byte = raw[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        at += length
    return at


def untraded(run: Run) -> None:
    """The station forgets what it did not trade."""
    run.facts = [fact for fact in run.facts if fact["kind"] != "untraded"]


def moved_untraded(run: Run) -> None:
    """The untraded Wh is right in sum and stands where another Wh was sold."""
    next(fact for fact in run.facts if fact["kind"] == "untraded")["body"]["start_wh"] = 3000


def boundary(run: Run) -> None:
    """15 Wh more had flowed by the end of the quarter hour than the station says."""
    run.books["evses"]["E1"]["quarters"][1]["import_mwh"] += 15_000
    run.seal()


def evidence(run: Run) -> None:
    """A reading behind a trade is another one than it was."""
    fact = next(fact for fact in run.facts if fact["kind"] == "evidence")
    fact["body"]["evidence"]["start"][0][2] -= 1


def no_evidence(run: Run) -> None:
    """The readings behind the trades are gone."""
    run.facts = [fact for fact in run.facts if fact["kind"] != "evidence"]


def unsigned_evidence(run: Run) -> None:
    """The signature on one trade's readings is another trade's."""
    facts = [fact for fact in run.facts if fact["kind"] == "evidence"]
    facts[0]["body"]["signature"] = facts[1]["body"]["signature"]


def strange_meter(run: Run) -> None:
    """The station does not know the meter that was traded."""
    run.facts[0]["body"]["METER1"]["meter_ref"] = "M-GW2"


def amount(run: Run) -> None:
    """Everybody signs that EVA pays and PRO1 gets one milli-token more."""

    def change(records: dict[str, Any]) -> None:
        more(records[f"trade~{MARKET}"], "amount")
        more(records["hold~H1"], "drawn")
        credit = next(key for key in records if key.startswith("cr~PRO1"))
        more(records[credit], "tokens")
        for key, record in records.items():
            if key.startswith("hist~") and record["id"] == MARKET:
                more(record, "tokens", 1 if "PRO1" in key else -1)

    run.forge(f"trade~{MARKET}", change)


def stolen(run: Run) -> None:
    """Everybody signs a credit that is one milli-token higher than the trade."""
    run.forge(f"trade~{SALE}", lambda records: more(_credit(records, "EVA"), "tokens"))


def _credit(records: dict[str, Any], member: str) -> dict[str, Any]:
    found: dict[str, Any] = next(record for key, record in records.items() if key.startswith(f"cr~{member}"))
    return found


def from_nowhere(run: Run) -> None:
    """Everybody signs that a sweep brings a thousand tokens."""
    run.forge("acc~EVA", lambda records: more(records["acc~EVA"], "tokens", 1_000_000))


def hold(run: Run) -> None:
    """Everybody signs that less was drawn from the hold than was paid."""
    run.forge(f"trade~{MARKET}", lambda records: more(records["hold~H1"], "drawn", -1))


def overlap(run: Run) -> None:
    """Everybody signs that the plant had already sold what it sells."""
    run.forge("met~PV", lambda records: more(records["reg~PV~0~export"], "wh", 100))


def reason(run: Run) -> None:
    """Everybody signs a retail trade for a reason that is none."""
    run.forge(f"trade~{RETAIL}", lambda records: records[f"trade~{RETAIL}"].update(reason="BECAUSE"))


def untrue_reason(run: Run) -> None:
    """There was a slice with energy left behind the retail trade that says there was none."""

    def change(records: dict[str, Any]) -> None:
        for name in ("amount", "drawn"):
            more(records[f"slice~S{LIGHT}"], name, 100 if name == "amount" else 0)

    run.forge(f"trade~{RETAIL}", change)


def guard(run: Run) -> None:
    """Two organisations mint."""
    run.forge("mint~", lambda _: None, msps=("EVUserMSP", "IndustryMSP"))


def one_endorser(run: Run) -> None:
    """One organisation settles."""
    run.forge(f"trade~{SALE}", lambda _: None, msps=("EVUserMSP",))


def high_s(run: Run) -> None:
    """A signature in its other form."""
    number, position = run.find(f"trade~{SALE}")
    envelope = decode(common_pb2.Envelope, run.blocks[number][position])
    r, s = decode_dss_signature(envelope.signature)
    envelope.signature = encode_dss_signature(r, ORDER - s)
    run.blocks[number][position] = encode(envelope)


def invalid(run: Run) -> None:
    """A transaction that holds is said to have failed."""
    number, _ = run.find(f"trade~{SALE}")
    run.codes[number] = bytes([11])


def no_record(run: Run) -> None:
    """Everybody signs a trade without a price."""
    run.forge(f"trade~{SALE}", lambda records: records[f"trade~{SALE}"].pop("price"))


def nothing(run: Run) -> None:
    """A run in which nothing happened."""
    run.blocks = []


def nonsense(run: Run) -> None:
    """The station's file holds something else."""
    run.facts.append({"fact": "?"})


CONTROLS: tuple[tuple[Tamper, set[str]], ...] = (
    (register, {"WITNESS"}),
    (unsealed, {"SEAL"}),
    (wrong_sum, {"BOOKS_SUM"}),
    (dropped, set()),
    (dropped_and_denied, set()),
    (doubled, set()),
    (doubled_elsewhere, set()),
    (price, set()),
    (load, set()),
    (unsigned_price, set()),
    (block, set()),
    (cut_short, set()),
    (missing_block, set()),
    (untraded, set()),
    (moved_untraded, set()),
    (boundary, set()),
    (evidence, set()),
    (no_evidence, set()),
    (unsigned_evidence, set()),
    (strange_meter, set()),
    (amount, set()),
    (stolen, set()),
    (from_nowhere, set()),
    (hold, set()),
    (overlap, set()),
    (reason, set()),
    (untrue_reason, set()),
    (guard, set()),
    (one_endorser, set()),
    (high_s, set()),
    (invalid, set()),
    (no_record, set()),
    (nothing, set()),
    (nonsense, set()),
)


@pytest.mark.parametrize(("tamper", "codes"), CONTROLS, ids=[tamper.__name__ for tamper, _ in CONTROLS])
def test_nothing_can_be_changed(day: Run, tmp_path: Path, tamper: Tamper, codes: set[str]) -> None:
    """Each change makes the run unverified, with the codes that name it."""
    run = day.copy()
    tamper(run)
    report = report_of(run, tmp_path)
    assert not report["verified"]
    assert {finding["code"] for finding in report["findings"]} == codes
