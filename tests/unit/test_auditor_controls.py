"""The auditor verifies a small real day, and rejects the day after any single change of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from edgegw.fabric.block import delimited
from edgegw.fabric.proto import common_pb2
from edgegw.fabric.wire import decode, encode
from firmware_sim.__main__ import main
from firmware_sim.audit.blocks import split
from firmware_sim.audit.report import Sources, audit
from tests.support.audit_world import Run, tiny_day
from tests.support.contract_world import LIGHT

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PRICE = f"price~KR-CB-1~CHARGE~{LIGHT:012d}"
LOAD = f"load~KR-CB-1~CHARGE~{LIGHT:012d}~EVUserMSP"
MARKET, RETAIL, SALE = ("M-GW1:0:import:1000", "M-GW1:0:import:2940", "M-GW1:0:export:500")
SIDES = ("tokens", "energy")
Tamper = Callable[[Run], None]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An honest day; tests change copies of it."""
    return tiny_day(tmp_path_factory.mktemp("day"))


def report_of(run: Run, folder: Path) -> dict[str, Any]:
    """Return the auditor's report on a run's files."""
    report: dict[str, Any] = json.loads(json.dumps(audit(Sources(**run.write(folder)))))
    return report


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
    """The transaction with the sale is removed from its block, and all hashes are recomputed."""
    number, position = run.find(f"trade~{SALE}")
    del run.blocks[number][position]


def dropped_and_denied(run: Run) -> None:
    """The sale is removed, with everything after it, and the station's facts about it."""
    number, _ = run.find(f"trade~{SALE}")
    del run.blocks[number:]
    run.facts = [
        fact
        for fact in run.facts
        if fact["body"].get("trade_id") != SALE and not (fact["kind"] == "trade" and SALE in str(fact))
    ]


def doubled(run: Run) -> None:
    """The block with the sale is there twice, and marked as valid twice."""
    number, position = run.find(f"trade~{SALE}")
    run.blocks.append([run.blocks[number][position]])


def doubled_elsewhere(run: Run) -> None:
    """All organisations sign a second record of the sale under another id."""

    def change(records: dict[str, Any]) -> None:
        again = f"{SALE}9"
        records[f"trade~{again}"] = {**records[f"trade~{SALE}"], "tradeId": again, "startWh": "5009"}

    run.forge(f"trade~{SALE}", change)


def price(run: Run) -> None:
    """All organisations sign a price that is one milli-token higher."""
    run.forge(PRICE, lambda records: more(records[PRICE], "price"))


def load(run: Run) -> None:
    """All organisations sign another demand than the price was computed from."""
    run.forge(LOAD, lambda records: more(records[LOAD], "wh"))


def unsigned_price(run: Run) -> None:
    """The price's digits are changed in the block and hashes are recomputed, but signatures are not."""
    number, position = run.find(PRICE)
    envelope = run.blocks[number][position]
    assert b'"price":"92584"' in envelope
    run.blocks[number][position] = envelope.replace(b'"price":"92584"', b'"price":"92585"')


def block(run: Run) -> None:
    """One bit of the exported file is flipped."""

    def spoil(raw: bytes) -> bytes:
        at = raw.index(b'"price":"92584"') + 13
        return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]

    run.spoil = spoil


def cut_short(run: Run) -> None:
    """The file ends inside a block."""
    run.spoil = lambda raw: raw[:-7]


def missing_block(run: Run) -> None:
    """A block in the middle is removed, and nothing else is changed."""

    def spoil(raw: bytes) -> bytes:
        kept = list(split(raw))
        del kept[20]
        return b"".join(delimited(block) for block in kept)

    run.spoil = spoil


def untraded(run: Run) -> None:
    """The station's facts leave out its untraded energy."""
    run.facts = [fact for fact in run.facts if fact["kind"] != "untraded"]


def moved_untraded(run: Run) -> None:
    """The untraded Wh has the right sum, but the register of a Wh that was sold."""
    next(fact for fact in run.facts if fact["kind"] == "untraded")["body"]["start_wh"] = 3000


def boundary(run: Run) -> None:
    """15 Wh more had flowed by the end of the quarter hour than the station's register shows."""
    run.books["evses"]["E1"]["quarters"][1]["import_mwh"] += 15_000
    run.seal()


def hidden(run: Run) -> None:
    """A car took 500 Wh more, which the station books as STANDBY; registers, segments and sums all agree."""
    book = run.books["evses"]["E1"]
    book["register_end_mwh"]["import"] += 500_000
    run.books["witness"]["import_wh"] += 500
    for mark in book["quarters"][2:]:
        mark["import_mwh"] += 500_000
    run.seal()
    (_, idle, sale) = (fact["body"] for fact in run.facts if fact["kind"] == "segment")
    idle["import_mwh"][1] += 500_000
    sale["import_mwh"] = [end_mwh + 500_000 for end_mwh in sale["import_mwh"]]
    next(fact for fact in run.facts if fact["kind"] == "untraded")["body"]["energy_wh"] += 500


