"""A session or order at an EVSE as its own driver sees it: power, energy, tokens, what comes next.

Decides words and units; the figures are the core's. Never shows another member's session.
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from edgegw.common.units import SECOND_NS
from edgegw.core.evse_status import EvseActivity as Standing
from edgegw.core.evse_status import EvseStatus, live
from edgegw.core.forecast import Expected
from edgegw.core.orders import OPEN, Aim, Order, OrderState
from edgegw.core.state import Station
from edgegw.ports.representative import Language
from edgegw.web import formats
from edgegw.web.driver.order_messages import about_percent, about_tokens, refusal_words
from edgegw.web.pages import Word
from edgegw.web.site import Site

SHOWN_NS: Final = 12 * 3600 * SECOND_NS  # how long the result of an order is shown
ICONS: Final = {"in": "↓", "out": "↑", "rest": "‖"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Figures of a running session."""

    direction: str  # "in", "out" or "rest": a class
    icon: str
    words: str
    power: str
    soc: str
    energy_in: str
    energy_out: str
    paid: str
    earned: str
    next_buy: str
    next_sell: str
    next_from: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of the viewer's order or session."""

    stage: str  # "asked", "running", "ending", "done" or "refused": a class
    title: str
    text: str
    facts: tuple[tuple[str, str], ...] = field(default=())
    flow: Flow | None = None
    receipt: str = ""  # address of its page


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """The station's state and the formatters of one viewer."""

    site: Site
    here: EvseStatus
    now_ns: int
    word: Word
    language: Language


def progress_of(
    site: Site, evse_id: str, viewer: str | None, *, word: Word, language: Language
) -> Progress | None:
    """Return what the viewer may see; None if the viewer has, and recently had, no session or order here."""
    assert site.station is not None
    if viewer is None:
        return None
    station, now_ns = site.station(), site.clock.now_ns()
    here = live(station, evse_id, now_ns)
    if here.member_id == viewer:
        reader = _Reader(site=site, here=here, now_ns=now_ns, word=word, language=language)
        return _asked(word) if here.session_id is None else _running(reader)
    last = _last(station, evse_id, viewer)
    return None if last is None or now_ns - last.placed_ns > SHOWN_NS else _ended(word, last)


def concerns(station: Station, evse_id: str, *, member_id: str, now_ns: int) -> bool:
    """Return whether the member has, or recently had, a session or order at an EVSE."""
    return (
        live(station, evse_id, now_ns).member_id == member_id
        or _last(station, evse_id, member_id) is not None
    )


def _last(station: Station, evse_id: str, viewer: str) -> Order | None:
    """Return the viewer's newest order at an EVSE that has ended; None if there is none."""
    own = [
        order
        for order in station.orders.values()
        if (order.evse_id, order.terms.member_id) == (evse_id, viewer) and order.state not in OPEN
    ]
    return max(own, key=lambda order: (order.placed_ns, order.order_id), default=None)


def _asked(word: Word) -> Progress:
    return Progress(
        stage="asked",
        title=word("Waiting for the charger"),
        text=word(
            "Your order is placed. Plug in the cable now if it is not plugged in; the charger "
            "starts automatically."
        ),
    )


def _ended(word: Word, order: Order) -> Progress:
    if order.state is OrderState.REFUSED:
        return Progress(stage="refused", title=word("Not started"), text=refusal_words(word, order.code))
    if order.session_id is None:
        return Progress(
            stage="done", title=word("Done"), text=word("You stopped the order before the session started.")
        )
    text = word(
        "Your session has ended. The receipt is complete when the ledger has committed the last trades."
    )
    if order.code == "STOPPED":
        text = word(
            "You stopped the session. The receipt is complete when the ledger has committed the last trades."
        )
    receipt = f"/receipts/{quote(order.session_id)}"
    return Progress(stage="done", title=word("Done"), text=text, receipt=receipt)


def _running(reader: _Reader) -> Progress:
    word, here = reader.word, reader.here
    stages = {Standing.STARTING: "asked", Standing.FINISHING: "ending", Standing.OFFLINE: "offline"}
    texts = {
        Standing.STARTING: word("The station takes the first meter reading and holds your tokens."),
        Standing.FINISHING: word("The order is complete or stopped. You can unplug in a moment."),
        Standing.OFFLINE: word(
            "The station cannot reach the charger right now. The meter still measures the energy."
        ),
        Standing.PAUSED_BY_CAR: word("Your car has paused charging."),
        Standing.RESTING: word("The session waits for a price, a buyer or its plan."),
    }
    titles = {
        Standing.STARTING: word("Starting"),
        Standing.FINISHING: word("Ending"),
        Standing.OFFLINE: word("Not connected"),
    }
    return Progress(
        stage=stages.get(here.word, "running"),
        title=titles.get(here.word) or _title(word, here.order),
        text=texts.get(here.word, ""),
        facts=() if here.order is None else _facts(reader, here.order),
        flow=_flow(reader),
    )


def _title(word: Word, order: Order | None) -> str:
    if order is None:
        return word("Your session")
    return {
        Aim.CHARGE: word("Charging order"),
        Aim.SELL: word("Sale"),
        Aim.WORK: word("Automatic charging and selling"),
    }[order.aim]


def _facts(reader: _Reader, order: Order) -> tuple[tuple[str, str], ...]:
    """Return the ordered quantities as (name, value) pairs."""
    word, rows = reader.word, []
    if order.energy_wh is not None:
        rows.append((word("Ordered"), formats.kwh(order.energy_wh)))
    if order.departure_ns is not None:
        at = formats.moment(
            order.departure_ns,
            now_ns=reader.now_ns,
            zone=reader.site.settings.time_zone,
            language=reader.language,
        )
        rows.append((word("Ready by"), at))
    if order.soc_bp_wanted is not None:
        rows.append((word("Battery at the end"), formats.percent(order.soc_bp_wanted)))
    if order.aim is not Aim.CHARGE:
        rows.append((word("Lowest state of charge"), formats.percent(order.terms.soc_bp_min)))
    return tuple(rows)


def _flow(reader: _Reader) -> Flow:
    word, here, zone = reader.word, reader.here, reader.site.settings.time_zone
    direction = {Standing.CHARGING: "in", Standing.SELLING: "out"}.get(here.word, "rest")
    words = {"in": word("Charging"), "out": word("Selling"), "rest": word("Waiting")}
    return Flow(
        direction=direction,
        icon=ICONS[direction],
        words=words[direction],
        power=formats.kilowatts(abs(here.power_w)),
        soc="" if here.soc_bp is None else about_percent(here.soc_bp),
        energy_in=formats.kwh(here.import_wh),
        energy_out=formats.kwh(here.export_wh),
        paid=_amount(reader, here.paid_mtok),
        earned=_amount(reader, here.earned_mtok),
        next_buy=_price(reader, here.next_buy),
        next_sell=_price(reader, here.next_sell),
        next_from=formats.clock(here.next_interval * SECOND_NS, zone),
        at=formats.clock(reader.now_ns, zone),
    )


def _amount(reader: _Reader, amount_mtok: int) -> str:
    return about_tokens(amount_mtok, reader.language)


def _price(reader: _Reader, expected: Expected | None) -> str:
    """Return an expected price and its certainty in words; "" if there is none within the driver's limits."""
    if expected is None:
        return ""
    kinds = {
        "market": reader.word("fixed"),
        "retail": reader.word("retail"),
        "estimate": reader.word("expected"),
    }
    return f"{formats.price(expected.mtok_per_kwh, reader.language)} ({kinds[expected.kind]})"
