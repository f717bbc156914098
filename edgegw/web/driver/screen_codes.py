"""Proof of presence: signed one-time codes on a charger's screen, and the cookie that a scanned code sets.

Decides whether a code is authentic, for this EVSE, fresh and unused, and whether a visitor was at an EVSE within 15 minutes.
Times are real seconds, even where the station's clock is simulated. Source: docs/pages.md, Codes.
"""

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from edgegw.common.clock import Clock
from edgegw.web.site import Site
from edgegw.web.visitor_login import Visitor, cookie, set_cookie

CODE_EVERY_S = 30
CODE_S = 60
PRESENT_S = 900
USED_MAX = 20_000  # used codes that are remembered: far more than drivers scan within CODE_S
COOKIE = "present"
_NONCE_BYTES = 16
_TIME_BYTES = 8
_MAC_BYTES = 32
_CODE_BYTES = _TIME_BYTES + _NONCE_BYTES + _MAC_BYTES


@dataclass(slots=True, kw_only=True)
class ScreenCodes:
    """The codes of one station's screens; remembers used codes until they expire."""

    secret: bytes = field(repr=False)
    clock: Clock
    _used: dict[bytes, int] = field(default_factory=dict)

    def new(self, evse_id: str) -> str:
        """Return a new code for the screen of an EVSE: time, nonce and HMAC, base64url."""
        told = self.clock.now_ns().to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_NONCE_BYTES)
        return base64.urlsafe_b64encode(told + self._mac(evse_id, told)).decode().rstrip("=")

    def use(self, evse_id: str, code: str) -> bool:
        """Use a code at an EVSE; return False if it is not authentic, older than CODE_S, or used before."""
        told = self._told(evse_id, code)
        if told is None:
            return False
        now_ns, issued_ns = self.clock.now_ns(), int.from_bytes(told[:_TIME_BYTES], "big")
        if issued_ns > now_ns or self.clock.real_seconds(now_ns - issued_ns) > CODE_S:
            return False
        self._forget(now_ns)
        if told in self._used or len(self._used) >= USED_MAX:
            return False
        self._used[told] = issued_ns
        return True

    def _told(self, evse_id: str, code: str) -> bytes | None:
        """Return the signed bytes of a code (time, nonce) if its HMAC is for this EVSE, else None."""
        try:
            raw = base64.b64decode(code.encode() + b"=" * (-len(code) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return None
        if len(raw) != _CODE_BYTES:
            return None
        told, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        return told if hmac.compare_digest(mac, self._mac(evse_id, told)) else None

    def _mac(self, evse_id: str, told: bytes) -> bytes:
        return hmac.digest(self.secret, b"screen\0" + told + evse_id.encode(), "sha256")

    def _forget(self, now_ns: int) -> None:
        for told, issued_ns in list(self._used.items()):
            if self.clock.real_seconds(now_ns - issued_ns) <= CODE_S:
                break  # entries are nearly in the order of their age
            del self._used[told]


def mark(response: Response, site: Site, visitor: Visitor, *, evse_id: str) -> None:
    """Set the cookie that proves that the visitor is at this EVSE now."""
    told = f"{site.clock.now_ns()}.{evse_id}"
    value = f"{site.clock.now_ns()}.{_signed(site, visitor, told)}"
    set_cookie(response, site, COOKIE, value=value, seconds=PRESENT_S)


def is_present(request: Request, site: Site, visitor: Visitor, *, evse_id: str) -> bool:
    """Return whether the visitor scanned a code at this EVSE within the last PRESENT_S."""
    value = request.cookies.get(cookie(COOKIE, is_secure=site.settings.is_secure), "")
    at, _, mac = value.partition(".")
    if not (at.isascii() and at.isdecimal() and len(at) <= 20):
        return False
    age_ns = site.clock.now_ns() - int(at)
    if age_ns < 0 or site.clock.real_seconds(age_ns) > PRESENT_S:
        return False
    return hmac.compare_digest(mac.encode(), _signed(site, visitor, f"{at}.{evse_id}").encode())


def _signed(site: Site, visitor: Visitor, told: str) -> str:
    """Return the HMAC of the cookie, bound to the browser's key, so that a copy is invalid in another browser."""
    return hmac.digest(site.settings.secret, f"present\0{visitor.key}\0{told}".encode(), "sha256").hex()
