"""Endorsing: refusals in a real endorser's words, and what a simulation records."""

import time
from collections.abc import Callable

import pytest

from edgegw.fabric import transaction
from edgegw.fabric.identity import Identity, KeySigner
from edgegw.fabric.proto import peer_pb2
from edgegw.fabric.rwset import RangeRead, Version
from edgegw.fabric.wire import decode, encode
from edgegw.peer.endorse import ProposalRefusedError, check_proposal, choose_organisations
from edgegw.peer.world_state import World
from tests.support.peer_network import Network

MINUTE_NS = 60 * 1_000_000_000
MISFIT = "error validating proposal: "


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return Network(tmp_path_factory.mktemp("network"))


def _check(
    network: Network, signed: peer_pb2.SignedProposal, known: Callable[[str], bool] = lambda _: False
) -> transaction.Proposal:
    proposal, _ = check_proposal(signed, network.rules.roots, now_ns=time.time_ns(), known=known)
    return proposal


def test_a_members_fresh_proposal_is_accepted(network: Network) -> None:
    """A client or admin of the channel may propose."""
    for member in ("EVUserMSP/gateway1", "ProducerMSP/admin"):
        proposal, signed = network.propose("Get", signer=network.signer(member), key="k")
        assert _check(network, signed) == proposal


def test_a_wrong_signature_and_a_wrong_role_are_denied(network: Network) -> None:
    """A signature of another identity, and a peer's identity, are denied."""
    denied = r"access denied: channel \[energych\] creator org \[EVUserMSP\]"
    _, signed = network.propose("Get")
    signed.signature = network.propose("Get")[1].signature
    with pytest.raises(ProposalRefusedError, match=MISFIT + denied):
        _check(network, signed)
    _, by_peer = network.propose("Get", signer=network.peers["EVUserMSP"][0])
    with pytest.raises(ProposalRefusedError, match=denied):
        _check(network, by_peer)


def test_strangers_are_denied(network: Network, tmp_path: object) -> None:
    """A certificate under another organisation's name, or bytes that are none, are no creator."""
    member = network.signer()
    key = (network.crypto / "EVUserMSP" / "gateway1" / "key.pem").read_bytes()
    renamed = KeySigner(Identity(msp_id="IndustryMSP", certificate_pem=member.identity.certificate_pem), key)
    for signed in (
        network.propose("Get", signer=renamed)[1],
        peer_pb2.SignedProposal(
            proposal_bytes=transaction.build_proposal(
                creator=b"nobody", nonce=b"n", timestamp_ns=0, channel="c", chaincode="cc", args=()
            ).message
        ),
    ):
        with pytest.raises(ProposalRefusedError, match="creator org unknown, creator is malformed"):
            _check(network, signed)


def test_an_expired_identity_is_denied(network: Network) -> None:
    """After its certificate's end an identity is denied."""
    ends = network.signer().identity.certificate.not_valid_after_utc
    later_ns = (int(ends.timestamp()) + 1) * 1_000_000_000
    _, signed = network.propose("Get", at_ns=later_ns)
    with pytest.raises(ProposalRefusedError, match="identity expired"):
        check_proposal(signed, network.rules.roots, now_ns=later_ns, known=lambda _: False)


