"""The driver's pages: find a charger, buy, sell, see, be paid.

The map, at the charger: `home` the station's first page · `evse` a charging point and what runs there (`points` for
everybody, `running` for its driver) · `orders` from a wish to an order (`order_forms`, `order_quote`, `order_words`) ·
`prices` of now and of the day · `kiosk` screen, label and the way in from their codes (`presence`).
A member's own: `login` in and out · `signup` who is new · `profile`, `preferences`, `cards` what a
member changes · `leaving` what is kept, and its end · `account` tokens and energy · `history` historyAPI · `receipts`
sessions, their trades and the check of their blocks · `exchange` tokens and won · `stations` the nearest ones · `notices`
what the operator tells · `words` codes in words.
Decides what a driver sees and may ask for; never what energy costs.
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
    """Everything about a member's account, and the search for stations."""
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
    """What members' pages without a station have: login, sign-up as one of `kind`, profile, history, exchange.

    Of drivers the account too, which is then the first page; other members have one of their own.
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
