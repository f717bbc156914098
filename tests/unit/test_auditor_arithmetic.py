"""The auditor's decoder, hashes, calendar and formulas agree with the documents' vectors and the gateway's implementation."""

import ast
import json
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.contract.codec import decode as shaped
from edgegw.contract.periods import Calendar, season_and_period
from edgegw.contract.tariffs import PostTariff
from edgegw.fabric import block, policy
from edgegw.fabric.proto import common_pb2
from edgegw.fabric.wire import encode
from firmware_sim.audit.blocks import read_block, read_transaction, split
from firmware_sim.audit.prices import Slot, Window, rate_of
from firmware_sim.audit.protobuf import MalformedError, Message
from firmware_sim.audit.state import State, read_record
from firmware_sim.audit.trades import half_up, with_loss
from firmware_sim.audit.verdict import read_policy, satisfied
from tests.support.contract_world import summer_tariff

VECTORS = json.loads((Path(__file__).parents[1] / "golden" / "price_vectors.json").read_text())
ORGANISATIONS = ("EVUserMSP", "IndustryMSP", "ProducerMSP")
YEAR_2026 = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("case", VECTORS["price"], ids=lambda case: case["name"])
def test_prices_are_the_vectors(case: dict[str, Any]) -> None:
    """`sdr-share/1` gives the documents' weights and prices, and no price where the window is empty."""
    if case["expect"].get("error") == "BAD_ARGUMENT":
        return  # what the contract refuses never becomes a record
    window = Window(
        floor=case["floor"],
        ceiling=case["ceiling"],
        net_fee=case["args"].get("net_fee", 0),
        gain=1000,
        least_ppm=case["args"].get("w_min", 200_000),
        most_ppm=case["args"].get("w_max", 800_000),
    )
    raw_ppm, weight_ppm, price = window.share(case["supply_wh"], case["demand_wh"])
    expected = case["expect"]
    assert price == expected.get("price")
    if price is not None:
        assert (raw_ppm, weight_ppm) == (expected["raw_ppm"], expected["w_ppm"])


def test_amounts_are_the_vectors() -> None:
    """Amounts are rounded half up, gross energy is rounded up."""
    assert all(half_up(case["price"], case["wh"]) == case["amount"] for case in VECTORS["amount"])
    assert all(with_loss(case["wh"], case["loss_bp"]) == case["gross"] for case in VECTORS["gross"])


class OneTariff:
    """A state that holds one tariff."""

    def records(self, prefix: str) -> list[tuple[str, dict[str, Any]]]:
        return [(prefix, summer_tariff(effectiveFrom=0))]


@given(interval=st.integers(0, 365 * 96 - 1).map(lambda quarter: YEAR_2026 + quarter * 900))
def test_the_calendar_is_the_contracts(interval: int) -> None:
    """Over the year, seasons, holidays, Sundays and Saturdays give the period that the contract gives."""
    tariff = shaped(PostTariff, summer_tariff(effectiveFrom=0))
    assert isinstance(tariff.calendar, Calendar)
    _, period = season_and_period(tariff.calendar, tariff.periods, interval + tariff.utc_offset_s)
    rate = rate_of(Slot(zone="KR-CB-1", product="CHARGE", interval=interval), cast("State", OneTariff()))
    assert rate.period == period


@given(
    number=st.integers(0, 2**63), previous=st.binary(max_size=200), envelopes=st.lists(st.binary(max_size=9))
)
def test_header_hashes_agree(number: int, previous: bytes, envelopes: list[bytes]) -> None:
    """Number, hashes and envelopes survive the file, and the header's hash is the peer's."""
    built = block.build_block(number, previous, envelopes)
    block.set_codes(built, bytes(len(envelopes)))
    (raw,) = split(block.delimited(encode(built)))
    found = read_block(raw)
    assert found.header_hash() == block.header_hash(built.header)
    assert (found.number, found.previous_hash, found.envelopes) == (number, previous, envelopes)
    assert found.codes == bytes(len(envelopes))


@given(raw=st.binary(max_size=60))
def test_any_bytes_are_read_or_malformed(raw: bytes) -> None:
    """For any input the decoder either decodes it or raises MalformedError."""
    for read in (Message, read_block, read_transaction):
        with suppress(MalformedError):
            read(raw)


@pytest.mark.parametrize(
    "raw",
    [b"\x80", b"\xff" * 11, b"\x0a\x05ab", b"\x0b", b"\x0a\x01a\x0a\x01b", b"\x08\x01"],
    ids=["open number", "long number", "short field", "group", "twice", "number for bytes"],
)
def test_malformed_fields(raw: bytes) -> None:
    """A field that ends beyond its message, has another type or occurs twice is malformed."""
    with pytest.raises(MalformedError):
        Message(raw).blob(1)


def test_policies() -> None:
    """A policy of n organisations needs n of them; any other form is never satisfied."""
    two = policy.out_of(2, ORGANISATIONS)
    assert read_policy(two) == (2, frozenset(ORGANISATIONS))
    assert satisfied(two, frozenset(ORGANISATIONS[:2]))
    assert not satisfied(two, frozenset({"EVUserMSP", "Other"}))
    assert not satisfied(b"", frozenset(ORGANISATIONS))
    assert not satisfied(encode(common_pb2.Envelope(payload=b"x")), frozenset(ORGANISATIONS))


@pytest.mark.parametrize("raw", [b"[1]", b'{"a":1.5}', b'{"a":1,"a":2}', b'{"a":NaN}', b"{", b"\xff"])
def test_records_are_strict(raw: bytes) -> None:
    """A record is one JSON object without floats and without a repeated name."""
    with pytest.raises(MalformedError):
        read_record(raw)


def test_the_auditor_stands_alone() -> None:
    """The auditor imports only the standard library, cryptography and itself, and nothing of what it audits."""
    for path in (Path(__file__).parents[2] / "firmware_sim" / "audit").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                root = name.split(".")[0]
                own = root == "cryptography" or name.startswith("firmware_sim.audit.")
                assert own or root in sys.stdlib_module_names, f"{path.name} imports {name}"
