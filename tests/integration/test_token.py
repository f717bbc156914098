"""A key in a PKCS#11 token: made there, enrolled, signing for real, every signature with low S."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from edgegw.commissioning.enrolment import EnrolmentError, Wanted, install, request
from edgegw.common.errors import ConfigError
from edgegw.ledger.errors import Unavailable
from edgegw.ledger.identity import Evidence, load_signer
from edgegw.ledger.keys import open_key
from edgegw.ledger.token import make_token_key
from edgegw.peer import membership
from tests.support.peer_process import running_peer

HALF = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 // 2
SHA256 = ec.ECDSA(hashes.SHA256())
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
)
PIN = "271828"


@pytest.fixture(scope="session")  # a process initialises the library once, also where work is stolen
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an empty token named `edgegw`, and `pin` with its PIN."""
    module = next((path for path in MODULES if Path(path).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed; as root: apt-get install softhsm2")
    if find_spec("pkcs11") is None:
        pytest.skip("python-pkcs11 is not installed: pip install 'edgegw[pkcs11]'")
    folder = tmp_path_factory.mktemp("token")
    (folder / "objects").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/objects\n")
    (folder / "pin").touch(mode=0o600)
    (folder / "pin").write_text(PIN + "\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "edgegw", "--pin", PIN, "--so-pin", "1618"],
        check=True,
        capture_output=True,
    )
    (folder / "module").symlink_to(module)
    yield folder
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


def uri(folder: Path, label: str, **changed: str) -> str:
    named = {"token": "edgegw", "module": str(folder / "module"), "pin": f"file:{folder / 'pin'}"} | changed
    return f"pkcs11:token={named['token']};object={label}?module-path={named['module']}&pin-source={named['pin']}"


async def test_a_token_signs_for_a_real_peer(token: Path, tmp_path: Path) -> None:
    """Request, installation and calls with a key that never leaves the token; then a renewal with a second one."""
    async with running_peer(tmp_path / "peer") as peer:
        crypto = peer.data / "crypto"
        wanted = Wanted(folder=crypto / "EVUserMSP" / "hsm", role="gateway", gateway="hsm")
        for label, value in (("first", 1), ("second", 2)):
            asked = request(wanted, key_uri=uri(token, label)).read_bytes()
            assert not (wanted.folder / "key.pem").exists()
            signed = membership.sign_request(crypto, "EVUserMSP", asked, lasts=timedelta(days=1))
            install(wanted, signed, membership.load_roots(crypto))
            assert f"object={label}" in (wanted.folder / "key.uri").read_text()
            async with peer.client("EVUserMSP/hsm") as client:
                assert (await client.evaluate("Whoami"))["gateway"] == "hsm"
                assert await client.execute("Add", {"key": "k", "n": 1}) == {"value": value}


async def test_from_a_file_into_a_token(token: Path, tmp_path: Path) -> None:
    """A renewal may move the key: the file is in use until the certificate is, and gone then."""
    membership.found(tmp_path / "crypto")
    wanted = Wanted(folder=tmp_path / "crypto/EVUserMSP/gateway1", role="gateway", gateway="gateway1")
    asked = request(wanted, key_uri=uri(token, "moved")).read_bytes()
    assert {path.name for path in wanted.folder.iterdir()} == {
        "cert.pem", "key.pem", "key.next.uri", "request.csr",
    }  # fmt: skip
    signed = membership.sign_request(tmp_path / "crypto", "EVUserMSP", asked, lasts=timedelta(days=1))
    identity = install(wanted, signed, membership.load_roots(tmp_path / "crypto"))
    assert {path.name for path in wanted.folder.iterdir()} == {"cert.pem", "key.uri"}
    assert identity.verify(b"x", load_signer(wanted.folder).sign(Evidence(b"x")))
    with pytest.raises(EnrolmentError, match="not for the key"):
        install(
            wanted,
            (tmp_path / "crypto/EVUserMSP/exchange/cert.pem").read_bytes(),
            membership.load_roots(tmp_path / "crypto"),
        )


async def test_every_signature_has_a_low_s(token: Path, tmp_path: Path) -> None:
    """The token gives the larger s about every second time; what leaves the signer never has it."""
    membership.found(tmp_path / "crypto")
    wanted = Wanted(folder=tmp_path / "crypto/EVUserMSP/low", role="gateway", gateway="low")
    asked = request(wanted, key_uri=uri(token, "low")).read_bytes()
    signed = membership.sign_request(tmp_path / "crypto", "EVUserMSP", asked, lasts=timedelta(days=1))
    identity = install(wanted, signed, membership.load_roots(tmp_path / "crypto"))
    key, signer = open_key(wanted.folder / "key.uri"), load_signer(wanted.folder)
    raw = [key.sign(b"%d" % n, SHA256) for n in range(64)]
    assert any(decode_dss_signature(one)[1] > HALF for one in raw)
    for number in range(64):
        message = b"%d" % number
        signature = signer.sign(Evidence(message))
        assert decode_dss_signature(signature)[1] <= HALF
        assert identity.verify(message, signature)


def test_a_lost_session_is_opened_again(token: Path) -> None:
    """A token session that was lost (token taken out and put back) is opened again."""
    key = make_token_key(uri(token, "lost"))
    key._key.session.close()
    assert key.sign(b"x", SHA256)
    key._key.session.close()
    (token / "pin").rename(token / "away")
    with pytest.raises(Unavailable, match="token"):
        key.sign(b"x", SHA256)
    (token / "away").rename(token / "pin")
    assert key.sign(b"x", SHA256)
    for call in (key.private_numbers, lambda: key.exchange(None, None)):  # type: ignore[arg-type]  # never looked at
        with pytest.raises(NotImplementedError):
            call()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"token": "other"}, "token other"),
        ({"module": "/nowhere.so"}, "token edgegw"),
        ({"label": "nobody"}, "key nobody"),
    ],
)
def test_a_token_that_is_not_there(token: Path, tmp_path: Path, spoil: dict[str, str], says: str) -> None:
    """Named in the message, without the PIN."""
    changed = dict(spoil)
    place = tmp_path / "key.uri"
    place.write_text(uri(token, changed.pop("label", "low"), **changed))
    with pytest.raises(ConfigError, match=says) as refused:
        open_key(place)
    assert PIN not in str(refused.value)


def test_a_pin_is_kept_by_itself(token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PIN is in a private file or a credential, never in the URI."""
    make_token_key(uri(token, "low"))
    place = tmp_path / "key.uri"
    for text, says in (
        (uri(token, "low") + f"&pin-value={PIN}", "the URI contains a PIN"),
        ("pkcs11:token=edgegw", "lacks object, module-path, pin-source"),
    ):
        place.write_text(text)
        with pytest.raises(ConfigError, match=says):
            open_key(place)
    open_pin = tmp_path / "pin"
    open_pin.write_text(PIN)
    open_pin.chmod(0o644)
    place.write_text(uri(token, "low", pin=str(open_pin)))
    with pytest.raises(ConfigError, match="chmod 600"):
        open_key(place)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    place.write_text(uri(token, "low", pin="credential:pin"))
    assert open_key(place).key_size == 256
