"""The three order forms: their fields, limits and defaults, and the order that a form describes.

Never decides whether the station accepts the order (`core.order_intake`) or what it costs.
"""

import base64
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from edgegw.common.member_terms import MemberTerms
from edgegw.core.orders import SALE_WH_MIN, Aim, Order
from edgegw.core.state import EvseSettings
from edgegw.ports.representative import Defaults, Language, Profile
from edgegw.web import formats
from edgegw.web.driver.order_messages import flaw_words
from edgegw.web.formats import Flaw, Limits
from edgegw.web.forms import Form
from edgegw.web.pages import Word
from edgegw.web.site import Site

SALE_LIMITS = Limits(minimum=SALE_WH_MIN, maximum=100_000)
BATTERY_LIMITS = Limits(minimum=5_000, maximum=300_000)
PRICE_LIMITS = Limits(minimum=0, maximum=2_000_000)
NONCE = "order"
_NONCE_BYTES = 16
_ID_BYTES = 16
_TOKEN_BYTES = 12  # 96 bits: 20 characters with the "W" in front, the longest idTag of OCPP 1.6
MINUTES = 60

FIELDS: Final[Mapping[Aim, tuple[str, ...]]] = {
    Aim.CHARGE: ("kwh", "price_max"),
    Aim.SELL: ("kwh", "soc_min", "soc_wanted", "ready_by", "price_min", "battery", "soc_told"),
    Aim.WORK: ("soc_min", "soc_wanted", "ready_by", "price_min", "price_max", "battery", "soc_told"),
}
RETAIL = "accept_retail"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A valid form: the order in the station's units, and the defaults to store for the next form."""

    order: Order
    defaults: Defaults
    nonce: str
    typed: Mapping[str, str]  # hidden fields of the quote, for the confirmation


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderContext:
    """Member, aim and EVSE of an order form."""

    site: Site
    profile: Profile
    evse: EvseSettings
    aim: Aim
    word: Word
    language: Language


def shown(aim: Aim, defaults: Defaults) -> Form:
    """Return the form filled in with the driver's defaults."""
    kwh_wh = defaults.charge_wh if aim is Aim.CHARGE else defaults.sale_wh
    values = {
        "kwh": formats.decimal(kwh_wh, scale=3),
        "soc_min": formats.decimal(defaults.soc_bp_min, scale=2),
        "soc_wanted": formats.decimal(defaults.soc_bp_wanted, scale=2),
        "ready_by": f"{defaults.ready_by_min // MINUTES:02}:{defaults.ready_by_min % MINUTES:02}",
        "price_min": _bare(defaults.price_mtok_per_kwh_min),
        "price_max": _bare(defaults.price_mtok_per_kwh_max),
        "battery": formats.decimal(defaults.battery_wh, scale=3),
        "soc_told": "",
    }
    kept = {name: values[name] for name in FIELDS[aim]}
    return Form(values=kept | ({RETAIL: "1"} if defaults.accept_retail else {}))


def _bare(price_mtok_per_kwh: int) -> str:
    return formats.decimal(price_mtok_per_kwh, scale=3).replace(",", "")


def read(form: Form, context: OrderContext) -> OrderRequest | Form:
    """Return the order that a form describes, or the form with its error messages."""
    parsed: dict[str, int] = {}
    faults: dict[str, str] = {}
    for name in FIELDS[context.aim]:
        text = form.text(name)
        if name == "soc_told" and not text:
            continue
        value = _parsers(context)[name](text)
        if isinstance(value, Flaw):
            faults[name] = flaw_words(context.word, value, **_example(name, context.word))
        else:
            parsed[name] = value
    if not faults and parsed.get("soc_wanted", 10_000) < parsed.get("soc_min", 0):
        faults["soc_wanted"] = context.word("This is below your lowest state of charge.")
    if faults:
        return form.faulty(**faults)
    return _wish(form, parsed, context)


def _parsers(context: OrderContext) -> Mapping[str, Callable[[str], int | Flaw]]:
    clock, zone = context.site.clock, context.site.settings.time_zone
    kwh_limits = formats.KWH_WH if context.aim is Aim.CHARGE else SALE_LIMITS
    return {
        "kwh": lambda text: formats.parse_kwh(text, kwh_limits),
        "soc_min": formats.parse_percent,
        "soc_wanted": formats.parse_percent,
        "soc_told": formats.parse_percent,
        "ready_by": lambda text: formats.parse_time(text, now_ns=clock.now_ns(), zone=zone),
        "price_min": lambda text: formats.parse_price(text, PRICE_LIMITS),
        "price_max": lambda text: formats.parse_price(text, PRICE_LIMITS),
        "battery": lambda text: formats.parse_kwh(text, BATTERY_LIMITS),
    }


