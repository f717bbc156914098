"""Words for what office, contract and ledger answer in codes: refusals, reasons, kinds of entries, checks.

Decides how a code is told to a driver. A code without words is told as itself, so that nothing is hidden.
"""

from collections.abc import Mapping

from edgegw.ports.representative import Checked, RefusalCode, RefusedRequest
from edgegw.web.pages import Word


def refusal_text(refusal: RefusedRequest, word: Word) -> str:
    """Why the office said no."""
    return _refusals(word).get(refusal.code) or f"{word('This did not work.')} ({refusal.code})"


def _refusals(word: Word) -> Mapping[str, str]:
    busy = word(
        "Something of yours is still open: a running session, tokens held for one, a balance, or an offer. "
        "Finish it, exchange your tokens for won, then try again."
    )
    taken = word(
        "An account cannot be made with this login name and contact. If you have signed up before, log in; "
        "else choose another login name."
    )
    return {
        RefusalCode.WRONG_LOGIN: word("Login name and password do not match."),
        RefusalCode.TOO_MANY_TRIES: word("Too many tries. Wait a minute, then try again."),
        RefusalCode.LOGIN_TAKEN: taken,
        RefusalCode.DUPLICATE_MEMBER: taken,
        RefusalCode.WEAK_PASSWORD: word(
            "Choose a longer or less simple password: at least 10 characters, and not your login name."
        ),
        RefusalCode.UNKNOWN_MEMBER: word("This account is no longer there."),
        RefusalCode.VERSION_MISMATCH: word(
            "Your profile was changed elsewhere in the meantime. Look at it, then try again."
        ),
        RefusalCode.CARD_TAKEN: word("This card is linked to another account."),
        RefusalCode.UNKNOWN_CARD: word("This card is not linked to your account."),
        RefusalCode.STILL_BUSY: busy,
        RefusalCode.ZERO_TOKENS: word("You have no tokens."),
        RefusalCode.INSUFFICIENT_TOKENS: word("You do not have so many tokens available."),
        RefusalCode.QUOTE_EXPIRED: word("This quote is no longer valid. Ask for a new one."),
        RefusalCode.OUT_OF_LIMITS: word("The exchange desk does not exchange so many tokens at once."),
        RefusalCode.NO_DESK: word("No exchange desk serves your organisation right now."),
        RefusalCode.DECLINED: word("The bank declined. Nothing was exchanged."),
        RefusalCode.PENDING: word("The exchange has begun and is not decided yet. Ask again in a moment."),
        RefusalCode.NOT_YOURS: word("There is no such quote of yours. Ask for a new one."),
    }


def reason_text(reason: str | None, word: Word) -> str:
    """Why energy was sold at retail though there is a market."""
    return {
        "PRICE_NOT_FIXED": word("No market price was fixed for this quarter hour."),
        "PRICE_WINDOW_EMPTY": word("No market price was possible: producers' lowest price was above retail."),
        "NO_SLICE": word("No producer offered energy for this quarter hour."),
        "LATE_PRICE": word("The market price came too late for this quarter hour."),
        "KEPT": word("Market energy was kept for drivers who accept no retail energy."),
        "PRICE_LIMIT": word("The market price was above your highest price."),
        "PEER_DOWN": word("The ledger could not be reached in time."),
    }.get(reason or "", reason or "")


def line_text(code: str, word: Word) -> str:
    """Why nothing was paid for a line: the ledger refused it, or it was never offered."""
    found = {
        "PRICE_LIMIT": word("The price was above your highest price."),
        "RETAIL_NOT_ACCEPTED": word("You do not accept retail energy, and there was none on the market."),
        "NO_SUPPLIER": word("No retail supplier serves this station."),
        "NO_TARIFF": word("No tariff holds for this quarter hour."),
        "EXCEEDS_HOLD": word("More energy flowed than tokens were set aside for."),
        "HOLD_CLOSED": word("What was set aside for this session had been released already."),
        "HOLD_EXPIRED": word("What was set aside for this session had expired."),
        "METER_OVERLAP": word("The meter's register had been settled already."),
        "METER_IMPLAUSIBLE": word("The meter told more than this charger can deliver."),
        "INTERVAL_TOO_OLD": word("The quarter hour was too long ago."),
        "INSUFFICIENT_TOKENS": word("There were not enough tokens."),
        "INSUFFICIENT_ENERGY": word("There was not enough energy in your energy account."),
    }.get(code)
    return found or _untraded(word).get(code) or word("The ledger's rules did not allow it.")


def _untraded(word: Word) -> Mapping[str, str]:
    return {
        "STANDBY": word("The charger's own small use, between sessions."),
        "NO_SESSION": word("Nobody's session was running."),
        "NO_HOLD": word("Nothing was set aside for it."),
        "NO_RETAIL": word("You do not accept retail energy, and there was none on the market."),
        "NO_PRICE": word("No market price was fixed for this quarter hour."),
        "NO_SLICE": word("Nobody had asked to buy in this quarter hour."),
        "DISPUTED": word("The charger and the meter disagree: the operator looks into it."),
    }


def entry_text(kind: str, word: Word) -> str:
    """A line of the history."""
    return {
        "member.signed": word("Account opened"),
        "member.updated": word("Profile changed"),
        "token.mint": word("Tokens bought"),
        "token.burn": word("Tokens exchanged for won"),
        "lot.registered": word("Energy generated"),
        "lot.expired": word("Generated energy expired"),
        "energy.attested": word("Energy ready to be sold"),
        "energy.expired": word("Energy no longer ready to be sold"),
        "offer.opened": word("Offer made"),
        "offer.closed": word("Offer closed"),
        "hold.opened": word("Set aside for a session"),
        "hold.released": word("Rest of a session given back"),
        "trade.recorded": word("Energy traded"),
    }.get(kind, kind)


def check_text(name: str, word: Word) -> str:
    """What was recomputed."""
    return {
        "block_hash": word("The block's hash, as the next block names it"),
        "prev_hash": word("The link to the block before"),
        "data_hash": word("The hash of everything in the block"),
        "validation_codes": word("A verdict on every transaction of the block"),
        "orderer_signature": word("The signature of who ordered the block"),
        "validation_code": word("The verdict on this transaction: valid"),
        "tx_id": word("The transaction's number, made from its sender"),
        "proposal": word("The request that was endorsed is the one that was sent"),
        "creator_signature": word("The signature of the station that sent it"),
        "endorsements": word("Signatures of peers of at least two organisations"),
        "record": word("The record that the transaction wrote is this trade"),
        "key": word("The record's key is this trade's"),
        "energy": word("Energy: the register's end minus its start"),
        "amount": word("Amount: energy times price"),
        "price": word("Price: computed again from what was posted"),
        "fee": word("Fee of the network"),
        "timestamp": word("The time fits the quarter hour"),
        "evidence_hash": word("The hash of the meter's evidence"),
        "evidence_signature": word("The station's signature under the evidence"),
        "evidence_registers": word("The evidence's registers are the trade's"),
    }.get(name, name)


def holds(checked: Checked) -> bool:
    """Whether everything that was recomputed holds."""
    return bool(checked.checks) and all(one.holds for one in checked.checks)
