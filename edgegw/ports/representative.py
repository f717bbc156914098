"""What a station and its pages ask of the organisation's representative (`Representative`) and of the ledger (`LedgerView`).

Decides the questions, the answers and their refusals; an office in this process and one behind a network answer alike.
Never holds anything. An answer that is no is a `RefusedRequest`; an office or a peer that cannot be asked is an OfficeError.
Times are UTC nanoseconds of the station's clock, energy Wh, tokens milli-token (1,000 are one token), won whole won.
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
    """The representative or its peer cannot be asked now."""

    hint = "try again in a moment; charging with a card does not need it"


class RefusalCode(StrEnum):
    """Why an office says no; pages have words for each, and for the contract's own codes."""

    WRONG_LOGIN = "WRONG_LOGIN"  # unknown name or wrong password: never which of them
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
    DECLINED = "DECLINED"  # the bank said no; nothing was exchanged
    PENDING = "PENDING"  # begun and not decided yet; asking the same again tells how it ended
    NOT_YOURS = "NOT_YOURS"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRequest:
    """No, and why: a member of `RefusalCode`, or a code of the contract."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a driver last chose; the forms begin with it."""

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
    """A sign-up form. Everything personal stays with the representative, encrypted at rest."""

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
    """A member as the member sees it."""

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
    """A login that was opened: `token` goes into the cookie and is kept only as its hash."""

    token: str = field(repr=False)
    member_id: str
    expires_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card or other idToken that leads to the member; the number itself is not kept."""

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
    """One line of historyAPI: what changed in what the member owns."""

    type: str
    id: str
    tokens_mtok: int
    energy_wh: int
    at_ns: int
    tx_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A page of entries, newest first; `bookmark` leads on to the next one, empty at the end."""

    entries: Sequence[Entry]
    bookmark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeQuote:
    """What the desk would do now: `buys` tokens for won, or won for tokens. `fee_won` is in it already."""

    quote_id: str
    member_id: str
    buys: bool
    tokens_mtok: int
    won: int  # paid in where `buys`, else paid out
    fee_won: int
    won_per_token_milli: int  # 1,000: one won a token
    expires_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """A done exchange: the deposit's or payout's reference, and where it stands on the ledger."""

    reference: str
    buys: bool
    tokens_mtok: int
    won: int
    fee_won: int
    tx_id: str
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the operator tells drivers; both languages are given."""

    notice_id: str
    at_ns: int
    title_ko: str
    title_en: str
    text_ko: str
    text_en: str
    until_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingOffer:
    """A producer's offer to sell or an industrial member's to buy. `left`: gross Wh (CHARGE) or milli-token."""

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
    """An offer as its form asks for it; a producer names a lot and Wh, an industrial member tokens."""

    limit_mtok_per_kwh: int
    valid_from_s: int
    valid_to_s: int
    lot_id: str = ""
    energy_wh: int = 0
    tokens_mtok: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LotShown:
    """Energy that a producer's plant generated in one quarter hour; `unsold_wh` of it stands in no offer."""

    lot_id: str
    interval: int
    energy_wh: int
    unsold_wh: int
    expires_s: int


class Representative(Protocol):
    """The representative, to whom it is known who is behind a pseudonym. Every method raises OfficeError."""

    async def sign_up(self, newcomer: Newcomer) -> Profile | RefusedRequest:
        """Enter a person, and SignUp on the ledger; a repeat after a failure goes on where it stopped."""

    async def log_in(self, login: str, password: str, *, source: str) -> Login | RefusedRequest:
        """Open a login; tries are limited by name and by `source`, an address."""

    async def who(self, token: str) -> Profile | None:
        """Whose login this is, if it is open."""

    async def log_out(self, token: str) -> None:
        """End a login."""

    async def change(self, profile: Profile, *, password: str | None = None) -> Profile | RefusedRequest:
        """New name, contact, language or password; Update on the ledger where the identity changed."""

    async def remember(self, member_id: str, defaults: Defaults) -> None:
        """Keep what a driver last chose."""

    async def export(self, member_id: str) -> dict[str, object]:
        """Everything that is kept about a member, for the member."""

    async def leave(self, member_id: str) -> RefusedRequest | None:
        """End a membership: on the ledger, then salt, mapping, tag, personal data, logins and cards are deleted."""

    async def cards(self, member_id: str) -> Sequence[Card]:
        """The member's cards."""

    async def link_card(
        self, member_id: str, id_token: str, *, label: str, terms: MemberTerms
    ) -> Card | RefusedRequest:
        """Let an idToken lead to the member on these terms."""

    async def unlink_card(self, member_id: str, card_id: str) -> RefusedRequest | None:
        """Forget a card of this member."""

    async def balance(self, member_id: str) -> Balance:
        """The member's account, pending credits swept where that can be done at once."""

    async def history(self, member_id: str, *, bookmark: str = "", size: int = 20) -> History:
        """The member's transactions (historyAPI)."""

    async def exchange_quote(
        self, member_id: str, *, buys: bool, tokens_mtok: int
    ) -> ExchangeQuote | RefusedRequest:
        """What the exchange desk asks or gives for so many tokens."""

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | RefusedRequest:
        """Do what was quoted to this member, once; a repeat gives the same result."""

    async def notices(self) -> Sequence[Notice]:
        """What the operator tells, newest first."""

    async def publish(self, notice: Notice) -> None:
        """Tell drivers something; the same id replaces."""

    async def withdraw(self, notice_id: str) -> None:
        """Tell it no longer."""

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        """A producer's or an industrial member's open offers."""

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        """Make a standing offer."""

    async def close_offer(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        """Take back what no station has reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceShown:
    """The price of an interval and how it came about; before it is fixed, what it would be from what is posted."""

    product: Product
    interval: int
    period: str  # light, mid, peak
    is_fixed: bool
    price_mtok_per_kwh: int | None  # None: an empty window
    floor_mtok_per_kwh: int
    ceiling_mtok_per_kwh: int
    supply_wh: int
    demand_wh: int
    weight_ppm: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationFound:
    """A station that FindStations knows."""

    station_id: str
    geohash: str
    evses: int
    products: tuple[Product, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeShown:
    """A trade's record on the ledger and the block it stands in."""

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
    """A page of a member's trades, newest first; `bookmark` leads on, empty at the end. Their block is not looked up."""

    trades: Sequence[TradeShown]
    bookmark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was recomputed: `name` is one of `CHECKS`, for which pages have words. `detail` is for experts."""

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
    ),  # the station's own evidence, where it is here
)
"""Every name a `Check` may have, in the order in which they are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A trade's block recomputed: the paper's five fields and every check."""

    trade_id: str
    block: int
    fields: dict[str, str]  # KEY, Value, Timestamp, Prev_Hash, Proof: as text
    checks: tuple[Check, ...]


class LedgerView(Protocol):
    """What anybody may see of the ledger. Every method raises OfficeError."""

    async def price(self, product: Product, interval: int) -> PriceShown | None:
        """The price of an interval; None where no tariff holds."""

    async def stations(self, geohash: str, product: Product | None = None) -> Sequence[StationFound]:
        """Stations below a geohash prefix."""

    async def trade(self, trade_id: str) -> TradeShown | None:
        """A committed trade; None where the ledger knows none."""

    async def check(self, trade_id: str) -> Checked | RefusedRequest:
        """Fetch the trade's block and recompute hashes, signatures, amount and price."""
