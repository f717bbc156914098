"""The operator's password and logins: one password, logins of twelve hours in memory, back-off after wrong attempts.

Decides who is logged in. Keeps hashes of tokens only. Reads the password's hash at each attempt, so that a new password is
valid at once. A restart ends every login; `look` ends those of an older password.
"""

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from edgegw.common.errors import EdgegwError
from edgegw.common.passwords import password_fits
from edgegw.common.throttle import Backoff, Throttle, client_network
from edgegw.ports.representative import Profile

LOGIN_S = 12 * 3600
LOGINS_MAX = 16
FREE_TRIES = 3
PAUSES = Backoff(free=FREE_TRIES, first_s=2.0, max_s=900.0)
PASSWORD_MAX = 256
PASSWORD_MIN = 12
_REMEMBERED = 256
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without letters and digits that look alike


def new_password() -> str:
    """Return a random password of 99 bits in letters that are easy to type."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """Result of an attempt: a token, or seconds to wait, or neither (wrong password).

    `fault` is the error text if the stored password cannot be read.
    """

    token: str = field(default="", repr=False)
    wait_s: int = 0
    fault: str = ""


class OperatorLogins:
    """Checks passwords and keeps logins; `stored` returns the password's hash or raises EdgegwError."""

    def __init__(self, stored: Callable[[], str], now_s: Callable[[], float] = time.monotonic) -> None:
        self._stored = stored
        self._now_s = now_s
        self._tries = Throttle(PAUSES, now_s, keys_max=_REMEMBERED)
        self._logins: OrderedDict[str, tuple[str, float]] = (
            OrderedDict()
        )  # token's hash -> password's hash, end
        self._turn = asyncio.Lock()  # one comparison at a time: each takes 19 MiB

    async def enter(self, password: str, *, source: str) -> Entered:
        """Check a password that came from the address `source`."""
        network = client_network(source)
        wait_s = self._tries.wait_s(network)
        if wait_s:
            return Entered(wait_s=int(wait_s) + 1)
        self._tries.count(network)
        async with self._turn:
            try:
                stored = await asyncio.to_thread(self._stored)
            except EdgegwError as fault:
                self._tries.take_back(network)
                return Entered(fault=str(fault))
            is_right = await asyncio.to_thread(password_fits, stored, password[:PASSWORD_MAX])
        if not is_right:
            return Entered()
        self._tries.forget(network)
        token = secrets.token_hex(32)
        self._logins[_digest(token)] = (stored, self._now_s() + LOGIN_S)
        while len(self._logins) > LOGINS_MAX:
            self._logins.popitem(last=False)
        return Entered(token=token)

    async def who(self, token: str) -> Profile | None:
        """Return the operator's profile if the token belongs to a valid login, else None."""
        _, end_s = self._logins.get(_digest(token), ("", 0.0))
        if self._now_s() >= end_s:
            self._logins.pop(_digest(token), None)
            return None
        return Profile(member_id="operator", login="operator", name="", contact="")

    def leave(self, token: str) -> None:
        """End a login."""
        self._logins.pop(_digest(token), None)

    def look(self) -> None:
        """End every login that began with another password than the present one."""
        try:
            stored = self._stored()
        except EdgegwError:
            stored = ""
        for token, (then, _) in list(self._logins.items()):
            if then != stored:
                del self._logins[token]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
