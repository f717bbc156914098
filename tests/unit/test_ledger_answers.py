"""The client's judgement: what it signs, and what a failure means."""

import json

import pytest

from edgegw.fabric import transaction
from edgegw.fabric.proto import common_pb2, gateway_pb2, peer_pb2
from edgegw.fabric.wire import decode, encode
from edgegw.ledger import (
    BusinessRefusal,
    ClockRefused,
    Committed,
    Duplicate,
    Forged,
    IdentityRefused,
    Invalid,
    LedgerError,
    Mismatch,
    Misused,
    Unavailable,
)
from edgegw.ledger.commit import outcome_of
from edgegw.ledger.endorse import call_argument, check_endorsed, parse_result
from edgegw.ledger.errors import CallFailure, classify
from edgegw.peer.endorse import sign
from edgegw.peer.world_state import World
from tests.support.peer_network import ORGS, Network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return Network(tmp_path_factory.mktemp("network"))


def _answer(network: Network, proposal: transaction.Proposal, orgs: tuple[str, ...] = ORGS) -> bytes:
    payload = network.simulate(World(), proposal).payload
    return transaction.build_transaction(proposal, payload, sign(payload, network.peers, orgs))


def test_an_honest_answer_is_accepted(network: Network) -> None:
    """Our own proposal with two organisations' endorsements."""
    proposal, _ = network.propose("Add", key="k", n=1)
    checked = check_endorsed(_answer(network, proposal), proposal, network.rules.roots, least=2)
    assert parse_result(checked.response) == {"value": 1}


def test_another_proposals_answer_is_not_signed(network: Network) -> None:
    """A valid transaction of ours, but not the one we asked for."""
    asked, _ = network.propose("Add", key="k", n=1)
    other, _ = network.propose("Add", key="k", n=1)
    with pytest.raises(Forged, match="header"):
        check_endorsed(_answer(network, other), asked, network.rules.roots, least=2)


def test_changed_arguments_are_not_signed(network: Network) -> None:
    """The peer sends our header with other arguments, properly endorsed."""
    asked, _ = network.propose("Add", key="k", n=1)
    outer = decode(peer_pb2.ChaincodeProposalPayload, asked.payload)
    outer.input = outer.input.replace(b'"n": 1', b'"n": 9')
    message = encode(peer_pb2.Proposal(header=asked.header, payload=encode(outer)))
    changed = transaction.parse_proposal(message)
    with pytest.raises(Forged, match="arguments, proposal hash"):
        check_endorsed(_answer(network, changed), asked, network.rules.roots, least=2)


def test_endorsements_of_another_call_are_not_signed(network: Network) -> None:
    """Header and arguments are ours, but what was endorsed is not."""
    asked, _ = network.propose("Add", key="k", n=1)
    other, _ = network.propose("Add", key="k", n=5)
    payload = network.simulate(World(), other).payload
    message = transaction.build_transaction(asked, payload, sign(payload, network.peers, ORGS))
    with pytest.raises(Forged, match="proposal hash"):
        check_endorsed(message, asked, network.rules.roots, least=2)


def test_a_changed_result_is_not_signed(network: Network) -> None:
    """Endorsements that do not cover what came back are worth nothing."""
    asked, _ = network.propose("Add", key="k", n=1)
    changed = _answer(network, asked).replace(b'{"value":1}', b'{"value":2}')
    with pytest.raises(Forged, match="endorsements"):
        check_endorsed(changed, asked, network.rules.roots, least=2)


@pytest.mark.parametrize("orgs", [(), ("EVUserMSP",), ("EVUserMSP", "EVUserMSP")])
def test_too_few_organisations_are_not_signed(network: Network, orgs: tuple[str, ...]) -> None:
    """Two organisations are asked for; one twice is one."""
    asked, _ = network.propose("Add", key="k", n=1)
    with pytest.raises(Forged, match="endorsements"):
        check_endorsed(_answer(network, asked, orgs), asked, network.rules.roots, least=2)


