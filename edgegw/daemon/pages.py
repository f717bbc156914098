"""The daemon's pages: drivers' and the operator's, each on its own address, served beside everything else.

Decides what each server is told of the configuration. Pages never end a daemon: a taken port, a certificate that cannot be
used or a missing password is logged (`web.failed`) and the rest goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from starlette.types import ASGIApp

from edgegw.commissioning.addresses import ANYWHERE, public_host
from edgegw.config.schema import (
    Config,
    OperatorConfig,
    ServedConfig,
    WebConfig,
    read_password,
    read_secret,
)
from edgegw.daemon.operator_service import OperatorService
from edgegw.daemon.page_servers import PageServers, settings_of
from edgegw.daemon.running import Daemon
from edgegw.ops.logs import log_event
from edgegw.ports.receipts import ReceiptBook
from edgegw.ports.representative import LedgerView, Representative
from edgegw.web import driver
from edgegw.web.application import Area, application
from edgegw.web.driver import evse, home, kiosk, orders
from edgegw.web.live_updates import LiveUpdates
from edgegw.web.operator.area import COOKIE, operator_area
from edgegw.web.operator.login import OperatorLogins
from edgegw.web.operator.operator_port import OperatorPort
from edgegw.web.site import Site, WebSettings


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
    return settings_of(
        served,
        web,
        section=section,
        told=told,
        key=read_secret(config.station.key_file),
        title=config.station.id,
        bank_simulated=config.exchange is not None or config.sandbox is not None,  # there is no other bank
    )


def driver_areas(live_updates: LiveUpdates) -> Mapping[str, Area]:
    """The drivers' pages of a station, by name; `live_updates` draws what lives on them."""
    return {
        "home": home.routes,
        "evse": evse.area(live_updates),
        "orders": orders.routes,
        "kiosk": kiosk.routes,
        "account": driver.routes,
    }


def serve_pages(
    daemon: Daemon, representative: Representative, ledger: LedgerView, *, receipts: ReceiptBook
) -> PageServers:
    """The drivers' server and the operator's; what the configuration has no table for is not served."""
    served = PageServers()
    config = daemon.config
    site = partial(
        Site,
        clock=daemon.clock,
        representative=representative,
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
        settings = replace(settings, time_simulated=daemon.clock.mapping is not None)
        live_updates = LiveUpdates()
        served.beside["live updates"] = live_updates.run
        own = site(settings=settings, place=daemon.inbox.put)
        return application(own, driver_areas(live_updates)), settings

    def for_operator() -> tuple[ASGIApp, WebSettings] | None:
        settings = operator_settings(config)
        if settings is None or config.operator is None:
            return None
        door = door_of(config.operator)
        served.watch(door.look)
        operator_port = OperatorService(daemon, drivers_origin=lambda: served.origin("drivers"))
        return operator_application(partial(site, settings=settings), operator_port, door), settings

    served.open("drivers", for_drivers)
    served.open("operator", for_operator)
    daemon.pages = served
    return served


def door_of(operator: OperatorConfig) -> OperatorLogins:
    """The operator's door. Where there is no password yet, its login page says how to set one."""
    return OperatorLogins(partial(read_password, operator.password_file))


def operator_application(
    site: Callable[..., Site], operator_port: OperatorPort, door: OperatorLogins
) -> ASGIApp:
    """The operator's application: its own cookie, its own logins."""
    own = site(login_cookie=COOKIE, who=door.who)
    return application(
        own,
        {"operator": operator_area(operator_port, door)},
        instead={"refused.html": "operator/refused.html"},
    )
