"""Serves the daemon's pages: the drivers' and the operator's, each at its own address.

Decides the settings of each server from the configuration. Pages never end the daemon: a taken port, an invalid certificate
or a missing password is logged (`web.failed`), and the other parts continue.
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
    """Return the settings of the drivers' pages, or None where they are not served.

    Raises ConfigError where the station's key cannot be read.
    """
    web = config.web
    if web is None:
        return None
    host_name = web.public_host or public_host(config.ocpp)
    return _settings(config, web, section="web", host_name=host_name)


def operator_settings(config: Config) -> WebSettings | None:
    """Return the settings of the operator's pages, or None where they are not served. Raises ConfigError."""
    operator = config.operator
    if operator is None:
        return None
    host_name = operator.host if operator.host not in ANYWHERE else public_host(config.ocpp)
    return _settings(config, operator, section="operator", host_name=host_name)


def origins(config: Config) -> Iterator[tuple[str, str]]:
    """Yield the audience and the origin of each page server, as configured, whether it runs now or not."""
    for name, settings in (("drivers", web_settings(config)), ("operator", operator_settings(config))):
        if settings is not None:
            yield name, f"{'https' if settings.is_secure else 'http'}://{settings.names[0]}:{settings.port}"


def _settings(config: Config, served: ServedConfig, *, section: str, host_name: str) -> WebSettings:
    web = served if isinstance(served, WebConfig) else config.web or WebConfig()
    return settings_of(
        served,
        web,
        section=section,
        host_name=host_name,
        key=read_secret(config.station.key_file),
        title=config.station.id,
        bank_simulated=config.exchange is not None or config.sandbox is not None,  # there is no other bank
    )


def driver_areas(live_updates: LiveUpdates) -> Mapping[str, Area]:
    """Return the areas of a station's drivers' pages by name; `live_updates` renders their changing parts."""
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
    """Open the drivers' and the operator's servers; one without a table in the configuration is not served."""
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
    """Return the operator's logins; without a password yet, the login page shows how to set one."""
    return OperatorLogins(partial(read_password, operator.password_file))


def operator_application(
    site: Callable[..., Site], operator_port: OperatorPort, door: OperatorLogins
) -> ASGIApp:
    """Return the operator's application, with a cookie and logins of its own."""
    own = site(login_cookie=COOKIE, who=door.who)
    return application(
        own,
        {"operator": operator_area(operator_port, door)},
        instead={"refused.html": "operator/refused.html"},
    )