def sold_as_standby(run: Run) -> None:
    """A Wh that flowed out of a car is declared as standby."""
    piece = next(fact for fact in run.facts if fact["kind"] == "untraded")["body"]
    run.facts.append({"kind": "untraded", "body": {**piece, "direction": "export"}})


def other_quarter(run: Run) -> None:
    """The untraded Wh is recorded in the quarter hour before its own."""
    next(fact for fact in run.facts if fact["kind"] == "untraded")["body"]["interval"] -= 900


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
    """All organisations sign that EVA pays and PRO1 gets one milli-token more."""

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
    """All organisations sign a credit that is one milli-token higher than the trade."""
    run.forge(f"trade~{SALE}", lambda records: more(_credit(records, "EVA"), "tokens"))


def _credit(records: dict[str, Any], member: str) -> dict[str, Any]:
    found: dict[str, Any] = next(record for key, record in records.items() if key.startswith(f"cr~{member}"))
    return found


def from_nowhere(run: Run) -> None:
    """All organisations sign that a sweep brings a thousand tokens."""
    run.forge("acc~EVA", lambda records: more(records["acc~EVA"], "tokens", 1_000_000))


def hold(run: Run) -> None:
    """All organisations sign that less was drawn from the hold than was paid."""
    run.forge(f"trade~{MARKET}", lambda records: more(records["hold~H1"], "drawn", -1))


def overlap(run: Run) -> None:
    """All organisations sign that the plant had already sold what it sells."""
    run.forge("met~PV", lambda records: more(records["reg~PV~0~export"], "wh", 100))


def reason(run: Run) -> None:
    """All organisations sign a retail trade with an unknown reason."""
    run.forge(f"trade~{RETAIL}", lambda records: records[f"trade~{RETAIL}"].update(reason="BECAUSE"))


def untrue_reason(run: Run) -> None:
    """A retail trade has the reason NO_SLICE although a slice with energy was left."""

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
    """A valid transaction is marked as failed."""
    number, _ = run.find(f"trade~{SALE}")
    run.codes[number] = bytes([11])


def conflict(run: Run) -> None:
    """A transaction that read a key changed in the same block is marked as valid."""
    (number,) = run.codes
    run.codes[number] = bytes(2)


def other_conflict(run: Run) -> None:
    """A failed transaction is marked with another code than its own."""
    (number,) = run.codes
    run.codes[number] = bytes([0, 10])


def no_record(run: Run) -> None:
    """All organisations sign a trade without a price."""
    run.forge(f"trade~{SALE}", lambda records: records[f"trade~{SALE}"].pop("price"))


def nothing(run: Run) -> None:
    """A run in which nothing happened."""
    run.blocks = []


def nonsense(run: Run) -> None:
    """The station's file holds other data than facts."""
    run.facts.append({"fact": "?"})


CONTROLS: tuple[tuple[Tamper, set[str]], ...] = (
    (register, {"WITNESS"}),
    (unsealed, {"SEAL"}),
    (wrong_sum, {"BOOKS_SUM"}),
    (dropped, {"TRADE_MISSING", "WITNESS", "REGISTER_PIECES", "VALIDATION_CODE"}),
    (dropped_and_denied, {"WITNESS", "REGISTER_PIECES"}),
    (doubled, {"VALIDATION_CODE", "REWRITTEN", "REGISTER", "WITNESS"}),
    (doubled_elsewhere, {"NOT_ASKED", "REGISTER", "OWNERSHIP"}),
    (price, {"PRICE", "AMOUNT"}),
    (load, {"PRICE"}),
    (unsigned_price, {"VALIDATION_CODE", "PRICE"}),
    (block, {"DATA_HASH", "VALIDATION_CODE"}),
    (cut_short, {"BLOCK_MALFORMED"}),
    (missing_block, {"BLOCK_NUMBER", "PREVIOUS_HASH"}),
    (untraded, {"WITNESS", "REGISTER_PIECES"}),
    (moved_untraded, {"REGISTER_PIECES"}),
    (boundary, {"BOUNDARY"}),
    (hidden, {"STANDBY"}),
    (sold_as_standby, {"STANDBY", "WITNESS"}),
    (other_quarter, {"SEGMENT"}),
    (evidence, {"EVIDENCE_HASH", "EVIDENCE_SIGNATURE"}),
    (no_evidence, {"EVIDENCE_MISSING"}),
    (unsigned_evidence, {"EVIDENCE_SIGNATURE"}),
    (strange_meter, {"METERS", "WITNESS"}),
    (amount, {"AMOUNT"}),
    (stolen, {"OWNERSHIP"}),
    (from_nowhere, {"OWNERSHIP", "TOKENS"}),
    (hold, {"DRAWN", "OWNERSHIP"}),
    (overlap, {"REGISTER"}),
    (reason, {"RETAIL_REASON", "NOT_ASKED"}),
    (untrue_reason, {"MARKET_AVAILABLE"}),
    (guard, {"GUARD", "VALIDATION_CODE"}),
    (one_endorser, {"VALIDATION_CODE"}),
    (high_s, {"VALIDATION_CODE"}),
    (invalid, {"VALIDATION_CODE", "TRADE_MISSING"}),
    (conflict, {"VALIDATION_CODE"}),
    (other_conflict, {"VALIDATION_CODE"}),
    (no_record, {"AMOUNT"}),
    (nothing, {"NOTHING_TO_VERIFY"}),
    (nonsense, {"UNREADABLE"}),
)


