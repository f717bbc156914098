"""Text for codes of an order: why it was refused, and what to enter instead.

Decides the words only; a code without a text is shown as it is, so that nothing is hidden.
"""

from edgegw.ports.representative import Language
from edgegw.web.formats import Flaw, FlawCode, Limits, decimal, tokens
from edgegw.web.pages import Word

HUNDRED_MTOK = 100_000


def refusal_words(word: Word, code: str) -> str:
    """Return a refusal in words; each code of `core.orders.REFUSALS` has a text."""
    return {
        "NO_ENERGY": word("Enter the energy to charge or to sell."),
        "ENERGY_TOO_SMALL": word("A sale is at least 0.5 kWh."),
        "NO_DEPARTURE": word("Enter the departure time."),
        "DEPARTURE_PAST": word("The departure time has passed. Enter a later time."),
        "DEPARTURE_TOO_FAR": word(
            "The station plans at most 48 hours ahead. Enter an earlier departure time."
        ),
        "NO_BATTERY": word("Enter the battery capacity."),
        "NO_DISCHARGE": word("This charger cannot discharge a car. Choose another charger to sell."),
        "UNKNOWN_EVSE": word("This station has no such charger."),
        "CHARGER_OFFLINE": word("The station cannot reach this charger right now. A card may still work."),
        "OUT_OF_ORDER": word("This charger reports a fault. Use another charger."),
        "EVSE_BUSY": word("Another driver uses this charger."),
        "ORDER_OPEN": word("An order already waits at this charger."),
        "DISK_FULL": word("The station accepts no new sessions right now. Inform the operator."),
        "DRAINING": word("The station is about to restart. Try again in a few minutes."),
        "CHARGER_REFUSED": word(
            "The charger refuses to start. Check that the cable is plugged in, then order again."
        ),
        "NO_START": word("The charger did not start. Check that the cable is plugged in, then order again."),
        "EXPIRED": word("The ledger was unreachable, so no session started. Try again in a moment."),
        "STOPPED": word("You stopped the order."),
        "JOURNAL_RESTORED": word("The station was restored from a backup without this order. Order again."),
        "METER_TIMEOUT": word("The meter did not answer in time. You pay nothing. Order again."),
        "LEDGER_TIMEOUT": word("The ledger did not answer in time. You pay nothing. Order again."),
        "UNKNOWN_TOKEN": word(
            "The charger started with another id token than that of this order. Order again."
        ),
        "LEFT_EARLY": word("The cable was unplugged before the session started. Order again."),
        "INSUFFICIENT_TOKENS": word("You do not have enough tokens for this. Buy tokens first."),
        "ZERO_TOKENS": word("You have no tokens. Buy tokens first."),
    }.get(code, word("The station refused the order (%(code)s).") % {"code": code})


def flaw_words(word: Word, flaw: Flaw, *, unit: str, example: str) -> str:
    """Return what to enter instead: "Enter kWh between 1 and 100, e.g. 5.5"."""
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
    """Return a remark on a quote in words: what is uncertain."""
    told = {
        "NO_PRICE": word(
            "No acceptable price is known yet for part of the energy: the order may take longer "
            "or deliver less."
        ),
        "NO_SOC": word(
            "The car has not reported its state of charge yet. You can charge without it; a sale "
            "starts only when the car reports it, whatever you enter."
        ),
        "SOC_NOT_REACHED": word(
            "The wanted state of charge is not reachable by then; the plan comes as close as possible."
        ),
        "NOTHING_TO_SELL": word("Nothing would be sold at the known prices and state of charge."),
    }
    return told.get(remark, remark)


def about_tokens(amount_mtok: int, language: Language) -> str:
    """Format an estimated amount: whole tokens from 100 on, tenths below."""
    return tokens(amount_mtok, language, places=1 if abs(amount_mtok) < HUNDRED_MTOK else 0)


def about_percent(share_bp: int) -> str:
    """Format a state of charge in whole percent."""
    return f"{decimal(share_bp, scale=2, places=0)}%"
