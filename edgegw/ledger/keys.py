"""Where an identity's private key is: a file of its own, a credential of the service manager, or a token.

An identity's folder holds `cert.pem`, and beside it the key: `key.pem` (plain PEM, mode 0600), or `key.uri` with one line
that says where it is: `credential:NAME` (systemd's LoadCredential, LoadCredentialEncrypted) or `pkcs11:...` (RFC 7512).
While an identity is being renewed there is a `key.next.pem` or `key.next.uri` as well. Decides which key is the
certificate's: whichever fits it, so that the certificate alone switches from one to the next. Keys are never logged.
"""

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from edgegw.common.errors import ConfigError
from edgegw.fabric.identity import Identity, KeySigner, load_key
from edgegw.fabric.wire import MalformedMessageError
from edgegw.ledger.credentials import check_private, read_credential

CERTIFICATE = "cert.pem"
CURRENT, NEXT = "key", "key.next"
_CREDENTIAL = "credential:"
_TOKEN = "pkcs11:"  # noqa: S105 - a scheme's name


def signer_of(folder: Path, identity: Identity) -> KeySigner:
    """The signer of the key in `folder` that is the certificate's.

    Raises:
        OSError: a file is missing or may not be read.
        ConfigError: others than its owner may read the key, or the place that `key.uri` names cannot be used.
        MalformedMessageError: key and certificate do not belong together.
    """
    places = list(key_places(folder))
    if not places:
        raise FileNotFoundError(2, "No such file or directory", str(folder / f"{CURRENT}.pem"))
    fault: MalformedMessageError | None = None
    for place in places:
        try:
            return KeySigner(identity, open_key(place))
        except MalformedMessageError as misfit:
            fault = fault or misfit
    assert fault is not None
    raise fault


def key_places(folder: Path) -> Iterator[Path]:
    """The key files that are there, the current one first."""
    for name in (CURRENT, NEXT):
        for path in (folder / f"{name}.pem", folder / f"{name}.uri"):
            if path.exists():
                yield path


def open_key(place: Path) -> ec.EllipticCurvePrivateKey:
    """The key in a `.pem` file, or where a `.uri` file says; raises as `signer_of`."""
    if place.suffix == ".pem":
        check_private(place)
        return load_key(place.read_bytes())
    uri = place.read_text(encoding="utf-8").strip()
    if uri.startswith(_CREDENTIAL):
        return load_key(read_credential(uri.removeprefix(_CREDENTIAL), place))
    if uri.startswith(_TOKEN):
        from edgegw.ledger.token import token_key  # noqa: PLC0415 - an optional dependency, loaded where a token is used

        return token_key(uri)
    raise ConfigError((f"{place}: expected credential:NAME or pkcs11:...",))
