"""An identity that is renewed while it is used: the certificate in its folder now signs what begins now.

Decides when a new certificate counts: as soon as its files changed and its key fits. What was begun under the old one is
signed by the old one to its end, for a proposal's creator must sign its envelope too. A pair that does not fit is told
once, and the old one stays.
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
    """The identity in a folder, read again when its files change."""

    def __init__(self, folder: Path, *, renewed: Tell, rejected: Tell) -> None:
        """Raises as `load_signer`."""
        self._folder = folder
        self._renewed, self._rejected = renewed, rejected
        self._seen = self._mark()
        self._current: Signer = load_signer(folder)
        self._before: Signer = self._current

    @property
    def identity(self) -> Identity:
        """Organisation and certificate, as they are now."""
        self.look()
        return self._current.identity

    def look(self) -> None:
        """See whether there is a new certificate, or a key that makes one usable."""
        mark = self._mark()
        if mark is not None and mark != self._seen:
            self._seen = mark
            self._renew()

    def sign(self, document: Document) -> bytes:
        """By the identity that the document names as its creator; what names none, by the current one."""
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
        """What changes with certificate or key; None while there is no certificate."""
        try:
            found = [(self._folder / CERTIFICATE).stat()]
            found += [place.stat() for place in key_places(self._folder)]
        except OSError:
            return None
        return tuple((status.st_mtime_ns, status.st_ino, status.st_size) for status in found)