def _example(name: str, word: Word) -> dict[str, str]:
    """Return unit and example of a field, for its error message."""
    percent = word("a percentage")
    price = word("tokens per kWh")
    return {
        "kwh": {"unit": "kWh", "example": "5.5"},
        "battery": {"unit": "kWh", "example": "77.4"},
        "soc_min": {"unit": percent, "example": "40"},
        "soc_wanted": {"unit": percent, "example": "80"},
        "soc_told": {"unit": percent, "example": "55"},
        "ready_by": {"unit": "", "example": "07:30"},
        "price_min": {"unit": price, "example": "140"},
        "price_max": {"unit": price, "example": "400"},
    }[name]


def _wish(form: Form, parsed: Mapping[str, int], context: OrderContext) -> OrderRequest:
    old, aim = context.profile.defaults, context.aim
    ready_ns = parsed.get("ready_by")
    defaults = replace(
        old,
        battery_wh=parsed.get("battery", old.battery_wh),
        soc_bp_min=parsed.get("soc_min", old.soc_bp_min),
        soc_bp_wanted=parsed.get("soc_wanted", old.soc_bp_wanted),
        ready_by_min=old.ready_by_min if ready_ns is None else _minutes(ready_ns, context.site),
        price_mtok_per_kwh_min=parsed.get("price_min", old.price_mtok_per_kwh_min),
        price_mtok_per_kwh_max=parsed.get("price_max", old.price_mtok_per_kwh_max),
        accept_retail=form.text(RETAIL) == "1",
        charge_wh=parsed["kwh"] if aim is Aim.CHARGE else old.charge_wh,
        sale_wh=parsed["kwh"] if aim is Aim.SELL else old.sale_wh,
    )
    nonce = form.text(NONCE, 32) or secrets.token_hex(_NONCE_BYTES)
    order = Order(
        order_id=_order_id(context, nonce),
        evse_id=context.evse.evse_id,
        id_token_hash="",
        terms=_terms(context, defaults),
        aim=aim,
        energy_wh=parsed.get("kwh"),
        departure_ns=ready_ns,
        soc_bp_wanted=parsed.get("soc_wanted"),
        soc_bp_told=parsed.get("soc_told"),
        placed_ns=context.site.clock.now_ns(),
    )
    typed = {name: form.text(name) for name in FIELDS[aim]} | (
        {RETAIL: "1"} if defaults.accept_retail else {}
    )
    return OrderRequest(order=order, defaults=defaults, nonce=nonce, typed=typed)


def _terms(context: OrderContext, defaults: Defaults) -> MemberTerms:
    return MemberTerms(
        member_id=context.profile.member_id,
        accept_retail=defaults.accept_retail,
        price_mtok_per_kwh_max=defaults.price_mtok_per_kwh_max,
        sells=context.aim is not Aim.CHARGE and context.evse.discharge_w > 0,
        price_mtok_per_kwh_min=defaults.price_mtok_per_kwh_min,
        soc_bp_min=defaults.soc_bp_min,
        battery_wh=defaults.battery_wh,
    )


def _minutes(at_ns: int, site: Site) -> int:
    at = formats.local(at_ns, site.settings.time_zone)
    return at.hour * MINUTES + at.minute


def _order_id(context: OrderContext, nonce: str) -> str:
    """Return the id of an order: equal for a repeated form of the same member and EVSE, and not guessable by others."""
    told = f"order\x00{context.profile.member_id}\x00{context.evse.evse_id}\x00{context.aim.value}\x00{nonce}"
    return _letters(hmac.digest(context.site.settings.secret, told.encode(), "sha256")[:_ID_BYTES]).lower()


def with_token(order: Order, site: Site) -> tuple[Order, str]:
    """Return the order with the hash of a fresh idToken, and that idToken in clear."""
    token = f"W{_letters(secrets.token_bytes(_TOKEN_BYTES))[:19]}"
    return replace(order, id_token_hash=site.hash_token(token)), token


def _letters(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=")
