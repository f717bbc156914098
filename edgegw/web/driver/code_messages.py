"""Text for codes of representative, contract and ledger: refusals, reasons, types of entries, checks.

Decides the words only. A code without a text is shown as it is, so that nothing is hidden.
"""

from collections.abc import Mapping

from edgegw.ports.representative import Checked, RefusalCode, RefusedRequest
from edgegw.web.pages import Word


def refusal_text(refusal: RefusedRequest, word: Word) -> str:
    """Return a refusal of the representative in words."""
    return _refusals(word).get(refusal.code) or f"{word('The request failed.')} ({refusal.code})"


def _refusals(word: Word) -> Mapping[str, str]:
    busy = word(
        "Your account still has a running session, held tokens, a balance or an open offer. "
        "End them, exchange your tokens for won, then try again."
    )
    taken = word(
        "An account with this login name and contact cannot be opened. If you have an "
        "account, log in; otherwise choose another login name."
    )
    return {
        RefusalCode.WRONG_LOGIN: word("Login name and password do not match."),
        RefusalCode.TOO_MANY_TRIES: word("Too many attempts. Wait one minute, then try again."),
        RefusalCode.LOGIN_TAKEN: taken,
        RefusalCode.DUPLICATE_MEMBER: taken,
        RefusalCode.WEAK_PASSWORD: word(
            "Enter a stronger password: at least 10 characters, without your login name."
        ),
        RefusalCode.UNKNOWN_MEMBER: word("This account no longer exists."),
        RefusalCode.VERSION_MISMATCH: word(
            "Your profile changed elsewhere in the meantime. Check it, then try again."
        ),
        RefusalCode.CARD_TAKEN: word("This card is linked to another account."),
        RefusalCode.UNKNOWN_CARD: word("This card is not linked to your account."),
        RefusalCode.STILL_BUSY: busy,
        RefusalCode.ZERO_TOKENS: word("You have no tokens. Buy tokens first."),
        RefusalCode.INSUFFICIENT_TOKENS: word("You do not have enough available tokens."),
        RefusalCode.QUOTE_EXPIRED: word("This quote has expired. Request a new quote."),
        RefusalCode.OUT_OF_LIMITS: word("This number of tokens is outside the limits of the exchange desk."),
        RefusalCode.NO_DESK: word("Your organisation has no exchange desk right now."),
        RefusalCode.DECLINED: word("The bank declined the payment. Nothing was exchanged."),
        RefusalCode.PENDING: word("The exchange is not complete yet. Check again in a moment."),
        RefusalCode.NOT_YOURS: word("This quote is unknown. Request a new quote."),
    }


def reason_text(reason: str | None, word: Word) -> str:
    """Return in words why energy was sold at retail and not from the market."""
    return {
        "PRICE_NOT_FIXED": word("No market price was fixed for this quarter hour."),
        "PRICE_WINDOW_EMPTY": word(
            "No market price was possible: the producers' floor was above the retail price."
        ),
        "NO_SLICE": word("No producer offered energy for this quarter hour."),
        "LATE_PRICE": word("The market price came too late for this quarter hour."),
        "KEPT": word("Market energy was kept for drivers who do not accept retail energy."),
        "PRICE_LIMIT": word("The market price was above your highest price."),
        "PEER_DOWN": word("The ledger was unreachable."),
    }.get(reason or "", reason or "")


def line_text(code: str, word: Word) -> str:
    """Return in words why a line is not paid: the ledger refused it, or it was never submitted."""
    found = {
        "PRICE_LIMIT": word("The price was above your highest price."),
        "RETAIL_NOT_ACCEPTED": word("You do not accept retail energy, and the market had no energy."),
        "NO_SUPPLIER": word("This station has no retail supplier."),
        "NO_TARIFF": word("No tariff applies to this quarter hour."),
        "EXCEEDS_HOLD": word("More energy flowed than the held tokens cover."),
        "HOLD_CLOSED": word("The hold for this session was already released."),
        "HOLD_EXPIRED": word("The hold for this session had expired."),
        "METER_OVERLAP": word("This meter reading was already settled."),
        "METER_IMPLAUSIBLE": word("The meter reading exceeds what this charger can deliver."),
        "INTERVAL_TOO_OLD": word("The quarter hour is too long ago."),
        "INSUFFICIENT_TOKENS": word("There were not enough tokens."),
        "INSUFFICIENT_ENERGY": word("Your energy account did not contain enough energy."),
    }.get(code)
    return found or _untraded(word).get(code) or word("The rules of the ledger do not allow it.")


def _untraded(word: Word) -> Mapping[str, str]:
    return {
        "STANDBY": word("Standby consumption of the charger between sessions."),
        "NO_SESSION": word("No session was running."),
        "NO_HOLD": word("There was no hold for it."),
        "NO_RETAIL": word("You do not accept retail energy, and the market had no energy."),
        "NO_PRICE": word("No market price was fixed for this quarter hour."),
        "NO_SLICE": word("No buyer had an offer for this quarter hour."),
        "DISPUTED": word("The charger and the meter disagree; the operator checks this."),
    }


def entry_text(kind: str, word: Word) -> str:
    """Return the type of a history entry in words."""
    return {
        "member.signed": word("Account opened"),
        "member.updated": word("Profile changed"),
        "token.mint": word("Tokens bought"),
        "token.burn": word("Tokens exchanged for won"),
        "lot.registered": word("Energy generated"),
        "lot.expired": word("Generated energy expired"),
        "energy.attested": word("Energy ready for sale"),
        "energy.expired": word("Energy no longer ready for sale"),
        "offer.opened": word("Offer opened"),
        "offer.closed": word("Offer closed"),
        "hold.opened": word("Held for a session"),
        "hold.released": word("Hold for a session released"),
        "trade.recorded": word("Energy traded"),
    }.get(kind, kind)


def check_text(name: str, word: Word) -> str:
    """Return the name of a check of the block in words."""
    return {
        "block_hash": word("Hash of the block, as named by the next block"),
        "prev_hash": word("Link to the previous block"),
        "data_hash": word("Hash of the block's contents"),
        "validation_codes": word("Validation code of each transaction of the block"),
        "orderer_signature": word("Signature of the orderer"),
        "validation_code": word("Validation code of this transaction: valid"),
        "tx_id": word("Transaction id, derived from its sender"),
        "proposal": word("The endorsed request is the request that was sent"),
        "creator_signature": word("Signature of the station that sent it"),
        "endorsements": word("Endorsement signatures of peers of at least two organisations"),
        "record": word("The transaction wrote this trade"),
        "key": word("The key belongs to this trade"),
        "energy": word("Energy: last meter reading minus first meter reading"),
        "amount": word("Amount: energy times price"),
        "price": word("Price: recomputed from the posted values"),
        "fee": word("Network fee of the trade"),
        "timestamp": word("Time within the quarter hour"),
        "evidence_hash": word("Hash of the meter evidence"),
        "evidence_signature": word("Signature of the station on the evidence"),
        "evidence_registers": word("Meter readings of the evidence and the trade are equal"),
    }.get(name, name)


def holds(checked: Checked) -> bool:
    """Return whether all checks passed."""
    return bool(checked.checks) and all(one.holds for one in checked.checks)
