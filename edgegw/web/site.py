"""What pages know of the rest of the program: ports, and the settings of one web server.

Decides nothing. A page reads the station's present state, which is immutable, asks office and ledger, and places events.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo

from edgegw.common.clock import Clock
from edgegw.core.events import Event
from edgegw.core.state import Station
from edgegw.ports.receipts import ReceiptBook
from edgegw.ports.representative import LedgerView, Profile, Representative

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Where and as what pages are served. `names`: the host names under which they may be asked for, without ports."""

    host: str
    port: int
    names: tuple[str, ...]
    certificate: Path | None = None
    key_file: Path | None = None
    title: str = "edgegw"
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Seoul"))
    geohash: str = ""  # where this station stands, as coarse as its operator wants to be
    secret: bytes = field(default=b"", repr=False)  # for forms' tokens and screen codes
    time_simulated: bool = False
    bank_simulated: bool = False  # the exchange pays nothing, whatever time it is
    section: str = "web"  # the configuration's table, for faults
    presence_required: bool = False  # starting from a page needs the code of the charger's screen
    screens: tuple[str, ...] = (
        "127.0.0.1",
        "::1",
    )  # addresses of screens; with `presence_required` only they show codes

    @property
    def is_secure(self) -> bool:
        """Whether what is typed in is encrypted on its way."""
        return self.certificate is not None

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the pages."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every page of one server may use."""

    settings: WebSettings
    clock: Clock
    representative: Representative
    ledger: LedgerView
    log: Callable[..., None]
    hash_token: Callable[[str], str]  # of an idToken, with the station's key: `common.pseudonyms.hash_token`
    station: Callable[[], Station] | None = None  # None: a representative's own pages, without a station
    place: Callable[[Event], None] | None = None
    receipts: ReceiptBook | None = None  # None: there is no station whose journal could tell
    login_cookie: str = "login"
    who: Callable[[str], Awaitable[Profile | None]] | None = None  # whose a login is; None: the office knows
