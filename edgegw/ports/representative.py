"""What stations and pages request of the organisation's representative (`Representative`) and of the ledger (`LedgerView`).

Defines requests, answers and refusals, equal for a representative in this process and one over a network; stores nothing.
A refusal is a `RefusedRequest`; an unreachable representative or peer raises RepresentativeError.
Times are UTC nanoseconds of the station's clock, energy Wh, tokens milli-token (1,000 are one token), money whole won.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from edgegw.common.errors import EdgegwError
from edgegw.common.member_terms import MemberTerms
from edgegw.common.trade_terms import Product

Kind = Literal["EV", "PRODUCER", "INDUSTRY"]
Language = Literal["ko", "en"]


class RepresentativeError(EdgegwError):
    """The representative, its database or its peer is unavailable now."""

    hint = "try again in a moment; charging with a card does not need it"


class RefusalCode(StrEnum):
    """Why the representative refuses a request; pages have a text for each, and for the contract's own codes."""

    WRONG_LOGIN = "WRONG_LOGIN"  # unknown name or wrong password, not which of them
    TOO_MANY_TRIES = "TOO_MANY_TRIES"
    LOGIN_TAKEN = "LOGIN_TAKEN"
    WEAK_PASSWORD = "WEAK_PASSWORD"  # noqa: S105 - a code
    BAD_FIELD = "BAD_FIELD"  # `detail` names it
    DUPLICATE_MEMBER = "DUPLICATE_MEMBER"
    UNKNOWN_MEMBER = "UNKNOWN_MEMBER"
    VERSION_MISMATCH = "VERSION_MISMATCH"
    CARD_TAKEN = "CARD_TAKEN"
    UNKNOWN_CARD = "UNKNOWN_CARD"
    STILL_BUSY = "STILL_BUSY"  # a hold, an offer or a balance is open
    ZERO_TOKENS = "ZERO_TOKENS"
    INSUFFICIENT_TOKENS = "INSUFFICIENT_TOKENS"
    QUOTE_EXPIRED = "QUOTE_EXPIRED"
    OUT_OF_LIMITS = "OUT_OF_LIMITS"
    NO_DESK = "NO_DESK"  # no exchange desk serves this organisation
    DECLINED = "DECLINED"  # by the bank; nothing was exchanged
    PENDING = "PENDING"  # begun and not decided yet; the same request returns the outcome later
    NOT_YOURS = "NOT_YOURS"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRequest:
    """A refusal: `code` is a member of `RefusalCode` or a code of the contract."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """A driver's last choices, with which the forms are filled in."""

    battery_wh: int = 60_000
    soc_bp_min: int = 4_000
    soc_bp_wanted: int = 8_000
    ready_by_min: int = 450  # minutes of the local day
    price_mtok_per_kwh_min: int = 140_000
    price_mtok_per_kwh_max: int = 400_000
    accept_retail: bool = True
    charge_wh: int = 20_000
    sale_wh: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A sign-up form. Personal data stays with the representative, encrypted at rest."""

    login: str
    password: str = field(repr=False)
    name: str = field(repr=False)
    contact: str = field(
        repr=False
    )  # an e-mail address or a telephone number: also what makes a person unique
    language: Language = "ko"
    kind: Kind = "EV"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A member's own account data."""

    member_id: str
    login: str
    name: str = field(repr=False)
    contact: str = field(repr=False)
    language: Language = "ko"
    kind: Kind = "EV"
    version: int = 1  # of the membership on the ledger
    defaults: Defaults = field(default_factory=Defaults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """An open login: `token` is the value of the cookie; only its hash is stored."""

    token: str = field(repr=False)
    member_id: str
    expires_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card or other idToken linked to the member; the idToken itself is not stored."""

    card_id: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A member's account on the ledger."""

    available_mtok: int
    held_mtok: int
    pending_mtok: int
    energy_available_wh: int
    energy_held_wh: int
    energy_pending_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record of the member's history on the ledger: the change of its tokens and energy."""

    type: str
    id: str
    tokens_mtok: int
    energy_wh: int
    at_ns: int
    tx_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A page of entries, newest first; `bookmark` requests the next page, empty on the last one."""

    entries: Sequence[Entry]
    bookmark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeQuote:
    """An offer of the exchange desk: the member `buys` tokens for won, or sells them. `won` includes `fee_won`."""

    quote_id: str
    member_id: str
    buys: bool
    tokens_mtok: int
    won: int  # paid in where `buys`, else paid out
    fee_won: int
    won_per_token_milli: int  # 1,000: one won per token
    expires_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """A completed exchange: the bank's reference of deposit or payout, and its transaction and block on the ledger."""

    reference: str
    buys: bool
    tokens_mtok: int
    won: int
    fee_won: int
    tx_id: str
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice of the operator to drivers, in both languages."""

    notice_id: str
    at_ns: int
    title_ko: str
    title_en: str
    text_ko: str
    text_en: str
    until_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingOffer:
    """A producer's offer to sell (CHARGE) or an industrial member's offer to buy (DISCHARGE).

    `amount` and `left`, the unreserved part: gross Wh for CHARGE, milli-token for DISCHARGE. `valid_*_s`: UTC epoch seconds.
    """

    offer_id: str
    member_id: str
    product: Product
    amount: int
    left: int
    limit_mtok_per_kwh: int
    valid_from_s: int
    valid_to_s: int
    status: str
    lot_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOffer:
    """The form of an offer; a producer enters a lot and Wh, an industrial member tokens."""

    limit_mtok_per_kwh: int
    valid_from_s: int
    valid_to_s: int
    lot_id: str = ""
    energy_wh: int = 0
    tokens_mtok: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LotShown:
    """Energy that a producer's plant generated in one quarter hour; `unsold_wh` of it is in no offer."""

    lot_id: str
    interval: int
    energy_wh: int
    unsold_wh: int
    expires_s: int


class Representative(Protocol):
    """The representative, which knows the person behind each member id. Every method raises RepresentativeError."""

    async def sign_up(self, newcomer: Newcomer) -> Profile | RefusedRequest:
        """Register a member, then call SignUp on the ledger; a repeat after a failure resumes where it stopped."""

    async def log_in(self, login: str, password: str, *, source: str) -> Login | RefusedRequest:
        """Open a login; attempts are limited by name and by `source`, the client's address."""

    async def who(self, token: str) -> Profile | None:
        """Return the member of an open login, or None."""

    async def log_out(self, token: str) -> None:
        """End a login."""

    async def change(self, profile: Profile, *, password: str | None = None) -> Profile | RefusedRequest:
        """Change name, contact, language or password; calls Update on the ledger where the identity changes."""

    async def remember(self, member_id: str, defaults: Defaults) -> None:
        """Store a driver's last choices."""

    async def export(self, member_id: str) -> dict[str, object]:
        """Return everything that is stored about a member, for the member."""

    async def leave(self, member_id: str) -> RefusedRequest | None:
        """End a membership on the ledger, then delete salt, mapping, tag, personal data, logins and cards."""

    async def cards(self, member_id: str) -> Sequence[Card]:
        """Return the member's cards."""

    async def link_card(
        self, member_id: str, id_token: str, *, label: str, terms: MemberTerms
    ) -> Card | RefusedRequest:
        """Link an idToken to the member on these terms."""

    async def unlink_card(self, member_id: str, card_id: str) -> RefusedRequest | None:
        """Remove a card of this member."""

    async def balance(self, member_id: str) -> Balance:
        """Return the member's account; pending credits are swept first where that is possible at once."""

    async def history(self, member_id: str, *, bookmark: str = "", size: int = 20) -> History:
        """Return a page of the member's history on the ledger (historyAPI)."""

    async def exchange_quote(
        self, member_id: str, *, buys: bool, tokens_mtok: int
    ) -> ExchangeQuote | RefusedRequest:
        """Return the exchange desk's offer for a number of tokens."""

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | RefusedRequest:
        """Perform a quoted exchange of this member once; a repeat returns the same result."""

    async def notices(self) -> Sequence[Notice]:
        """Return the operator's notices, newest first."""

    async def publish(self, notice: Notice) -> None:
        """Publish a notice, or replace the one with its id."""

    async def withdraw(self, notice_id: str) -> None:
        """Remove a notice."""

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        """Return the open offers of a producer or an industrial member."""

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        """Make a standing offer."""

    async def close_offer(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        """Close an offer and release the part that no station has reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceShown:
    """The price of an interval and its inputs; before it is fixed, the price that follows from the posted loads."""

    product: Product
    interval: int
    period: str  # light, mid, peak
    is_fixed: bool
    price_mtok_per_kwh: int | None  # None: no supply or no demand
    floor_mtok_per_kwh: int
    ceiling_mtok_per_kwh: int
    supply_wh: int
    demand_wh: int
    weight_ppm: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationFound:
    """A station that FindStations returns."""

    station_id: str
    geohash: str
    evses: int
    products: tuple[Product, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeShown:
    """A trade's record on the ledger, and the block that contains it."""

    trade_id: str
    kind: str
    product: Product
    interval: int
    buyer: str
    seller: str
    start_wh: int
    end_wh: int
    price_mtok_per_kwh: int
    amount_mtok: int
    fee_mtok: int
    evidence_hash: str
    tx_id: str
    at_ns: int
    block: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesShown:
    """A page of a member's trades, newest first, without their blocks; `bookmark` requests the next page, empty on the last."""

    trades: Sequence[TradeShown]
    bookmark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check: `name` is one of `CHECKS`, for which pages have texts. `detail` is for experts."""

    name: str
    holds: bool
    detail: str = ""


CHECKS = (
    *("block_hash", "prev_hash", "data_hash", "validation_codes", "orderer_signature"),  # the block
    *("validation_code", "tx_id", "proposal", "creator_signature", "endorsements"),  # the transaction in it
    *("record", "key", "energy", "amount", "price", "fee", "timestamp"),  # the trade that it wrote
    *(
        "evidence_hash",
        "evidence_signature",
        "evidence_registers",
    ),  # the station's own evidence, where this station has it
)
"""Every name of a `Check`, in the order in which pages show them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A trade's block, recomputed: its five fields and the result of every check."""

    trade_id: str
    block: int
    fields: dict[str, str]  # KEY, Value, Timestamp, Prev_Hash, Proof: as text
    checks: tuple[Check, ...]


class LedgerView(Protocol):
    """Public queries of the ledger. Every method raises RepresentativeError."""

    async def price(self, product: Product, interval: int) -> PriceShown | None:
        """Return the price of an interval, or None where no tariff is valid."""

    async def stations(self, geohash: str, product: Product | None = None) -> Sequence[StationFound]:
        """Return the stations below a geohash prefix."""

    async def trade(self, trade_id: str) -> TradeShown | None:
        """Return a committed trade, or None where the ledger has none."""

    async def check(self, trade_id: str) -> Checked | RefusedRequest:
        """Fetch the trade's block and recompute hashes, signatures, amount and price."""
