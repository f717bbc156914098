"""What a driver reads where an order has codes: why it was refused, and what to enter instead.

Decides words alone; a code without words is told as itself, so that nothing is hidden.
"""

from edgegw.ports.representative import Language
from edgegw.web.formats import Flaw, FlawCode, Limits, decimal, tokens
from edgegw.web.pages import Word

HUNDRED_MTOK = 100_000


def refusal_words(word: Word, code: str) -> str:
    """Why something was refused; each code of `core.orders.REFUSALS` has words."""
    return {
        "NO_ENERGY": word("Enter how much energy you want."),
        "ENERGY_TOO_SMALL": word("A sale is at least 0.5 kWh."),
        "NO_DEPARTURE": word("Enter when the car must be ready."),
        "DEPARTURE_PAST": word("The time at which the car must be ready is over."),
        "DEPARTURE_TOO_FAR": word("The station plans at most 48 hours ahead."),
        "NO_BATTERY": word("Enter the size of your battery."),
        "NO_DISCHARGE": word("This charging point cannot take energy out of a car."),
        "UNKNOWN_EVSE": word("This station has no such charging point."),
        "CHARGER_OFFLINE": word(
            "The station cannot reach this charging point right now. A card may still work."
        ),
        "OUT_OF_ORDER": word("This charging point reports a fault. Please use another one."),
        "EVSE_BUSY": word("Somebody else is using this charging point."),
        "ORDER_OPEN": word("An order is already waiting at this charging point."),
        "DISK_FULL": word("The station takes no new sessions right now. Please tell the operator."),
        "DRAINING": word("The station is about to restart. Please try again in a few minutes."),
        "CHARGER_REFUSED": word(
            "The charger refused the start. Check that the cable is plugged in, then order again."
        ),
        "NO_START": word("The charger did not start. Check that the cable is plugged in, then order again."),
        "EXPIRED": word(
            "The ledger could not be reached in time, so nothing was started. Try again in a moment."
        ),
        "STOPPED": word("You stopped it."),
        "JOURNAL_RESTORED": word(
            "The station was restored from a backup, and this order was not in it any more."
        ),
        "METER_TIMEOUT": word("The meter did not answer in time. Nothing was charged."),
        "LEDGER_TIMEOUT": word("The ledger did not answer in time. Nothing was charged."),
        "UNKNOWN_TOKEN": word("The charger started with another identification than the one of this order."),
        "LEFT_EARLY": word("The cable was pulled before anything could start."),
        "INSUFFICIENT_TOKENS": word("You have too few tokens for this."),
        "ZERO_TOKENS": word("You have no tokens."),
    }.get(code, word("The station refused this (%(code)s).") % {"code": code})


def flaw_words(word: Word, flaw: Flaw, *, unit: str, example: str) -> str:
    """What to enter instead: "Enter kWh between 1 and 100, e.g. 5.5"."""
    limits = flaw.limits
    if flaw.code is FlawCode.NOT_A_TIME or limits is None:
        return word("Enter a time of day, e.g. %(example)s") % {"example": example}
    told = {"unit": unit, "example": example, **_bounds(limits, flaw.places)}
    return word("Enter %(unit)s between %(low)s and %(high)s, e.g. %(example)s") % told


def _bounds(limits: Limits, places: int) -> dict[str, str]:
    return {
        "low": decimal(limits.minimum, scale=places),
        "high": decimal(limits.maximum, scale=places),
    }


def remark_words(word: Word, remark: str) -> str:
    """What is uncertain of a quote."""
    told = {
        "NO_PRICE": word(
            "Not for all of it a price is known that you would accept: it may take longer or become less."
        ),
        "NO_SOC": word(
            "The car has not told its state of charge yet. Charging works without; a sale begins only when the car "
            "tells it, whatever you type in."
        ),
        "SOC_NOT_REACHED": word(
            "The percentage you want cannot be reached by then; the plan comes as near as it can."
        ),
        "NOTHING_TO_SELL": word("At the prices and the state of charge known now nothing would be sold."),
    }
    return told.get(remark, remark)


def about_tokens(amount_mtok: int, language: Language) -> str:
    """An amount that is looked at, not settled: whole tokens from a hundred on, tenths below."""
    return tokens(amount_mtok, language, places=1 if abs(amount_mtok) < HUNDRED_MTOK else 0)


def about_percent(share_bp: int) -> str:
    """A state of charge as a car shows it: whole percent."""
    return f"{decimal(share_bp, scale=2, places=0)}%"
