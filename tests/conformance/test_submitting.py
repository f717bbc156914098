"""From proposal to block: what commits, what does not, and that each transaction counts once."""

import asyncio
import time

import pytest

from edgegw.fabric import transaction
from edgegw.fabric.block import codes_of, data_hash, header_hash, parse_block
from edgegw.fabric.identity import KeySigner
from edgegw.fabric.proto import common_pb2, gateway_pb2, peer_pb2
from edgegw.fabric.wire import decode
from edgegw.ledger import BusinessRefusal, Committed, Duplicate, Endorsed, Invalid, LedgerClient, Unknown
from edgegw.ledger.errors import CallFailure
from edgegw.ledger.identity import Evidence
from edgegw.ledger.proof import prove_block
from tests.support.conformance_network import (
    GATEWAY,
    ORGANISATIONS,
    LedgerNetwork,
    client_of,
    connection_of,
    fresh,
)
from tests.support.patience import PATIENCE_S


async def test_the_whole_flow(ledger_network: LedgerNetwork) -> None:
    """Evaluate, endorse, submit, status, event, block, receipt: each by itself, and nothing is written before submit."""
    key = fresh()
    async with client_of(ledger_network) as client:
        who = await client.evaluate("Whoami")
        assert (who["msp"], who["role"], who["gateway"]) == ("EVUserMSP", "gateway", "gateway1")
        endorsed = await client.endorse("Add", {"key": key, "n": 2})
        assert endorsed.result == {"value": 2}
        assert await client.evaluate("Get", {"key": key}) == {"value": None}
        assert isinstance(await client.commit_status(endorsed.tx_id, 0.3), Unknown)
        await client.submit(endorsed.envelope)
        outcome = await client.commit_status(endorsed.tx_id)
        assert isinstance(outcome, Committed)
        assert await client.evaluate("Get", {"key": key}) == {"value": "2"}
        receipt = await client.receipt(endorsed.tx_id)
        assert (receipt.block, receipt.validation) == (outcome.block, "VALID")
        block = parse_block(await client.block(outcome.block))
        assert block.data.data[receipt.tx_number] == endorsed.envelope
        assert receipt.prev_hash == block.header.previous_hash.hex()
        assert await client.height() > outcome.block


async def test_blocks_are_chained(ledger_network: LedgerNetwork) -> None:
    """Each header names the hash of the one before and of its data; any block can be proven; none is there too early."""
    async with client_of(ledger_network) as client:
        for _ in range(2):
            await client.execute("Add", {"key": fresh(), "n": 1})
        tip = await client.chain_tip()
        last, before = [parse_block(await client.block(tip.height - back)) for back in (1, 2)]
        assert last.header.previous_hash == header_hash(before.header)
        assert last.header.data_hash == data_hash(last.data.data)
        assert tip.currentBlockHash == header_hash(last.header)
        for number in {0, tip.height - 1}:
            assert (await prove_block(client, number, ledger_network.roots))["faults"] == []
        with pytest.raises(BusinessRefusal):
            await client.block(tip.height + 1000)


async def test_members_of_every_organisation_may_submit(ledger_network: LedgerNetwork) -> None:
    """Any organisation's writer may use this gateway peer."""
    for msp_id in ORGANISATIONS:
        async with client_of(
            ledger_network, signer=ledger_network.signer(f"{msp_id}/representative")
        ) as client:
            assert await client.execute("Add", {"key": fresh(), "n": 1}) == {"value": 1}


async def test_a_copy_changes_nothing(ledger_network: LedgerNetwork) -> None:
    """Copies of an envelope, at once and after its commit, are accepted, counted once, and keep the first outcome."""
    key = fresh()
    async with client_of(ledger_network) as client:
        endorsed = await client.endorse("Add", {"key": key, "n": 1})
        await asyncio.gather(*(client.submit(endorsed.envelope) for _ in range(2)))
        outcome = await client.commit_status(endorsed.tx_id)
        await client.submit(endorsed.envelope)
        await client.execute("Add", {"key": fresh(), "n": 1})
        assert await client.commit_status(endorsed.tx_id) == outcome
        assert isinstance(outcome, Committed)
        assert await client.evaluate("Get", {"key": key}) == {"value": "1"}


async def test_a_used_id_is_not_endorsed_again(ledger_network: LedgerNetwork) -> None:
    """Before its submission a proposal may be endorsed twice; once it is on the ledger it is a duplicate, by name."""
    nonce = fresh().encode()[:24]
    async with client_of(ledger_network, nonce=lambda: nonce) as client:
        endorsed = [await client.endorse("PutBlind", {"key": "one", "value": "v"}) for _ in range(2)]
        assert len({one.tx_id for one in endorsed}) == 1
        await client.submit(endorsed[0].envelope)
    async with client_of(ledger_network) as other:
        assert isinstance(await other.commit_status(endorsed[0].tx_id), Committed)
    async with client_of(ledger_network, nonce=lambda: nonce) as client:
        with pytest.raises(Duplicate) as found:
            await client.endorse("PutBlind", {"key": "one", "value": "v"})
        assert found.value.tx_id == endorsed[0].tx_id


