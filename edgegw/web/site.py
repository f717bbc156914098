"""What pages may use of the rest of the program: ports, and the settings of one web server.

Decides nothing. A page reads the station's immutable state, calls the representative and the ledger view, and posts events.
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
    """Address, names and options of one web server. `names`: host names accepted in the Host header, without ports."""

    host: str
    port: int
    names: tuple[str, ...]
    certificate: Path | None = None
    key_file: Path | None = None
    title: str = "edgegw"
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Seoul"))
    geohash: str = ""  # location of the station, as coarse as the operator chose
    secret: bytes = field(default=b"", repr=False)  # HMAC key of form tokens and screen codes
    time_simulated: bool = False
    bank_simulated: bool = False  # the exchange moves no real money
    section: str = "web"  # table of the configuration, for error messages
    presence_required: bool = False  # an order needs the code of the charger's screen
    screens: tuple[str, ...] = (
        "127.0.0.1",
        "::1",
    )  # addresses of the chargers' screens; with `presence_required` only these show codes

    @property
    def is_secure(self) -> bool:
        """Whether pages are served over TLS."""
        return self.certificate is not None

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the pages."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every page of one server may use. `place` posts an event to the core."""

    settings: WebSettings
    clock: Clock
    representative: Representative
    ledger: LedgerView
    log: Callable[..., None]
    hash_token: Callable[[str], str]  # keyed hash of an idToken: `common.pseudonyms.hash_token`
    station: Callable[[], Station] | None = None  # None: pages of a representative, without a station
    place: Callable[[Event], None] | None = None
    receipts: ReceiptBook | None = None  # None: there is no station with a journal
    login_cookie: str = "login"
    who: Callable[[str], Awaitable[Profile | None]] | None = (
        None  # the profile of a login token; None: `representative.who`
    )