@pytest.mark.parametrize(("tamper", "codes"), CONTROLS, ids=[tamper.__name__ for tamper, _ in CONTROLS])
def test_nothing_can_be_changed(day: Run, tmp_path: Path, tamper: Tamper, codes: set[str]) -> None:
    """Each change makes the run unverified, with the codes that name it."""
    run = day.copy()
    tamper(run)
    report = report_of(run, tmp_path)
    assert not report["verified"]
    assert {finding["code"] for finding in report["findings"]} >= codes


@pytest.mark.parametrize(
    ("tamper", "place"),
    [
        (register, "E1 import"),
        (untraded, "E1 import"),
        (boundary, f"E1 {LIGHT + 900}"),
        (hidden, "E1 import"),
        (load, f"block 19 transaction 0 {PRICE}"),
        (guard, "block 13 transaction 0"),
        (evidence, f"trade {MARKET}"),
        (reason, f"trade {RETAIL}"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_findings_point_at_what_was_changed(day: Run, tmp_path: Path, tamper: Tamper, place: str) -> None:
    """A single change produces only the codes of that change."""
    run = day.copy()
    tamper(run)
    places = [finding["where"] for finding in report_of(run, tmp_path)["findings"]]
    assert [where for where in places if not where.startswith(place)] == []


def test_an_honest_day_is_verified(day: Run, tmp_path: Path) -> None:
    """The unchanged day is verified, and the report's sums are the day's."""
    report = report_of(day, tmp_path)
    assert report["findings"] == []
    assert report["verified"] is True
    assert (report["trades"], report["invalid"], report["blocks"]) == (3, 1, len(day.blocks))
    assert report["ledger"] == {"import_wh": 2500, "export_wh": 1000}
    assert report["witness"] == {"import_wh": 2501, "export_wh": 1000}
    assert report["untraded"] == {"import_wh": 1, "export_wh": 0, "by_code": {"STANDBY": 1}}
    assert (report["market_wh"], report["retail_wh"], report["direct_wh"]) == (1940, 560, 4000)
    assert report["retail_reasons"] == {"NO_SLICE": 560}
    assert (report["functions"]["RecordTrades"], report["functions"]["transfer"]) == (2, 1)
    assert sum(report["functions"].values()) == report["transactions"] - report["invalid"]
    assert report["price_weights"] == {"min": 368_421, "max": 800_000, "distinct": 3}
    assert report["boundary_error_wh"] == {"p50": 0.7, "p99": 0.7, "max": 0.7}
    totals = {side: {name: int(value) for name, value in day.world.totals()[side].items()} for side in SIDES}
    assert {side: report[side] for side in SIDES} == totals


def test_a_transaction_that_failed_changes_nothing(day: Run, tmp_path: Path) -> None:
    """A duplicate that its block calls one is counted as invalid, and the run stays verified."""
    run = day.copy()
    number, position = run.find(f"trade~{SALE}")
    run.blocks.append([run.blocks[number][position]])
    run.codes[len(run.blocks) - 1] = bytes([9])
    report = report_of(run, tmp_path)
    assert report["findings"] == []
    assert report["invalid"] == 2


def test_the_command_says_it_with_its_exit_status(day: Run, tmp_path: Path) -> None:
    """0 verified, 1 not, 2 a file that is not there; --json is one object."""
    paths = day.write(tmp_path)
    names = {"blocks": "--blocks", "trust": "--trust", "books": "--books", "facts": "--station-facts"}
    arguments = ["audit", *(word for name, path in paths.items() for word in (names[name], str(path)))]
    verified = CliRunner().invoke(main, [*arguments, "--json"])
    assert verified.exit_code == 0
    assert json.loads(verified.output)["verified"] is True
    paths["books"].write_text(json.dumps({**day.books, "seal": "0"}))
    spoiled = CliRunner().invoke(main, arguments)
    assert spoiled.exit_code == 1
    assert "SEAL books" in spoiled.output
    assert "NOT VERIFIED" in spoiled.output
    paths["blocks"].unlink()
    assert CliRunner().invoke(main, arguments).exit_code == 2
