"""Locate an identity's private key: in a file, in a systemd credential, or in a PKCS#11 token.

An identity's folder holds `cert.pem` and the key: `key.pem` (plain PEM, mode 0600), or `key.uri` with one line,
`credential:NAME` (systemd's LoadCredential, LoadCredentialEncrypted) or `pkcs11:...` (RFC 7512). During a renewal it
also holds `key.next.pem` or `key.next.uri`. Uses the key that matches the certificate, so that replacing the
certificate alone switches to the next key. Keys are never logged.
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
    """Return a signer with the key in `folder` that matches the certificate.

    Raises:
        OSError: a file is missing or cannot be read.
        ConfigError: the key is accessible to others than its owner, or the location in `key.uri` cannot be used.
        MalformedMessageError: no key matches the certificate.
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
    """Yield the key files that exist, the current one first."""
    for name in (CURRENT, NEXT):
        for path in (folder / f"{name}.pem", folder / f"{name}.uri"):
            if path.exists():
                yield path


def open_key(place: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key in a `.pem` file or at the location in a `.uri` file; raises as `signer_of`."""
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
