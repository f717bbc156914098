"""The daemon's pages: drivers' and the operator's, each on its own address, served beside everything else.

Decides what each server is told of the configuration. Pages never end a daemon: a taken port, a certificate that cannot be
used or a missing password is logged (`web.failed`) and the rest goes on.
"""

import hmac
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from starlette.types import ASGIApp

from edgegw.commissioning.addresses import ANYWHERE, public_host, server_names
from edgegw.config import Config, OperatorConfig, ServedConfig, WebConfig, read_password, read_secret
from edgegw.daemon.operator_desk import OperatorDesk
from edgegw.daemon.running import Daemon
from edgegw.errors import EdgegwError
from edgegw.office import LedgerView, Office
from edgegw.ops.logs import log_event
from edgegw.receipts import ReceiptBook
from edgegw.web import driver
from edgegw.web.application import Area, application
from edgegw.web.driver import evse, home, kiosk, orders
from edgegw.web.market.area import INSTEAD, market_area
from edgegw.web.market.book import MarketBook
from edgegw.web.operator.area import COOKIE, operator_area
from edgegw.web.operator.desk import StationDesk
from edgegw.web.operator.login import Door
from edgegw.web.pulse import Pulse
from edgegw.web.server import WebServer
from edgegw.web.site import Site, WebSettings

Run = Coroutine[Any, Any, None]
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


def web_settings(config: Config) -> WebSettings | None:
    """Where drivers' pages are served; None: nowhere. Raises ConfigError where the station's key cannot be read."""
    web = config.web
    if web is None:
        return None
    told = web.public_host or public_host(config.ocpp)
    return _settings(config, web, section="web", told=told)


def operator_settings(config: Config) -> WebSettings | None:
    """Where the operator's pages are served; None: nowhere. Raises ConfigError."""
    operator = config.operator
    if operator is None:
        return None
    told = operator.host if operator.host not in ANYWHERE else public_host(config.ocpp)
    return _settings(config, operator, section="operator", told=told)


def origins(config: Config) -> Iterator[tuple[str, str]]:
    """How addresses of the pages begin, by whom they are for; as configured, whether they are served now or not."""
    for name, settings in (("drivers", web_settings(config)), ("operator", operator_settings(config))):
        if settings is not None:
            yield name, f"{'https' if settings.is_secure else 'http'}://{settings.names[0]}:{settings.port}"


def _settings(config: Config, served: ServedConfig, *, section: str, told: str) -> WebSettings:
    web = served if isinstance(served, WebConfig) else config.web or WebConfig()
    key = read_secret(config.station.key_file)
    return WebSettings(
        host=served.host,
        port=served.port,
        names=host_names(served, told),
        certificate=served.certificate,
        key_file=served.key_file,
        title=web.title or config.station.id,
        time_zone=ZoneInfo(web.time_zone),
        geohash=web.geohash,
        secret=hmac.digest(key, f"pages {section}".encode(), "sha256"),
        sandbox=config.sandbox is not None,
        presence_required=web.presence_required,
        screens=tuple(map(str, web.screens)),
        section=section,
    )


def host_names(served: ServedConfig, told: str) -> tuple[str, ...]:
    """Every name the pages may be asked for under, the told one first, as a Host header has them."""
    own = server_names(told, served.host) if served.host in ANYWHERE else [told, served.host]
    return tuple(dict.fromkeys([*map(_bracketed, (own[0], *served.names, *own[1:])), *LOCAL_NAMES]))


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