def test_clients_and_strangers_do_not_endorse(network: Network, tmp_path: object) -> None:
    """An endorsement by something that is no peer of its organisation spoils the answer."""
    asked, _ = network.propose("Add", key="k", n=1)
    payload = network.simulate(World(), asked).payload
    endorsements = sign(payload, network.peers, ORGS)
    client = network.signer("IndustryMSP/representative")
    by_client = sign(payload, {"IndustryMSP": [client]}, ["IndustryMSP"])
    for spoilt in (by_client, [(b"nobody", b"")]):
        message = transaction.build_transaction(asked, payload, [*endorsements, *spoilt])
        with pytest.raises(Forged):
            check_endorsed(message, asked, network.rules.roots, least=2)


@pytest.mark.parametrize("message", [b"", b"\xff", encode(common_pb2.Payload(data=b"x"))])
def test_noise_is_not_signed(network: Network, message: bytes) -> None:
    """An answer that cannot be decoded counts as forged, and raises no exception of the parser."""
    asked, _ = network.propose("Add", key="k", n=1)
    with pytest.raises(Forged):
        check_endorsed(message, asked, network.rules.roots, least=2)


@pytest.mark.parametrize("payload", [b"no json", b"[]", b"\xff"])
def test_results_are_json_objects(payload: bytes) -> None:
    """The contract answers with objects; anything else did not come from it."""
    with pytest.raises(Forged):
        parse_result(peer_pb2.Response(payload=payload))


def test_arguments_are_canonical() -> None:
    """One JSON text for the same arguments, with the interface's version."""
    assert call_argument({"b": 1, "a": "ü"}) == '{"a":"ü","b":1,"v":1}'.encode()
    assert json.loads(call_argument({})) == {"v": 1}


FAILED = "failed to endorse transaction, see attached details for more info"
COLLECT = "failed to collect enough transaction endorsements, see attached details for more info"
EVALUATE = "evaluate call to endorser returned error: "
VALIDATING = "error validating proposal: "
REFUSED_DIAL = 'rpc error: code = Unavailable desc = connection error: desc = "transport: connection refused"'


