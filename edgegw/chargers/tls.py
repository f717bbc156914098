"""Configures TLS for chargers: versions, cipher suites and certificates, and the reload of certificates.

Never decides who may connect, never makes certificates (`edgegw init` does), never prompts for a passphrase.
Source: OCPP 2.1 Part 2 A00.FR.313 (TLS 1.2 or newer), A00.FR.318 and .421 (suites; ECDSA and RSA side by side, and
TLS_RSA_* for chargers without ECDHE); OCPP 1.6 security whitepaper ed. 3, A00.FR.317; no compression, no renegotiation.
"""

import ssl
from pathlib import Path

from edgegw.chargers.settings import TlsSettings
from edgegw.common.error_codes import explained
from edgegw.common.errors import ConfigError

CIPHER_SUITES = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",  # TLS_RSA_WITH_AES_256_GCM_SHA384
    "AES128-GCM-SHA256",
)
_OPTIONS = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
_READABLE_BY_OTHERS = 0o077


class Tls:
    """The SSL context of new connections; `reload` replaces it, open connections keep theirs."""

    def __init__(self, settings: TlsSettings) -> None:
        """Load the certificates; raise ConfigError with every fault."""
        self._settings = settings
        self.context = server_context(settings)

    def reload(self, settings: TlsSettings | None = None) -> None:
        """Load the certificates again, or others; raise ConfigError and keep the old ones where these cannot be used."""
        settings = settings or self._settings
        self.context = server_context(settings)
        self._settings = settings


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a server's context with both pairs; raise ConfigError with every fault."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= _OPTIONS
    context.set_ciphers(":".join(CIPHER_SUITES))
    pairs = [(settings.certificate, settings.key_file)]
    if settings.rsa_certificate is not None and settings.rsa_key_file is not None:
        pairs.append((settings.rsa_certificate, settings.rsa_key_file))
    faults = [fault for pair in pairs if (fault := _load(context, *pair))]
    if faults:
        raise ConfigError(tuple(faults))
    return context


def _load(context: ssl.SSLContext, certificate: Path, key_file: Path) -> str:
    """Add a pair; return what is wrong with it, or ""."""
    try:
        if key_file.stat().st_mode & _READABLE_BY_OTHERS:
            return explained(
                "EGW-4002", f"{key_file}: mode {key_file.stat().st_mode & 0o777:04o}, expected 0600"
            )
        # alone first: beside another pair, OpenSSL compares a key of the other type with the other certificate
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key_file, password="")
        context.load_cert_chain(certificate, key_file, password="")
    except ssl.SSLError as error:
        reason = (error.reason or "no PEM").replace("_", " ").lower()
        return explained("EGW-4003", f"{certificate} and {key_file}: {reason}")
    except (OSError, ValueError) as error:
        return explained("EGW-4003", f"{certificate} and {key_file}: {error}")
    return ""


def cause(error: BaseException) -> str:
    """Return why a handshake failed, for a log line."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return _CAUSES.get(error.reason, error.reason.replace("_", " ").lower())
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return "timed out"
    if isinstance(error, ConnectionError | ssl.SSLEOFError):
        return "the other side closed the connection"
    return type(error).__name__


_CAUSES = {
    "HTTP_REQUEST": "plain HTTP came to the TLS port: use wss://",
    "HTTPS_PROXY_REQUEST": "plain HTTP came to the TLS port: use wss://",
    "WRONG_VERSION_NUMBER": "the charger sent no TLS",
    "UNSUPPORTED_PROTOCOL": "the charger does not support TLS 1.2",
    "NO_SHARED_CIPHER": "no cipher suite in common",
    "TLSV1_ALERT_UNKNOWN_CA": "the charger does not know the CA of our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the charger does not trust our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the charger refused our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate is expired by the charger's clock: check that clock",
    "TLSV1_ALERT_PROTOCOL_VERSION": "no TLS version in common",
}
