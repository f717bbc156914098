"""Identities, signatures, policies."""

from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from edgegw.fabric import policy
from edgegw.fabric.identity import Identity, KeySigner, load_key, low_s, parse_identity
from edgegw.fabric.transaction import StatusQuery
from edgegw.fabric.wire import MalformedMessageError
from tests.support.peer_network import Network

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return Network(tmp_path_factory.mktemp("network"))


def _query(text: str = "x") -> StatusQuery:
    return StatusQuery(tx_id=text, channel="c", creator=b"")


def test_signatures_have_low_s_and_only_those_verify(network: Network) -> None:
    """Every signature has s <= n/2; the other root of the same signature is refused, as Fabric does."""
    signer = network.signer()
    for number in range(20):
        query = _query(str(number))
        signature = signer.sign(query)
        r, s = decode_dss_signature(signature)
        assert s <= ORDER // 2
        assert signer.identity.verify(query.message, signature)
        high = encode_dss_signature(r, ORDER - s)
        assert not signer.identity.verify(query.message, high)
        assert low_s(high) == signature


@pytest.mark.parametrize("signature", [b"", b"\x30\x00", b"no der at all", encode_dss_signature(1, 1)])
def test_what_is_no_signature_does_not_verify(network: Network, signature: bytes) -> None:
    """Malformed or foreign signatures are refused without an exception."""
    assert not network.signer().identity.verify(b"message", signature)


def test_identity_survives_the_wire_with_its_attributes(network: Network) -> None:
    """Organisation, node role and contract attributes are read back from the serialised identity."""
    identity = parse_identity(network.signer().identity.serialized)
    assert identity == network.signer().identity
    assert identity.node_roles == {"client"}
    assert identity.attributes == {"edgegw.role": "gateway", "edgegw.gateway": "gateway1"}
    assert network.signer("ProducerMSP/admin").identity.node_roles == {"admin"}
    assert network.peers["IndustryMSP"][1].identity.attributes == {}


@pytest.mark.parametrize("data", [b"\xff", b"", b"\x0a\x01x\x12\x03abc"])
def test_malformed_identities_are_refused(data: bytes) -> None:
    """Bytes that hold no certificate raise MalformedMessageError."""
    with pytest.raises(MalformedMessageError):
        parse_identity(data)


def test_a_key_of_another_certificate_is_refused(network: Network) -> None:
    """A signer is only made of a key and its own certificate."""
    foreign = (network.crypto / "ProducerMSP" / "oracle" / "key.pem").read_bytes()
    with pytest.raises(MalformedMessageError, match="belong together"):
        KeySigner(network.signer().identity, foreign)
    with pytest.raises(MalformedMessageError, match="PEM"):
        KeySigner(network.signer().identity, b"no key")


def test_roots_trust_only_their_own_members_while_valid(network: Network, tmp_path: Path) -> None:
    """A certificate of another root, under another organisation's name, or out of time is not trusted."""
    member = network.signer().identity
    pending = Network(tmp_path).signer().identity
    roots = network.rules.roots
    assert roots.issued(member)
    assert not roots.issued(pending)
    renamed = Identity(msp_id="ProducerMSP", certificate_pem=member.certificate_pem)
    assert not roots.issued(renamed)
    unknown = Identity(msp_id="NoMSP", certificate_pem=member.certificate_pem)
    assert not roots.issued(unknown)
    starts_ns = int(member.certificate.not_valid_before_utc.timestamp()) * 1_000_000_000
    ends_ns = int(member.certificate.not_valid_after_utc.timestamp()) * 1_000_000_000
    assert roots.valid_at(member, starts_ns)
    assert not roots.valid_at(member, starts_ns - 1_000_000_000)
    assert not roots.valid_at(member, ends_ns + 1_000_000_000)
    assert not roots.valid_at(pending, starts_ns + 3600 * 1_000_000_000)


def test_an_authority_does_not_sign_as_a_member(network: Network) -> None:
    """The root certificate itself is no member."""
    pem = (network.crypto / "EVUserMSP" / "ca" / "cert.pem").read_bytes()
    assert not network.rules.roots.issued(Identity(msp_id="EVUserMSP", certificate_pem=pem))


def test_policies_count_organisations_not_signatures(network: Network) -> None:
    """Two of three needs peers of two organisations: neither two peers of one nor a client count."""
    two = network.rules.policy
    ev, industry = network.peers["EVUserMSP"], network.peers["IndustryMSP"]
    client = network.signer("ProducerMSP/representative").identity
    assert policy.satisfied(two, [ev[0].identity, industry[1].identity])
    assert not policy.satisfied(two, [ev[0].identity, ev[1].identity])
    assert not policy.satisfied(two, [ev[0].identity, client])
    assert not policy.satisfied(two, [])
    everyone = policy.out_of(3, network.peers)
    assert policy.organisations(everyone) == set(network.peers)
    assert not policy.satisfied(everyone, [ev[0].identity, industry[0].identity])
    assert policy.satisfied(everyone, [peers[0].identity for peers in network.peers.values()])


@pytest.mark.parametrize("broken", [b"\xff", b"", b"\x12\x02\x08\x05"])
def test_a_policy_that_cannot_be_read_is_never_satisfied(network: Network, broken: bytes) -> None:
    """Malformed policies refuse; so do those that point at a principal they do not have."""
    assert not policy.satisfied(broken, [network.peers["EVUserMSP"][0].identity])
    assert policy.organisations(broken) == frozenset()


class Turned:
    """A key whose every signature has the larger s, as a token's may."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    def sign(self, message: bytes, algorithm: ec.ECDSA) -> bytes:
        r, s = decode_dss_signature(self._key.sign(message, algorithm))
        return encode_dss_signature(r, max(s, ORDER - s))


def test_a_key_that_gives_the_larger_s_signs_with_the_smaller_one(network: Network) -> None:
    """Whatever holds the key: what leaves the signer is what a peer takes."""
    folder = network.crypto / "EVUserMSP" / "gateway1"
    key = load_key((folder / "key.pem").read_bytes())
    turned = cast("ec.EllipticCurvePrivateKey", Turned(key))  # as far as a signer looks
    identity = network.signer().identity
    message = StatusQuery(tx_id="t", channel="c", creator=identity.serialized)
    assert not identity.verify(message.message, turned.sign(message.message, ec.ECDSA(hashes.SHA256())))
    assert identity.verify(message.message, KeySigner(identity, turned).sign(message))