async def _outcomes(client: LedgerClient, *endorsed: Endorsed) -> list[str]:
    """Submit in order, and how each ended."""
    for one in endorsed:
        await client.submit(one.envelope)
    found = [await client.commit_status(one.tx_id) for one in endorsed]
    return [one.code if isinstance(one, Invalid) else type(one).__name__ for one in found]


async def test_of_two_on_one_version_one_wins(ledger_network: LedgerNetwork) -> None:
    """The later one is a read conflict, for good: its copies never become valid."""
    key = fresh()
    async with client_of(ledger_network) as client:
        both = [await client.endorse("Add", {"key": key, "n": 1}) for _ in range(2)]
        assert await _outcomes(client, *both) == ["Committed", "MVCC_READ_CONFLICT"]
        assert await _outcomes(client, both[1]) == ["MVCC_READ_CONFLICT"]
        assert await client.evaluate("Get", {"key": key}) == {"value": "1"}


async def test_blind_writes_do_not_conflict(ledger_network: LedgerNetwork) -> None:
    """A transaction without reads conflicts with none; the later write stays."""
    key = fresh()
    async with client_of(ledger_network) as client:
        both = [await client.endorse("PutBlind", {"key": key, "value": value}) for value in ("a", "b")]
        assert await _outcomes(client, *both) == ["Committed", "Committed"]
        assert await client.evaluate("Get", {"key": key}) == {"value": "b"}


async def test_what_comes_into_a_range_is_a_phantom(ledger_network: LedgerNetwork) -> None:
    """A range that was read to its end holds only while nothing enters or leaves it."""
    area = fresh("area")
    async with client_of(ledger_network) as client:
        counted = {"start": f"{area}/", "end": f"{area}0", "into": fresh()}
        await client.execute("PutBlind", {"key": f"{area}/1", "value": "v"})
        entered = await client.endorse("Count", counted)
        assert entered.result == {"count": 1}
        await client.execute("PutBlind", {"key": f"{area}/2", "value": "v"})
        assert await _outcomes(client, entered) == ["PHANTOM_READ_CONFLICT"]
        left = await client.endorse("Count", counted)
        await client.execute("Delete", {"key": f"{area}/1"})
        assert await _outcomes(client, left) == ["PHANTOM_READ_CONFLICT"]
        assert await client.execute("Count", counted) == {"count": 1}


async def test_a_page_holds_while_what_it_saw_holds(ledger_network: LedgerNetwork) -> None:
    """A range left early is bound to the keys it saw, and to none behind them."""
    area = fresh("area")
    async with client_of(ledger_network) as client:
        for number in (1, 2, 4):
            await client.execute("PutBlind", {"key": f"{area}/{number}", "value": "v"})
        page = {"start": f"{area}/", "end": f"{area}0", "into": fresh(), "limit": 2}
        endorsed = await client.endorse("Count", page)
        assert endorsed.result == {"count": 2}
        await client.execute("PutBlind", {"key": f"{area}/5", "value": "v"})
        assert await _outcomes(client, endorsed) == ["Committed"]


async def test_a_call_does_not_see_its_own_writes(ledger_network: LedgerNetwork) -> None:
    """Reads are of the committed state; a deleted key is gone."""
    key = fresh()
    async with client_of(ledger_network) as client:
        await client.execute("PutBlind", {"key": key, "value": "old"})
        assert await client.execute("Both", {"key": key}) == {"seen": "old"}
        await client.execute("Delete", {"key": key})
        assert await client.evaluate("Get", {"key": key}) == {"value": None}


async def test_callers_of_one_key_all_get_through(ledger_network: LedgerNetwork) -> None:
    """Conflicting writers of two organisations try again until each has counted once."""
    key = fresh()
    async with (
        client_of(ledger_network) as one,
        client_of(ledger_network, signer=ledger_network.signer("ProducerMSP/representative")) as two,
    ):
        await asyncio.gather(
            *(client.execute("Add", {"key": key, "n": 1}) for client in (one, two) for _ in range(2))
        )
        assert await one.evaluate("Get", {"key": key}) == {"value": "4"}


# --- endorsements -----------------------------------------------------------------------------------------------------


