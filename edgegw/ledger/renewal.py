"""Renew an identity while it is in use: load the certificate again when its files change.

A new certificate takes effect as soon as its files have changed and a key matches it. A call that began under the
previous certificate is signed with that one to its end, because a proposal's creator must sign its envelope too. A pair
that does not match is reported once, and the previous one stays in use.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from edgegw.common.errors import EdgegwError
from edgegw.fabric.identity import Identity
from edgegw.fabric.wire import MalformedMessageError
from edgegw.ledger.identity import Document, Signer, load_signer
from edgegw.ledger.keys import CERTIFICATE, key_places

Tell = Callable[[Mapping[str, object]], None]
_Mark = tuple[tuple[int, int, int], ...]


class RenewableSigner:
    """A signer for the identity in a folder, reloaded when its files change."""

    def __init__(self, folder: Path, *, renewed: Tell, rejected: Tell) -> None:
        """Load the identity; raises as `load_signer`. `renewed` and `rejected` receive the fields of a log event."""
        self._folder = folder
        self._renewed, self._rejected = renewed, rejected
        self._seen = self._mark()
        self._current: Signer = load_signer(folder)
        self._before: Signer = self._current

    @property
    def identity(self) -> Identity:
        """The organisation and the current certificate, after a check of the files."""
        self.look()
        return self._current.identity

    def look(self) -> None:
        """Reload the identity if certificate or key files have changed."""
        mark = self._mark()
        if mark is not None and mark != self._seen:
            self._seen = mark
            self._renew()

    def sign(self, document: Document) -> bytes:
        """Sign with the identity that the document names as its creator, else with the current one."""
        creator = getattr(document, "creator", None)
        if creator is not None and creator == self._before.identity.serialized:
            return self._before.sign(document)
        return self._current.sign(document)

    def _renew(self) -> None:
        try:
            found = load_signer(self._folder)
            until = found.identity.certificate.not_valid_after_utc.isoformat()
        except (EdgegwError, MalformedMessageError) as fault:
            self._rejected({"folder": str(self._folder), "reason": str(fault)})
            return
        self._before, self._current = self._current, found
        self._renewed({"folder": str(self._folder), "until": until})

    def _mark(self) -> _Mark | None:
        """Return values that change with the certificate or key files; None while there is no certificate."""
        try:
            found = [(self._folder / CERTIFICATE).stat()]
            found += [place.stat() for place in key_places(self._folder)]
        except OSError:
            return None
        return tuple((status.st_mtime_ns, status.st_ino, status.st_size) for status in found)
