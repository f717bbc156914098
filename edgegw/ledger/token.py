"""Sign with a private key in a PKCS#11 token (smart card, TPM, HSM), which never leaves the token.

A PKCS#11 URI (RFC 7512) names the token, its key and its PIN, such as
`pkcs11:token=edgegw;object=gateway1?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/edgegw/token.pin`.
The PIN is in a file of its own (mode 0600) or in a credential (`pin-source=credential:NAME`), never in the URI.
Tokens return any s; `KeySigner` makes every signature low-S. The only module that imports the library (the optional
dependency `pkcs11`).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from edgegw.common.errors import ConfigError
from edgegw.ledger.credentials import check_private, read_credential
from edgegw.ledger.errors import Unavailable

_HALF = 32
_ID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlace:
    """The location of a key: library path, token label, key label, and source of the PIN."""

    module: str
    token: str
    label: str
    pin_source: str

    @classmethod
    def parse(cls, uri: str) -> "TokenPlace":
        """Parse a PKCS#11 URI; raise ConfigError."""
        path, _, query = uri.removeprefix("pkcs11:").partition("?")
        pairs = [part.partition("=") for part in (*path.split(";"), *query.split("&")) if part]
        found = {name: unquote(value) for name, _, value in pairs}
        if "pin-value" in found:
            raise ConfigError(("pkcs11: the URI contains a PIN; use pin-source=file:PATH (mode 0600)",))
        missing = [name for name in ("token", "object", "module-path", "pin-source") if not found.get(name)]
        if missing:
            raise ConfigError((f"pkcs11: the URI lacks {', '.join(missing)}",))
        return cls(
            module=found["module-path"],
            token=found["token"],
            label=found["object"],
            pin_source=found["pin-source"],
        )

    def pin(self) -> str:
        """Return the PIN; raises ConfigError, OSError."""
        kind, _, rest = self.pin_source.partition(":")
        if kind == "credential":
            return read_credential(rest, Path("pin-source")).decode().strip()
        path = Path(rest if kind == "file" else self.pin_source)
        check_private(path)
        return path.read_text(encoding="utf-8").strip()


class TokenKey(ec.EllipticCurvePrivateKey):
    """A P-256 key in a token. Signs over SHA-256 of a message; its private part cannot be read."""

    def __init__(self, open_key: Callable[[], tuple[Any, ec.EllipticCurvePublicKey]]) -> None:
        self._open = open_key
        self._key, self._public = open_key()

    def sign(self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # type: ignore[override]  # a buffer is bytes here
        """Return a signature in DER, not normalised to low S. Raises Unavailable."""
        del signature_algorithm  # only ECDSA P-256 with SHA-256 is supported
        pkcs11 = _library()
        digest = sha256(data).digest()
        try:
            raw = self._raw(digest)
        except pkcs11.PKCS11Error:
            try:  # the token was removed, or its library lost the session
                self._key, self._public = self._open()
                raw = self._raw(digest)
            except (pkcs11.PKCS11Error, ConfigError, OSError) as fault:
                raise Unavailable(f"token: {type(fault).__name__} {fault}") from fault
        return encode_dss_signature(int.from_bytes(raw[:_HALF]), int.from_bytes(raw[_HALF:]))

    def _raw(self, digest: bytes) -> bytes:
        raw: bytes = self._key.sign(digest, mechanism=_library().Mechanism.ECDSA)
        return raw

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public key."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        """The key size in bits."""
        return self.curve.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Not supported."""
        raise NotImplementedError

    def private_numbers(self) -> NoReturn:
        """Never leaves the token."""
        raise NotImplementedError

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,  # noqa: A002 - the interface's name
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """Never leaves the token."""
        raise NotImplementedError

    def __copy__(self) -> "TokenKey":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "TokenKey":
        return self


def token_key(uri: str) -> TokenKey:
    """Return the key that a PKCS#11 URI names; raises ConfigError, OSError."""
    return TokenKey(lambda: _find(_session(TokenPlace.parse(uri)), TokenPlace.parse(uri)))


def make_token_key(uri: str) -> TokenKey:
    """Return the key that a PKCS#11 URI names; generate it in the token, not extractable, if it does not exist."""
    place = TokenPlace.parse(uri)
    pkcs11, session = _library(), _session(place, writing=True)
    try:
        session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=place.label)
    except pkcs11.NoSuchKey:
        curve = session.create_domain_parameters(
            pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters("secp256r1")},
            local=True,
        )
        private = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
        curve.generate_keypair(
            id=secrets.token_bytes(_ID_BYTES), label=place.label, store=True, private_template=private
        )
    return token_key(uri)


def _library() -> Any:
    """Return the `pkcs11` module; raise ConfigError if it is not installed."""
    try:
        import_module("pkcs11.util.ec")
        return import_module("pkcs11")
    except ImportError as fault:
        raise ConfigError(
            ("a key in a token needs the package python-pkcs11: pip install 'edgegw[pkcs11]'",)
        ) from fault


def _session(place: TokenPlace, *, writing: bool = False) -> Any:
    """Open a session and log in. Raises ConfigError, OSError."""
    pkcs11 = _library()
    pin = place.pin()
    try:
        token = pkcs11.lib(place.module).get_token(token_label=place.token)
        try:
            return token.open(user_pin=pin, rw=writing)
        except pkcs11.UserAlreadyLoggedIn:  # a process logs in once, for all its sessions
            return token.open(rw=writing)
    except (pkcs11.PKCS11Error, RuntimeError) as fault:
        raise ConfigError((f"token {place.token}: {type(fault).__name__} {fault}".rstrip(),)) from fault


def _find(session: Any, place: TokenPlace) -> tuple[Any, ec.EllipticCurvePublicKey]:
    pkcs11 = _library()
    try:
        private, public = [
            session.get_key(object_class=kind, label=place.label)
            for kind in (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.PUBLIC_KEY)
        ]
    except pkcs11.PKCS11Error as fault:
        raise ConfigError((f"token {place.token}: key {place.label}: {type(fault).__name__}",)) from fault
    der = pkcs11.util.ec.encode_ec_public_key(public)
    found = serialization.load_der_public_key(der)
    if not isinstance(found, ec.EllipticCurvePublicKey) or not isinstance(found.curve, ec.SECP256R1):
        raise ConfigError((f"token {place.token}: key {place.label} is not on P-256",))
    return private, found