@pytest.mark.parametrize(
    ("code", "message", "details", "kind"),
    [
        # the contract's answer
        ("ABORTED", FAILED, ("chaincode response 500, ZERO_TOKENS: m",), BusinessRefusal),
        (
            "ABORTED",
            FAILED,
            ("chaincode response 500, A: b", "chaincode response 500, A: b"),
            BusinessRefusal,
        ),
        ("UNKNOWN", f"{EVALUATE}chaincode response 500, X: y", (), BusinessRefusal),
        # endorsers differ
        ("ABORTED", COLLECT, ("ProposalResponsePayloads do not match",) * 2, Mismatch),
        ("ABORTED", COLLECT, ("chaincode response 500, HOLD_UNKNOWN: h",), Mismatch),
        # the clock
        (
            "ABORTED",
            FAILED,
            (
                "request unauthorized due to incorrect timestamp a, peer time b, peer.authentication.timewindow 15m0s",
            ),
            ClockRefused,
        ),
        (
            "FAILED_PRECONDITION",
            f"{EVALUATE}request unauthorized due to incorrect timestamp a",
            (),
            ClockRefused,
        ),
        # the identity
        (
            "ABORTED",
            FAILED,
            (f"{VALIDATING}access denied: channel [energych] creator org [ProducerMSP]",),
            IdentityRefused,
        ),
        (
            "FAILED_PRECONDITION",
            f"{EVALUATE}{VALIDATING}access denied: channel [c] creator org [P]",
            (),
            IdentityRefused,
        ),
        ("ABORTED", FAILED, (f"{VALIDATING}creator org unknown, creator is malformed",), IdentityRefused),
        (
            "PERMISSION_DENIED",
            "Failed evaluating policy on signed data ... [/Channel/Application/Readers]",
            (),
            IdentityRefused,
        ),
        (
            "ABORTED",
            "received unsuccessful response from orderer: status=FORBIDDEN, info=implicit policy evaluation failed",
            (),
            IdentityRefused,
        ),
        # known already
        ("ABORTED", FAILED, ("duplicate transaction found [ab12]. Creator [0a]",), Duplicate),
        # our own fault
        ("INVALID_ARGUMENT", "prepared transaction must be signed", (), Misused),
        ("ABORTED", FAILED, (f"{VALIDATING}incorrectly computed txid 'a' -- expected 'b'",), Misused),
        # nobody, or too few
        ("ABORTED", FAILED, (f"could not launch chaincode token: {REFUSED_DIAL}",), Unavailable),
        ("ABORTED", COLLECT, (REFUSED_DIAL,), Unavailable),
        (
            "FAILED_PRECONDITION",
            (
                "no combination of peers can be derived which satisfy the endorsement policy: "
                "No metadata was found for chaincode X in channel Y"
            ),
            (),
            Unavailable,
        ),
        ("FAILED_PRECONDITION", "no peers available to evaluate chaincode X in channel Y", (), Unavailable),
        ("FAILED_PRECONDITION", "no peer combination can satisfy the endorsement policy", (), Unavailable),
        ("UNAVAILABLE", "failed to find any endorsing peers for org(s): NoMSP", (), Unavailable),
        ("UNAVAILABLE", "no orderers could successfully process transaction", (REFUSED_DIAL,), Unavailable),
        (
            "UNAVAILABLE",
            "insufficient number of orderers could successfully process transaction to satisfy quorum requirement",
            ("status=SERVICE_UNAVAILABLE, info=failed to submit request: request already processed",),
            Unavailable,
        ),
        ("UNAVAILABLE", "Stream removed (recvmsg:Connection reset by peer (104))", (), Unavailable),
        ("UNAVAILABLE", "Stream removed (Socket closed)", (), Unavailable),
        ("UNAVAILABLE", "failed to connect to all addresses; last error", (), Unavailable),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", (), Unavailable),
        ("UNKNOWN", "Stream removed (RST_STREAM ... error code 8)", (), Unavailable),
    ],
)
def test_a_failure_says_what_to_do_next(
    code: str, message: str, details: tuple[str, ...], kind: type[LedgerError]
) -> None:
    """Each answer of a real gateway peer has one class (docs/reliability.md, What a peer's failure means)."""
    assert type(classify(CallFailure(code=code, message=message, details=details))) is kind


def test_a_duplicate_carries_its_id() -> None:
    """The refusal of a duplicate has its transaction id, so that its outcome can be queried."""
    found = classify(
        CallFailure(
            code="ABORTED", message=FAILED, details=("duplicate transaction found [ab12]. Creator [0a]",)
        )
    )
    assert isinstance(found, Duplicate)
    assert found.tx_id == "ab12"


@pytest.mark.parametrize(
    ("said", "code", "detail"),
    [("A_B2: of m1: x", "A_B2", "of m1: x"), ("CODE:", "CODE", ""), ("not coded", "", "not coded")],
)
def test_a_business_refusal_carries_the_contracts_code(said: str, code: str, detail: str) -> None:
    """`CODE: detail` is split at the first colon; other text is all detail."""
    refusal = classify(CallFailure(code="ABORTED", message="m", details=(f"chaincode response 500, {said}",)))
    assert isinstance(refusal, BusinessRefusal)
    assert (refusal.code, refusal.detail) == (code, detail)


def test_outcomes_are_named() -> None:
    """VALID is committed in its block; every other code is invalid by name, unknown numbers included."""
    answer = gateway_pb2.CommitStatusResponse(block_number=7)
    assert outcome_of(answer) == Committed(7)
    conflict = gateway_pb2.CommitStatusResponse.FromString(b"\x08\x0b")
    assert outcome_of(conflict) == Invalid("MVCC_READ_CONFLICT")
    assert outcome_of(gateway_pb2.CommitStatusResponse.FromString(b"\x08\x63")) == Invalid("99")