class Served:
    """Servers that could be opened, by name; `runs` are their coroutines. `look` is told of a reload."""

    def __init__(self) -> None:
        self.servers: dict[str, WebServer] = {}
        self.beside: dict[str, Callable[[], Run]] = {}
        self._looks: list[Callable[[], None]] = []

    def open(self, name: str, build: Callable[[], tuple[ASGIApp, WebSettings] | None]) -> None:
        """Open a server, or say why not; `build` gives None where nobody wants one."""
        try:
            built = build()
            if built is None:
                return
            server = WebServer(*built)
        except EdgegwError as fault:
            self._failed(fault)
            return
        self.servers[name] = server
        self._looks.append(server.reload)
        log_event("web.listening", {"pages": name, "origin": server.origin})

    def origin(self, name: str) -> str:
        """How a server's addresses begin; "": it is not served."""
        server = self.servers.get(name)
        return "" if server is None else server.origin

    def watch(self, look: Callable[[], None]) -> None:
        """Have `look` called at each reload."""
        self._looks.append(look)

    def look(self) -> None:
        """Read certificates and the password again; what cannot be used is logged, and the old one holds."""
        for look in self._looks:
            try:
                look()
            except EdgegwError as fault:
                self._failed(fault)

    def runs(self) -> dict[str, Run]:
        """What serves, to be run beside the daemon's other parts."""
        serving = {f"pages for {name}": self._run(server) for name, server in self.servers.items()}
        return serving | {name: run() for name, run in self.beside.items()}

    def close(self) -> None:
        """Take no connections any more, where nothing was run."""
        for server in self.servers.values():
            server.close()

    async def _run(self, server: WebServer) -> None:
        try:
            await server.run()
        except OSError as fault:
            self._failed(fault)

    @staticmethod
    def _failed(fault: Exception) -> None:
        hint = fault.hint if isinstance(fault, EdgegwError) else ""
        log_event("web.failed", {"reason": str(fault), "remedy": hint or "edgegw check"}, level="error")


def driver_areas(pulse: Pulse) -> Mapping[str, Area]:
    """The drivers' pages of a station, by name; `pulse` draws what lives on them."""
    return {
        "home": home.routes,
        "evse": evse.area(pulse),
        "orders": orders.routes,
        "kiosk": kiosk.routes,
        "account": driver.routes,
    }


def serve_pages(daemon: Daemon, office: Office, ledger: LedgerView, *, receipts: ReceiptBook) -> Served:
    """The drivers' server and the operator's; what the configuration has no table for is not served."""
    served = Served()
    config = daemon.config
    site = partial(
        Site,
        clock=daemon.clock,
        office=office,
        ledger=ledger,
        log=log_event,
        hash_token=daemon.hash_token,
        receipts=receipts,
        station=lambda: daemon.gateway.station,
    )

    def for_drivers() -> tuple[ASGIApp, WebSettings] | None:
        settings = web_settings(config)
        if settings is None:
            return None
        pulse = Pulse()
        served.beside["live updates"] = pulse.run
        own = site(settings=settings, place=daemon.inbox.put)
        return application(own, driver_areas(pulse)), settings

    def for_operator() -> tuple[ASGIApp, WebSettings] | None:
        settings = operator_settings(config)
        if settings is None or config.operator is None:
            return None
        door = door_of(config.operator)
        served.watch(door.look)
        desk = OperatorDesk(daemon, drivers_origin=lambda: served.origin("drivers"))
        return operator_application(partial(site, settings=settings), desk, door), settings

    served.open("drivers", for_drivers)
    served.open("operator", for_operator)
    daemon.pages = served
    return served


def market_application(site: Site, book: MarketBook, *, shared: Mapping[str, Area]) -> ASGIApp:
    """Producers' or industrial members' pages over their representative; `shared`: login, profile, history, exchange."""
    return application(site, {"market": market_area(book), **shared}, instead=INSTEAD)


def door_of(operator: OperatorConfig) -> Door:
    """The operator's door. Where there is no password yet, its login page says how to set one."""
    return Door(partial(read_password, operator.password_file))


def operator_application(site: Callable[..., Site], desk: StationDesk, door: Door) -> ASGIApp:
    """The operator's application: its own cookie, its own logins."""
    own = site(login_cookie=COOKIE, who=door.who)
    return application(
        own, {"operator": operator_area(desk, door)}, instead={"refused.html": "operator/refused.html"}
    )
