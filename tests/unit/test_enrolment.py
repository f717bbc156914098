"""An identity: asked for, checked, put in use in one step, and renewed without a gap."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgegw.commissioning.enrolment import EnrolmentError, Wanted, install, request
from edgegw.common.errors import ConfigError
from edgegw.fabric.identity import Identity
from edgegw.fabric.trust import Roots
from edgegw.ledger.identity import Evidence, load_signer
from edgegw.peer import membership

YEAR = timedelta(days=365)
PROBE = Evidence(b"probe")


@pytest.fixture(scope="module")
def crypto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority") / "crypto"
    membership.found(folder)
    return folder


@pytest.fixture(scope="module")
def roots(crypto: Path) -> Roots:
    return membership.load_roots(crypto)


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return Wanted(folder=tmp_path / "EVUserMSP" / "gw7", role="gateway", gateway="gw7")


def sign(crypto: Path, path: Path, *, msp_id: str = "EVUserMSP", lasts: timedelta = YEAR) -> bytes:
    return membership.sign_request(crypto, msp_id, path.read_bytes(), lasts=lasts)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_request_says_what_is_wanted(wanted: Wanted) -> None:
    """P-256, node role client, the contract's role and gateway id as an attribute; the key is its owner's only."""
    asked = x509.load_pem_x509_csr(request(wanted).read_bytes())
    assert asked.subject.rfc4514_string() == "CN=gw7,OU=client,O=EVUserMSP"
    assert asked.is_signature_valid
    assert isinstance(asked.public_key(), ec.EllipticCurvePublicKey)
    (mark,) = asked.extensions
    assert isinstance(mark.value, x509.UnrecognizedExtension)
    assert mark.value.value == b'{"attrs":{"edgegw.gateway":"gw7","edgegw.role":"gateway"}}'
    assert (wanted.folder / "key.pem").stat().st_mode & 0o777 == 0o600
    assert files(wanted.folder) == {"key.pem", "request.csr"}


def test_asking_again_keeps_the_key(wanted: Wanted, crypto: Path, roots: Roots) -> None:
    """A certificate for an earlier request still fits after the request was made once more."""
    signed = sign(crypto, request(wanted))
    request(wanted)
    identity = install(wanted, signed, roots)
    assert identity.attributes == {"edgegw.role": "gateway", "edgegw.gateway": "gw7"}
    assert files(wanted.folder) == {"key.pem", "cert.pem"}
    assert identity.verify(PROBE.message, load_signer(wanted.folder).sign(PROBE))


def test_a_renewal_has_a_new_key_and_no_gap(wanted: Wanted, crypto: Path, roots: Roots) -> None:
    """The identity in use signs until the new certificate is in place, and at no point in between does none."""
    install(wanted, sign(crypto, request(wanted)), roots)
    old = load_signer(wanted.folder).identity
    asked = request(wanted)
    assert files(wanted.folder) == {"key.pem", "cert.pem", "key.next.pem", "request.csr"}
    assert load_signer(wanted.folder).identity == old
    signed = sign(crypto, asked)
    # Cut short right after the certificate's rename: the key that fits is found where it still lies.
    (wanted.folder / "cert.pem").write_bytes(signed)
    assert load_signer(wanted.folder).identity.certificate_pem == signed
    new = install(wanted, signed, roots)
    assert files(wanted.folder) == {"key.pem", "cert.pem"}
    assert new.public_key.public_numbers() != old.public_key.public_numbers()
    assert new.verify(PROBE.message, load_signer(wanted.folder).sign(PROBE))


def test_a_key_may_be_kept(wanted: Wanted, crypto: Path, roots: Roots) -> None:
    """A new certificate for the key in use; without one there is nothing to keep."""
    with pytest.raises(ConfigError, match="contains no key to keep"):
        request(wanted, keep_key=True)
    old = install(wanted, sign(crypto, request(wanted)), roots)
    new = install(wanted, sign(crypto, request(wanted, keep_key=True), lasts=2 * YEAR), roots)
    assert new.public_key.public_numbers() == old.public_key.public_numbers()
    assert new.certificate_pem != old.certificate_pem


def other_key(crypto: Path, wanted: Wanted) -> bytes:
    elsewhere = Wanted(
        folder=wanted.folder.parent / "other" / "EVUserMSP" / "gw7", role="gateway", gateway="gw7"
    )
    return sign(crypto, request(elsewhere))


def other_role(crypto: Path, wanted: Wanted) -> bytes:
    return sign(crypto, request(Wanted(folder=wanted.folder, role="oracle")))


def other_gateway(crypto: Path, wanted: Wanted) -> bytes:
    return sign(crypto, request(Wanted(folder=wanted.folder, role="gateway", gateway="gw8")))


def other_root(crypto: Path, wanted: Wanted) -> bytes:
    return sign(crypto, request(wanted), msp_id="ProducerMSP")


def ended(crypto: Path, wanted: Wanted) -> bytes:
    return sign(crypto, request(wanted), lasts=timedelta(seconds=-1))


def no_certificate(crypto: Path, wanted: Wanted) -> bytes:
    request(wanted)
    return b"-----BEGIN CERTIFICATE-----"


def by_hand(crypto: Path, wanted: Wanted, *, unit: str, authority: bool = False) -> bytes:
    """A certificate of our authority for our key, with another node role, or an authority's own."""
    asked = x509.load_pem_x509_csr(request(wanted).read_bytes())
    ca = crypto / "EVUserMSP" / "ca"
    issuer = x509.load_pem_x509_certificate((ca / "cert.pem").read_bytes())
    key = serialization.load_pem_private_key((ca / "key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, unit)]))
        .issuer_name(issuer.subject)
        .public_key(asked.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + YEAR)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    for extension in asked.extensions:
        builder = builder.add_extension(extension.value, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def peers_role(crypto: Path, wanted: Wanted) -> bytes:
    return by_hand(crypto, wanted, unit="peer")


def an_authority(crypto: Path, wanted: Wanted) -> bytes:
    return by_hand(crypto, wanted, unit="client", authority=True)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (other_key, "not for the key"),
        (other_role, "edgegw.role must be gateway, and is oracle"),
        (other_gateway, "edgegw.gateway must be gw7, and is gw8"),
        (other_root, "not issued by the CA of EVUserMSP"),
        (ended, "has ended"),
        (no_certificate, "no PEM certificate"),
        (peers_role, "OU must be client"),
        (an_authority, "is a CA certificate itself"),
    ],
)
def test_what_does_not_fit_is_not_installed(
    wanted: Wanted, crypto: Path, make: Callable[[Path, Wanted], bytes], says: str
) -> None:
    """Key, organisation's root, role, gateway and validity must all fit; otherwise nothing changes."""
    signed = make(crypto, wanted)
    request(wanted)
    before = {path.name: path.read_bytes() for path in wanted.folder.iterdir()}
    with pytest.raises(EnrolmentError, match=says):
        install(wanted, signed, membership.load_roots(crypto))
    assert {path.name: path.read_bytes() for path in wanted.folder.iterdir()} == before


def test_an_organisation_without_a_root_is_said(wanted: Wanted, crypto: Path, roots: Roots) -> None:
    """A folder of an organisation that the trust file does not know, and a certificate of the future."""
    strange = Wanted(folder=wanted.folder.parents[1] / "OtherMSP" / "gw7", role="gateway", gateway="gw7")
    signed = sign(crypto, request(strange))
    with pytest.raises(EnrolmentError, match="OtherMSP has no CA certificate"):
        install(strange, signed, roots)
    signed = sign(crypto, request(wanted))
    with pytest.raises(EnrolmentError, match="is valid from"):
        install(wanted, signed, roots, now=datetime.now(UTC) - timedelta(days=1))


def test_a_key_in_a_credential(
    wanted: Wanted, crypto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key comes from the service manager, whatever the mode it gives; its file is gone, and a wrong one is refused."""
    roots = membership.load_roots(crypto)
    signed = sign(crypto, request(wanted))
    identity = install(wanted, signed, roots)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    key = wanted.folder / "key.pem"
    key.rename(credentials / "ledger.key")
    (credentials / "ledger.key").chmod(0o440)
    (wanted.folder / "key.uri").write_text("credential:ledger.key\n")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="LoadCredential"):
        load_signer(wanted.folder)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert identity.verify(PROBE.message, load_signer(wanted.folder).sign(PROBE))
    renewed = install(wanted, sign(crypto, request(wanted, keep_key=True)), roots)
    assert renewed.public_key.public_numbers() == identity.public_key.public_numbers()
    for wrong, says in (("credential:../ledger.key", "is not a credential name"), ("else:where", "expected")):
        (wanted.folder / "key.uri").write_text(wrong)
        with pytest.raises(ConfigError, match=says):
            load_signer(wanted.folder)


def test_a_key_that_others_may_read_is_not_used(wanted: Wanted, crypto: Path, roots: Roots) -> None:
    """Mode 0600, or no identity; no key at all is a missing file."""
    install(wanted, sign(crypto, request(wanted)), roots)
    (wanted.folder / "key.pem").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_signer(wanted.folder)
    (wanted.folder / "key.pem").unlink()
    with pytest.raises(ConfigError, match="No such file"):
        load_signer(wanted.folder)


def test_files_belong_to_whom_the_folder_belongs(wanted: Wanted, crypto: Path, roots: Roots) -> None:
    """Root may enrol a daemon that has a user of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    wanted.folder.mkdir(parents=True)
    os.chown(wanted.folder, 12345, 12345)
    install(wanted, sign(crypto, request(wanted)), roots)
    assert {path.stat().st_uid for path in wanted.folder.iterdir()} == {12345}


def test_the_development_authority_signs_no_peer(crypto: Path, tmp_path: Path) -> None:
    """The development authority issues certificates to clients and admins on P-256 only."""
    for curve, unit in ((ec.SECP256R1(), "peer"), (ec.SECP384R1(), "client")):
        asked = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, unit)]))
            .sign(ec.generate_private_key(curve), hashes.SHA256())
        )
        with pytest.raises(ValueError, match="P-256"):
            membership.sign_request(
                crypto, "EVUserMSP", asked.public_bytes(serialization.Encoding.PEM), lasts=YEAR
            )


def test_an_identity_knows_its_end(wanted: Wanted, crypto: Path) -> None:
    """Expired is what a peer would call expired."""
    pem = sign(crypto, request(wanted))
    identity = Identity(msp_id="EVUserMSP", certificate_pem=pem)
    end_ns = int(identity.certificate.not_valid_after_utc.timestamp()) * 10**9
    assert (identity.expired(end_ns), identity.expired(end_ns + 1)) == (False, True)
