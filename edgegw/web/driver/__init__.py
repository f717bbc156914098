"""The driver's pages: stations, prices, orders, sessions, receipts and the account.

The map, at the charger: `home` first page of the station · `evse` page of an EVSE (`evse_labels` its state for everybody,
`session_view` a session for its driver) · `orders` form, quote and confirmation of an order (`order_forms`, `order_quote`,
`order_messages`) · `prices` of now and of the day · `kiosk` screen and label of an EVSE (`screen_codes` proof of presence).
Of a member: `login` login and logout · `signup` sign-up · `profile`, `preferences`, `cards` what a member may change ·
`leaving` data export and end of a membership · `account` balance · `history` historyAPI · `receipts` sessions, their trades
and the recomputation of their blocks · `exchange` tokens and won · `stations` the nearest stations · `notices` notices of the
operator · `code_messages` codes in words.
Decides what a driver sees and may order; never what energy costs.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.ports.representative import Kind
from edgegw.web.application import Area, page
from edgegw.web.driver import (
    account,
    cards,
    exchange,
    history,
    leaving,
    login,
    notices,
    profile,
    receipts,
    signup,
    stations,
)
from edgegw.web.pages import Pages, see_other
from edgegw.web.visitor_login import form_throttle


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """Return the routes of the member's pages and of the search for stations."""
    throttle = form_throttle()
    return [
        *login.routes(pages, throttle),
        *signup.routes(pages, throttle),
        *profile.routes(pages, throttle),
        *leaving.routes(pages, throttle),
        *(
            route
            for one in (account, cards, exchange, history, notices, receipts, stations)
            for route in one.routes(pages)
        ),
    ]


def shared(kind: Kind) -> Area:
    """Return the area of members' pages without a station: login, sign-up as `kind`, profile, history, exchange.

    Drivers get the account too, as their first page; other members have a first page of their own.
    """
    is_driver = kind == "EV"
    start = login.HOME if is_driver else "/"

    async def first(_request: Request) -> Response:
        return see_other(start)

    def common(pages: Pages) -> Sequence[BaseRoute]:
        throttle = form_throttle()
        return [
            *login.routes(pages, throttle, home=start),
            *signup.routes(pages, throttle, home=start, kind=kind),
            *profile.routes(pages, throttle),
            *leaving.routes(pages, throttle),
            *(route for one in (exchange, history, notices) for route in one.routes(pages)),
            *([page("/", first), *account.routes(pages)] if is_driver else ()),
        ]

    return common
