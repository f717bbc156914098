"""Bind a gRPC server: plain text on loopback only, any other address with TLS only."""

import ipaddress
from typing import Any


class StartRefusedError(Exception):
    """The process cannot start with these options; the message states what to change."""


def bind(server: Any, listen: str, credentials: Any | None) -> str:
    """Bind a server and return "host:port"; port 0 in `listen` selects a free port.

    Raises:
        StartRefusedError: not HOST:PORT, in use, or not loopback without TLS.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise StartRefusedError(f"{listen!r}: expected HOST:PORT")
    if credentials is None and not _is_loopback(host):
        raise StartRefusedError(f"{listen}: an address beyond loopback needs --tls-cert and --tls-key")
    try:
        if credentials is None:
            bound = server.add_insecure_port(listen)
        else:
            bound = server.add_secure_port(listen, credentials)
    except RuntimeError as fault:
        raise StartRefusedError(f"{listen}: cannot listen there (in use?)") from fault
    return f"{host}:{bound}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
