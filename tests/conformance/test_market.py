"""Edgegw's contract on the network: roles, refusals by code, ids that make repetition safe, and pages."""

import secrets
from typing import Any

import pytest

from edgegw.ledger import BusinessRefusal, LedgerClient
from tests.support.conformance_network import LedgerNetwork, client_of

PAGE = 2


def representative_of(network: LedgerNetwork) -> LedgerClient:
    return client_of(network, network.market, signer=network.signer("EVUserMSP/representative"))


def membership() -> dict[str, Any]:
    """What a representative signs a new member up with."""
    return {
        "memberId": secrets.token_hex(13),
        "kind": "EV",
        "commitment": secrets.token_hex(32),
        "dupTag": secrets.token_hex(32),
    }


async def test_a_member_is_signed_up_once(ledger_network: LedgerNetwork) -> None:
    """A sign-up with the same id and content succeeds and writes nothing; the same tag under another id is refused."""
    member = membership()
    async with representative_of(ledger_network) as client:
        first = await client.execute("SignUp", member)
        assert await client.execute("SignUp", member) == first
        with pytest.raises(BusinessRefusal) as refused:
            await client.execute("SignUp", {**member, "memberId": secrets.token_hex(13)})
        assert refused.value.code == "DUPLICATE_MEMBER"
        balance = await client.evaluate("balanceOf", {"memberId": member["memberId"]})
        assert balance["tokens"] == {"available": "0", "held": "0", "pending": "0"}


async def test_roles_are_read_off_the_certificate(ledger_network: LedgerNetwork) -> None:
    """A gateway cannot sign up members, and only an exchange can mint."""
    async with client_of(ledger_network, ledger_network.market) as gateway:
        for function, arguments in (
            ("SignUp", membership()),
            ("Mint", {"memberId": "m", "amount": "1", "ref": "r"}),
        ):
            with pytest.raises(BusinessRefusal) as refused:
                await gateway.endorse(function, arguments)
            assert refused.value.code == "NOT_AUTHORISED"


@pytest.mark.parametrize(
    ("function", "arguments", "code"),
    [
        ("balanceOf", {"memberId": "nobody"}, "UNKNOWN_MEMBER"),
        ("NoSuchFunction", {}, "BAD_ARGUMENT"),
        ("balanceOf", {"memberId": 7}, "BAD_ARGUMENT"),
    ],
)
async def test_refusals_have_codes(
    ledger_network: LedgerNetwork, function: str, arguments: dict[str, Any], code: str
) -> None:
    """A refusal has the same code from Evaluate and Endorse."""
    async with representative_of(ledger_network) as client:
        for ask in (client.evaluate, client.endorse):
            with pytest.raises(BusinessRefusal) as refused:
                await ask(function, arguments)
            assert refused.value.code == code


async def test_history_comes_in_pages_newest_first(ledger_network: LedgerNetwork) -> None:
    """Every entry once, whatever the page size; the bookmark leads on, and the last page has none."""
    member = membership()
    async with representative_of(ledger_network) as client:
        await client.execute("SignUp", member)
        query = {"memberId": member["memberId"]}
        for version in (1, 2, 3, 4):
            update = {**query, "expectedVersion": version, "commitment": secrets.token_hex(32)}
            await client.execute("Update", update)
        whole = await client.evaluate("historyAPI", {**query, "pageSize": 50, "bookmark": ""})
        entries, bookmark = [], ""
        while True:
            page = await client.evaluate("historyAPI", {**query, "pageSize": PAGE, "bookmark": bookmark})
            assert len(page["entries"]) <= PAGE
            entries += page["entries"]
            bookmark = page["bookmark"]
            if not bookmark:
                break
        assert entries == whole["entries"]
        assert len({entry["txId"] for entry in entries}) == len(entries)
