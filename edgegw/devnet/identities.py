"""Issue the network's ledger clients, with the folders, names and roles of the embedded peer.

The certificate authorities are those cryptogen created, the enrolments those of `peer.membership`, so that a
configuration finds the same identities for either peer.
"""

import json
import os
from pathlib import Path

from edgegw.devnet.layout import Layout
from edgegw.peer.membership import FIRST_ENROLMENTS, TRUST_FILE, enrol

TLS_ROOTS_FILE = "tls_roots.pem"


def make_identities(layout: Layout) -> None:
    """Issue all clients; write the trust file, and one file with the TLS roots of all peers' servers."""
    place = layout.identities
    roots = {}
    for member in layout.organisations:
        certificate, key = member.ca
        folder = place / member.msp_id / "ca"
        folder.mkdir(parents=True, exist_ok=True)
        _write_private(folder / "key.pem", key.read_text(encoding="ascii"))
        roots[member.msp_id] = certificate.read_text(encoding="ascii")
        (folder / "cert.pem").write_text(roots[member.msp_id], encoding="ascii")
    for enrolment in FIRST_ENROLMENTS:
        if enrolment.msp_id in roots:
            enrol(place, enrolment)
    tls_roots = "".join(member.tls_ca.read_text(encoding="ascii") for member in layout.organisations)
    (place / TLS_ROOTS_FILE).write_text(tls_roots, encoding="ascii")
    (place / TRUST_FILE).write_text(json.dumps(roots, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