class Raw:
    """The gateway's calls without the client's own checks."""

    def __init__(self, network: LedgerNetwork) -> None:
        self.network = network
        self.wire = connection_of(network)
        signer = network.signer(GATEWAY)
        assert isinstance(signer, KeySigner)
        self.signer = signer

    async def endorsed(self, function: str, arguments: bytes, *orgs: str) -> transaction.EndorsedTransaction:
        """A call endorsed by these organisations, or by those that the peer chooses."""
        way = self.network.toy
        proposal = transaction.build_proposal(
            creator=self.signer.identity.serialized,
            nonce=fresh().encode()[-24:],
            timestamp_ns=time.time_ns(),
            channel=way.channel,
            chaincode=way.chaincode,
            args=(function.encode(), arguments),
        )
        signed = peer_pb2.SignedProposal(
            proposal_bytes=proposal.message, signature=self.signer.sign(proposal)
        )
        request = gateway_pb2.EndorseRequest(
            transaction_id=proposal.tx_id,
            channel_id=way.channel,
            proposed_transaction=signed,
            endorsing_organizations=orgs,
        )
        answer = await self.wire.endorse(request, timeout_s=PATIENCE_S)
        return transaction.parse_transaction(answer.prepared_transaction.payload)

    async def submit(self, message: bytes, *, signature: bytes | None = None) -> None:
        """Payload bytes, signed as they are, or with this signature."""
        by = self.signer.sign(Evidence(message)) if signature is None else signature
        request = gateway_pb2.SubmitRequest(
            transaction_id=transaction.transaction_id_of(message),
            channel_id=self.network.toy.channel,
            prepared_transaction=common_pb2.Envelope(payload=message, signature=by),
        )
        await self.wire.submit(request, timeout_s=PATIENCE_S)


def _add(key: str) -> bytes:
    return f'{{"key": "{key}", "n": 1}}'.encode()


async def test_too_few_endorsements_are_found_at_commit(ledger_network: LedgerNetwork) -> None:
    """One organisation endorses and the orderer takes it; the policy of two refuses it in the block."""
    raw, key = Raw(ledger_network), fresh()
    async with client_of(ledger_network) as client:
        endorsed = await raw.endorsed("Add", _add(key), "ProducerMSP")
        await raw.submit(endorsed.message)
        assert await client.commit_status(endorsed.tx_id) == Invalid("ENDORSEMENT_POLICY_FAILURE")
        assert await client.evaluate("Get", {"key": key}) == {"value": None}
    await raw.wire.close()


async def test_a_changed_result_is_found_at_commit(ledger_network: LedgerNetwork) -> None:
    """Signed by its creator, but not what was endorsed."""
    raw, key = Raw(ledger_network), fresh()
    async with client_of(ledger_network) as client:
        endorsed = await raw.endorsed("Add", _add(key))
        changed = endorsed.message.replace(b'{"value":1}', b'{"value":9}')
        assert changed != endorsed.message
        await raw.submit(changed)
        assert await client.commit_status(endorsed.tx_id) == Invalid("ENDORSEMENT_POLICY_FAILURE")
    await raw.wire.close()


async def test_a_guarded_key_needs_all_three(ledger_network: LedgerNetwork) -> None:
    """The peer collects three endorsements by itself; two that were named are too few for this key, not for another."""
    raw, key = Raw(ledger_network), fresh()
    put = f'{{"key": "{key}", "value": "new"}}'.encode()
    async with client_of(ledger_network) as client:
        await client.execute("Guard", {"key": key, "msps": list(ORGANISATIONS)})
        few = await raw.endorsed("Put", put, "EVUserMSP", "ProducerMSP")
        await raw.submit(few.message)
        assert await client.commit_status(few.tx_id) == Invalid("ENDORSEMENT_POLICY_FAILURE")
        assert await client.evaluate("Get", {"key": key}) == {"value": "guarded"}
        await client.execute("Put", {"key": key, "value": "new"})
        assert await client.evaluate("Get", {"key": key}) == {"value": "new"}
        await client.execute("Put", {"key": fresh(), "value": "new"})
    await raw.wire.close()


async def test_only_what_its_creator_signed_is_ordered(ledger_network: LedgerNetwork) -> None:
    """Unsigned: INVALID_ARGUMENT; signed by another: refused by the orderer, and not in any block."""
    raw = Raw(ledger_network)
    endorsed = await raw.endorsed("Add", _add(fresh()))
    other = ledger_network.signer("ProducerMSP/representative").sign(endorsed)
    for signature, code, says in (
        (b"", "INVALID_ARGUMENT", "prepared transaction must be signed"),
        (other, "ABORTED", "status=FORBIDDEN"),
    ):
        with pytest.raises(CallFailure) as refused:
            await raw.submit(endorsed.message, signature=signature)
        assert refused.value.code == code
        assert says in refused.value.message
    async with client_of(ledger_network) as client:
        assert isinstance(await client.commit_status(endorsed.tx_id, 0.3), Unknown)
    await raw.wire.close()


async def test_every_block_tells_its_codes(ledger_network: LedgerNetwork) -> None:
    """A conflicting transaction is in its block with its code, beside the valid ones."""
    key = fresh()
    async with client_of(ledger_network) as client:
        both = [await client.endorse("Add", {"key": key, "n": 1}) for _ in range(2)]
        await _outcomes(client, *both)
        receipt = await client.receipt(both[1].tx_id)
        block = parse_block(await client.block(receipt.block))
        assert codes_of(block)[receipt.tx_number] == peer_pb2.MVCC_READ_CONFLICT
        payload = decode(common_pb2.Envelope, block.data.data[receipt.tx_number]).payload
        assert transaction.transaction_id_of(payload) == both[1].tx_id
