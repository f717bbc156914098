"""Defaults of a driver's order forms: battery, states of charge, departure time, price limits.

Decides limits and their messages. The representative stores them; a linked card starts a session on these terms.
"""

from collections.abc import Mapping
from dataclasses import replace

from edgegw.common.member_terms import MemberTerms
from edgegw.ports.representative import Defaults
from edgegw.web import formats
from edgegw.web.formats import Flaw, Limits
from edgegw.web.forms import Form
from edgegw.web.pages import Word

BATTERY_WH = Limits(minimum=5_000, maximum=300_000)
SOC_BP = Limits(minimum=0, maximum=10_000)
WANTED_BP = Limits(minimum=1_000, maximum=10_000)
PRICE = Limits(minimum=1_000, maximum=2_000_000)
_ORDER = "order"


def texts_of(defaults: Defaults) -> Mapping[str, str]:
    """Return the form fields of the defaults by name."""
    return {
        "battery": _plain(defaults.battery_wh, 3),
        "soc_min": _plain(defaults.soc_bp_min, 2),
        "soc_wanted": _plain(defaults.soc_bp_wanted, 2),
        "ready_by": f"{defaults.ready_by_min // 60:02}:{defaults.ready_by_min % 60:02}",
        "price_min": _plain(defaults.price_mtok_per_kwh_min, 3),
        "price_max": _plain(defaults.price_mtok_per_kwh_max, 3),
    }


def filled_in(form: Form, before: Defaults) -> Defaults | Mapping[str, str]:
    """Return the defaults that a form describes, or a fault key for each invalid field (`faults_of` words them)."""
    raw = {name: form.values.get(name, "") for name in texts_of(before)}
    read: dict[str, int | Flaw] = {
        "battery": formats.parse_kwh(raw["battery"], BATTERY_WH),
        "soc_min": formats.parse_percent(raw["soc_min"], SOC_BP),
        "soc_wanted": formats.parse_percent(raw["soc_wanted"], WANTED_BP),
        "ready_by": _minutes(raw["ready_by"]),
        "price_min": formats.parse_price(raw["price_min"], PRICE),
        "price_max": formats.parse_price(raw["price_max"], PRICE),
    }
    faults = {name: str(value.code) for name, value in read.items() if isinstance(value, Flaw)}
    values = {name: value for name, value in read.items() if isinstance(value, int)}
    if "soc_min" in values and "soc_wanted" in values and values["soc_min"] > values["soc_wanted"]:
        faults["soc_wanted"] = _ORDER
    if faults:
        return faults
    return replace(
        before,
        battery_wh=values["battery"],
        soc_bp_min=values["soc_min"],
        soc_bp_wanted=values["soc_wanted"],
        ready_by_min=values["ready_by"],
        price_mtok_per_kwh_min=values["price_min"],
        price_mtok_per_kwh_max=values["price_max"],
        accept_retail=form.values.get("accept_retail") == "1",
    )


def faults_of(faults: Mapping[str, str], word: Word) -> dict[str, str]:
    """Return the error message of each invalid field."""
    texts = {
        "battery": word("Enter kWh between 5 and 300, for example 64.8."),
        "soc_min": word("Enter a percentage between 0 and 100, for example 40."),
        "soc_wanted": word("Enter a percentage between 10 and 100, for example 80."),
        "ready_by": word("Enter a time of day, for example 07:30."),
        "price_min": word("Enter tokens per kWh between 1 and 2,000, for example 140.5."),
        "price_max": word("Enter tokens per kWh between 1 and 2,000, for example 140.5."),
    }
    order = word("This is below your lowest state of charge.")
    return {name: order if fault == _ORDER else texts[name] for name, fault in faults.items()}


def terms_of(member_id: str, defaults: Defaults, *, sells: bool) -> MemberTerms:
    """Return the terms on which a card starts a session; `sells`: the card may sell."""
    return MemberTerms(
        member_id=member_id,
        accept_retail=defaults.accept_retail,
        price_mtok_per_kwh_max=defaults.price_mtok_per_kwh_max,
        sells=sells,
        price_mtok_per_kwh_min=defaults.price_mtok_per_kwh_min,
        soc_bp_min=defaults.soc_bp_min,
        battery_wh=defaults.battery_wh,
    )


def _minutes(text: str) -> int | Flaw:
    """Parse the minutes of the day of an entry such as 07:30; browsers may append seconds."""
    bare = text.strip()
    hours, _, minutes = (bare.removesuffix(":00") if bare.count(":") == 2 else bare).partition(":")
    is_time = all(one.isascii() and one.isdecimal() and len(one) <= 2 for one in (hours, minutes))
    if not is_time or len(minutes) != 2 or int(hours) > 23 or int(minutes) > 59:
        return Flaw(code=formats.FlawCode.NOT_A_TIME)
    return 60 * int(hours) + int(minutes)


def _plain(value: int, scale: int) -> str:
    """Format a quantity for an input field: without separators."""
    return formats.decimal(value, scale=scale).replace(",", "")