def test_a_wrong_transaction_id_is_refused(network: Network) -> None:
    """The id is recomputed from nonce and creator."""
    proposal, _ = network.propose("Get")
    forged = transaction.parse_proposal(proposal.message.replace(proposal.tx_id.encode(), b"0" * 64))
    signed = peer_pb2.SignedProposal(proposal_bytes=forged.message, signature=network.signer().sign(forged))
    with pytest.raises(ProposalRefusedError, match=f"incorrectly computed txid '{'0' * 64}' -- expected"):
        _check(network, signed)


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_off_is_refused(network: Network, minutes: int) -> None:
    """Proposals beyond 15 minutes from the peer's time are refused; within, accepted."""
    _, signed = network.propose("Get", at_ns=time.time_ns() + minutes * MINUTE_NS)
    with pytest.raises(ProposalRefusedError, match=r"incorrect timestamp .*timewindow 15m0s"):
        _check(network, signed)
    fair, signed = network.propose("Get", at_ns=time.time_ns() + minutes // 2 * MINUTE_NS)
    assert _check(network, signed) == fair


def test_a_transaction_id_on_the_ledger_is_refused(network: Network) -> None:
    """Endorsing again with a committed id is a duplicate."""
    _, signed = network.propose("Get")
    with pytest.raises(ProposalRefusedError, match="duplicate transaction found"):
        _check(network, signed, known=lambda _: True)


@pytest.mark.parametrize("message", [b"\xff", b""])
def test_what_is_no_proposal_is_refused(network: Network, message: bytes) -> None:
    """Malformed bytes are refused in the same way."""
    with pytest.raises(ProposalRefusedError, match="error validating proposal"):
        _check(network, peer_pb2.SignedProposal(proposal_bytes=message))


def test_a_read_never_sees_the_transactions_own_write(network: Network) -> None:
    """The contract reads committed state only."""
    world = World()
    world.put("k", b"old", Version(0, 0))
    proposal, _ = network.propose("Both", key="k")
    assert network.simulate(world, proposal).response.payload == b'{"seen":"old"}'
    assert world.get("k") == (b"old", Version(0, 0))


def test_reads_ranges_and_writes_are_recorded(network: Network) -> None:
    """Versions of what was read, absent keys too; ranges with all they gave; left early, up to the last key."""
    world = World()
    for key in ("a1", "a2", "a3"):
        world.put(key, b"v", Version(4, 2))
    recorder = network.recorder(world)
    assert recorder.get("a1") == b"v"
    assert recorder.get("absent") is None
    assert [key for key, _ in recorder.scan("a", "b", 10)] == ["a1", "a2", "a3"]
    assert [key for key, _ in recorder.scan("a", "b", 2)] == ["a1", "a2"]
    assert list(recorder.scan("x", "y", 5)) == []
    next(recorder.scan("a", "b", 10))
    recorder.scan("a", "b", 10)
    recorder.delete("a1")
    seen = recorder.recorded()
    assert seen.reads == {"a1": Version(4, 2), "absent": None}
    assert seen.writes == {"a1": None}
    found = [("a1", Version(4, 2)), ("a2", Version(4, 2)), ("a3", Version(4, 2))]
    assert seen.ranges == (
        RangeRead("a", "b", found, exhausted=True),
        RangeRead("a", "a2", found[:2]),
        RangeRead("x", "y", [], exhausted=True),
        RangeRead("a", "a1", found[:1]),
    )


def test_the_creator_is_what_the_certificate_says(network: Network) -> None:
    """Organisation, role, gateway and fingerprint come from the certificate, not from the request."""
    creator = network.recorder(World()).creator
    assert (creator.msp_id, creator.role, creator.gateway_id) == ("EVUserMSP", "gateway", "gateway1")
    assert creator.certificate_sha256 == network.signer().identity.certificate_sha256


def test_a_guarded_key_is_signed_by_all_it_names(network: Network) -> None:
    """Two organisations sign, all three where a key that is written says so."""
    world = World()
    preferred = ("EVUserMSP", "IndustryMSP", "ProducerMSP")
    plain = network.endorsed(world, "Guard", key="g", msps=list(preferred))
    world.apply(
        0, [(0, network.simulate(world, network.propose("Guard", key="g", msps=preferred)[0]).recorded)]
    )
    again = network.simulate(world, network.propose("Put", key="g", value="x")[0]).recorded
    other = network.simulate(world, network.propose("Put", key="h", value="x")[0]).recorded
    assert len(plain.endorsements) == 2
    assert choose_organisations(world, again, preferred, least=2) == preferred
    assert choose_organisations(world, other, preferred, least=2) == preferred[:2]


def test_two_simulations_of_one_proposal_give_the_same_bytes(network: Network) -> None:
    """Endorsers must agree byte for byte: the event and its transaction id are in those bytes too."""
    proposal, _ = network.propose("Add", key="k", n=1)
    one, two = network.simulate(World(), proposal), network.simulate(World(), proposal)
    assert one.payload == two.payload
    action = decode(peer_pb2.ChaincodeAction, decode(peer_pb2.ProposalResponsePayload, one.payload).extension)
    event = decode(peer_pb2.ChaincodeEvent, action.events)
    assert (event.event_name, event.tx_id) == ("toy.added", proposal.tx_id)
    assert encode(action.response) == encode(one.response)
