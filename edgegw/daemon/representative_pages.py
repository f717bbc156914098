"""Serves the members' pages of a representative process, with market pages for producers and industrial members.

Decides which pages an organisation's members have, and the settings of their server. Drivers have their account pages here,
without those of a station. Pages never end the process (`page_servers`).
"""

from collections.abc import Mapping
from functools import partial

from starlette.types import ASGIApp

from edgegw.commissioning.addresses import public_host
from edgegw.common import pseudonyms
from edgegw.common.clock import StationClock
from edgegw.common.errors import ConfigError
from edgegw.config.schema import OcppConfig
from edgegw.daemon.page_servers import PageServers, settings_of
from edgegw.ops.logs import log_event
from edgegw.ports.representative import Kind, LedgerView, Representative
from edgegw.representative.settings import RepresentativeSettings
from edgegw.representative.standing_offers import OfferBook
from edgegw.web import driver
from edgegw.web.application import Area, application
from edgegw.web.market.area import INSTEAD, market_area
from edgegw.web.market.market_port import MarketPort
from edgegw.web.site import Site, WebSettings

KINDS: Mapping[str, Kind] = {"EVUserMSP": "EV", "ProducerMSP": "PRODUCER", "IndustryMSP": "INDUSTRY"}
"""The kind of member that each organisation signs up."""


def member_settings(
    settings: RepresentativeSettings, *, key: bytes, msp_id: str, clock: StationClock
) -> WebSettings | None:
    """Return the settings of the members' pages, or None where they are not served.

    The pages state where the time or the bank is simulated; there is no other bank.
    """
    web = settings.web
    if web is None:
        return None
    return settings_of(
        web,
        web,
        section="web",
        host_name=public_host(OcppConfig(host=web.host, public_host=web.public_host)),
        key=key,
        title=msp_id.removesuffix("MSP"),
        time_simulated=clock.mapping is not None,
        bank_simulated=settings.exchange is not None,
    )


def serve_members(
    settings: RepresentativeSettings,
    representative: Representative,
    ledger: LedgerView,
    *,
    clock: StationClock,
    key: bytes,
    msp_id: str,
    book: OfferBook | None,
) -> PageServers:
    """Open the members' server, if the configuration has its table. `key`: the organisation's secret."""
    served = PageServers()

    def for_members() -> tuple[ASGIApp, WebSettings] | None:
        page_settings = member_settings(settings, key=key, msp_id=msp_id, clock=clock)
        if page_settings is None:
            return None
        kind = KINDS.get(msp_id)
        if kind is None:
            raise ConfigError((f"web: {msp_id} has no members that sign up, so it has no pages",))
        site = Site(
            settings=page_settings,
            clock=clock,
            representative=representative,
            ledger=ledger,
            log=log_event,
            hash_token=partial(pseudonyms.hash_token, key),
        )
        shared: Mapping[str, Area] = {"account": driver.shared(kind)}
        if book is None:
            return application(site, shared), page_settings
        return market_application(site, book, shared=shared), page_settings

    served.open("members", for_members)
    return served


def market_application(site: Site, book: MarketPort, *, shared: Mapping[str, Area]) -> ASGIApp:
    """Return the pages of producers or industrial members; `shared`: the areas login, profile, history and exchange."""
    return application(site, {"market": market_area(book), **shared}, instead=INSTEAD)
