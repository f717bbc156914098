"""Fake `edgegw.ports.representative.Representative` in memory, checked by tests/conformance/test_representative_*laws.py."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace

from edgegw.common.member_terms import MemberTerms
from edgegw.common.trade_terms import Product
from edgegw.common.units import SECOND_NS
from edgegw.ports.representative import (
    Balance,
    Card,
    Defaults,
    Entry,
    Exchanged,
    ExchangeQuote,
    History,
    Kind,
    Login,
    Newcomer,
    NewOffer,
    Notice,
    Profile,
    RefusalCode,
    RefusedRequest,
    RepresentativeError,
    StandingOffer,
)
from edgegw.representative.logins import CARDS_MAX, LOGIN_NS, LOGIN_NS_MAX, LOGINS_MAX
from edgegw.representative.person_fields import (
    Person,
    bad_field,
    fault_of,
    folded_login,
    normal_contact,
    password_fault,
    shown,
)
from edgegw.representative.service import login_throttles

NOW_S = 1_781_060_400  # 2026-06-10 12:00 in Seoul


@dataclass
class StoodClock:
    """A clock that only the test sets."""

    at_ns: int = NOW_S * SECOND_NS

    def now_ns(self) -> int:
        return self.at_ns

    def real_seconds(self, duration_ns: int) -> float:
        return duration_ns / SECOND_NS

    async def sleep_until(self, at_ns: int) -> None:
        self.at_ns = max(self.at_ns, at_ns)


@dataclass
class Opened:
    """An open login."""

    member_id: str
    opened_ns: int
    expires_ns: int


@dataclass
class FakeOffice:
    """The representative in memory: one won per token, without a fee; `lots` are owner and energy that is in no offer."""

    clock: StoodClock = field(default_factory=StoodClock)
    kinds: Collection[Kind] = ("EV", "PRODUCER", "INDUSTRY")
    people: dict[str, tuple[Profile, str]] = field(default_factory=dict)
    first_contacts: dict[str, str] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    logins: dict[str, Opened] = field(default_factory=dict)
    linked: dict[str, tuple[MemberTerms, Card]] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    lots: dict[str, tuple[str, int]] = field(default_factory=dict)
    entries: list[tuple[str, Entry]] = field(default_factory=list)
    quotes: dict[str, ExchangeQuote] = field(default_factory=dict)
    done: dict[str, Exchanged | RefusedRequest] = field(default_factory=dict)
    told: dict[str, Notice] = field(default_factory=dict)
    standing: dict[str, StandingOffer] = field(default_factory=dict)
    monotonic_s: float = 0.0

    def __post_init__(self) -> None:
        self._names, self._sources = login_throttles(lambda: self.monotonic_s)

    async def sign_up(self, newcomer: Newcomer) -> Profile | RefusedRequest:
        person = Person(
            login=newcomer.login,
            name=shown(newcomer.name),
            contact=shown(newcomer.contact),
            language=newcomer.language,
            kind=newcomer.kind,
        )
        fault = fault_of(person) or password_fault(newcomer.password, newcomer.login)
        if newcomer.kind not in self.kinds:
            fault = bad_field("kind")
        if fault is not None:
            return fault
        if self._is_taken(person.identity):
            return RefusedRequest(code=RefusalCode.DUPLICATE_MEMBER)
        if self._named(newcomer.login) is not None:
            return RefusedRequest(code=RefusalCode.LOGIN_TAKEN)
        profile = Profile(
            member_id=secrets.token_hex(13),
            login=person.login.strip(),
            name=person.name,
            contact=person.contact,
            language=person.language,
            kind=person.kind,
        )
        self.people[profile.member_id] = (profile, newcomer.password)
        self.first_contacts[profile.member_id] = person.identity
        self._enter(profile.member_id, "member.signed", profile.member_id, tx_id=secrets.token_hex(32))
        return profile

    def _is_taken(self, contact: str, member_id: str = "") -> bool:
        return any(
            contact in {normal_contact(known.contact), self.first_contacts[one]}
            for one, (known, _) in self.people.items()
            if one != member_id
        )

    def _named(self, login: str) -> tuple[Profile, str] | None:
        name = folded_login(login)
        return next((one for one in self.people.values() if folded_login(one[0].login) == name), None)

    def _enter(self, member_id: str, change: str, about: str, *, tx_id: str, tokens_mtok: int = 0) -> None:
        entry = Entry(
            type=change,
            id=about,
            tokens_mtok=tokens_mtok,
            energy_wh=0,
            at_ns=self.clock.now_ns(),
            tx_id=tx_id,
        )
        self.entries.append((member_id, entry))

    async def log_in(self, login: str, password: str, *, source: str) -> Login | RefusedRequest:
        name = folded_login(login)
        wait_s = max(self._names.wait_s(name), self._sources.wait_s(source))
        if wait_s > 0:
            return RefusedRequest(code=RefusalCode.TOO_MANY_TRIES, detail=str(int(wait_s) + 1))
        self._names.count(name)
        self._sources.count(source)
        profile, secret = self._named(login) or (None, "")
        if profile is None or secret != password:
            return RefusedRequest(code=RefusalCode.WRONG_LOGIN)
        self._names.forget(name)
        self._sources.take_back(source)
        own = [token for token, one in self.logins.items() if one.member_id == profile.member_id]
        for token in own[: max(0, len(own) + 1 - LOGINS_MAX)]:
            del self.logins[token]
        token, now_ns = secrets.token_hex(32), self.clock.now_ns()
        self.logins[token] = Opened(profile.member_id, now_ns, now_ns + LOGIN_NS)
        return Login(token=token, member_id=profile.member_id, expires_ns=now_ns + LOGIN_NS)

    async def who(self, token: str) -> Profile | None:
        opened, now_ns = self.logins.get(token), self.clock.now_ns()
        if opened is None or now_ns >= opened.expires_ns:
            return None
        opened.expires_ns = min(now_ns + LOGIN_NS, opened.opened_ns + LOGIN_NS_MAX)
        return self.people[opened.member_id][0]

    async def log_out(self, token: str) -> None:
        self.logins.pop(token, None)

    def _log_out_all(self, member_id: str) -> None:
        self.logins = {token: one for token, one in self.logins.items() if one.member_id != member_id}

    async def change(self, profile: Profile, *, password: str | None = None) -> Profile | RefusedRequest:
        if profile.member_id not in self.people:
            return RefusedRequest(code=RefusalCode.UNKNOWN_MEMBER)
        known, secret = self.people[profile.member_id]
        person = Person.of(profile)
        for name in ("login", "kind"):
            if getattr(profile, name) != getattr(known, name):
                return bad_field(name)
        fault = fault_of(person) or (None if password is None else password_fault(password, known.login))
        if fault is not None:
            return fault
        if profile.version != known.version:
            return RefusedRequest(code=RefusalCode.VERSION_MISMATCH, detail=str(known.version))
        if self._is_taken(person.identity, profile.member_id):
            return RefusedRequest(code=RefusalCode.DUPLICATE_MEMBER)
        changed = replace(
            known,
            name=person.name,
            contact=person.contact,
            language=person.language,
            version=known.version + (person.committed != Person.of(known).committed),
        )
        self.people[profile.member_id] = (changed, password or secret)
        if password is not None:
            self._log_out_all(profile.member_id)
        return changed

    async def remember(self, member_id: str, defaults: Defaults) -> None:
        if member_id in self.people:
            profile, secret = self.people[member_id]
            self.people[member_id] = (replace(profile, defaults=defaults), secret)

    async def export(self, member_id: str) -> dict[str, object]:
        if member_id not in self.people:
            return {}
        cards = [(card, terms) for terms, card in self.linked.values() if terms.member_id == member_id]
        return {
            **asdict(self.people[member_id][0]),
            "logins": [
                {"opened_ns": one.opened_ns, "expires_ns": one.expires_ns}
                for one in self.logins.values()
                if one.member_id == member_id
            ],
            "cards": [asdict(card) | {"terms": asdict(terms)} for card, terms in cards],
            "exchanges": [
                asdict(one)
                for quote_id, one in self.done.items()
                if isinstance(one, Exchanged) and self.quotes[quote_id].member_id == member_id
            ],
        }

    async def leave(self, member_id: str) -> RefusedRequest | None:
        if member_id in self.left:
            return None
        if member_id not in self.people:
            return RefusedRequest(code=RefusalCode.UNKNOWN_MEMBER)
        if self._held_mtok(member_id):
            return RefusedRequest(code=RefusalCode.STILL_BUSY, detail="held")
        if self.tokens.get(member_id):
            return RefusedRequest(code=RefusalCode.STILL_BUSY, detail="balance")
        del self.people[member_id], self.first_contacts[member_id]
        self.left.add(member_id)
        self._log_out_all(member_id)
        self.linked = {token: one for token, one in self.linked.items() if one[0].member_id != member_id}
        return None

    async def cards(self, member_id: str) -> Sequence[Card]:
        own = [card for terms, card in self.linked.values() if terms.member_id == member_id]
        return sorted(own, key=lambda card: card.card_id)

    async def link_card(
        self, member_id: str, id_token: str, *, label: str, terms: MemberTerms
    ) -> Card | RefusedRequest:
        number, label = id_token.strip().casefold(), shown(label)
        if not 1 <= len(number) <= 36 or not id_token.isprintable():
            return bad_field("id_token")
        if len(label) > 40 or not label.isprintable():
            return bad_field("label")
        if member_id not in self.people:
            return RefusedRequest(code=RefusalCode.UNKNOWN_MEMBER)
        known, card = self.linked.get(number, (None, Card(card_id=secrets.token_hex(8), label=label)))
        if known is not None and known.member_id != member_id:
            return RefusedRequest(code=RefusalCode.CARD_TAKEN)
        if known is None and len(await self.cards(member_id)) >= CARDS_MAX:
            return bad_field("cards")
        self.linked[number] = (replace(terms, member_id=member_id), replace(card, label=label))
        return self.linked[number][1]

    async def unlink_card(self, member_id: str, card_id: str) -> RefusedRequest | None:
        for number, (terms, card) in list(self.linked.items()):
            if (terms.member_id, card.card_id) == (member_id, card_id):
                del self.linked[number]
                return None
        return RefusedRequest(code=RefusalCode.UNKNOWN_CARD)

    def _known(self, member_id: str) -> None:
        """Raise the ledger's error for a member that it does not know."""
        if member_id not in self.people and member_id not in self.left:
            raise RepresentativeError("the ledger cannot be asked: UNKNOWN_MEMBER")

    def _held_mtok(self, member_id: str) -> int:
        own = [one for one in self.standing.values() if one.member_id == member_id]
        return sum(one.left for one in own if one.product == "DISCHARGE")

    async def balance(self, member_id: str) -> Balance:
        self._known(member_id)
        return Balance(
            available_mtok=self.tokens.get(member_id, 0),
            held_mtok=self._held_mtok(member_id),
            pending_mtok=0,
            energy_available_wh=0,
            energy_held_wh=0,
            energy_pending_wh=0,
        )

    async def history(self, member_id: str, *, bookmark: str = "", size: int = 20) -> History:
        self._known(member_id)
        own = [entry for owner, entry in reversed(self.entries) if owner == member_id]
        start, size = int(bookmark or 0), max(1, min(size, 200))
        more = str(start + size) if len(own) > start + size else ""
        return History(entries=own[start : start + size], bookmark=more)

    async def exchange_quote(
        self, member_id: str, *, buys: bool, tokens_mtok: int
    ) -> ExchangeQuote | RefusedRequest:
        if not 1_000 <= tokens_mtok <= 1_000_000_000:
            return RefusedRequest(code=RefusalCode.OUT_OF_LIMITS, detail="1000..1000000000")
        quote = ExchangeQuote(
            quote_id=secrets.token_hex(16),
            member_id=member_id,
            buys=buys,
            tokens_mtok=tokens_mtok,
            won=-(-tokens_mtok // 1000) if buys else tokens_mtok // 1000,
            fee_won=0,
            won_per_token_milli=1000,
            expires_ns=self.clock.now_ns() + 300 * SECOND_NS,
        )
        self.quotes[quote.quote_id] = quote
        return quote

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | RefusedRequest:
        quote = self.quotes.get(quote_id)
        if quote is None:
            return RefusedRequest(code=RefusalCode.QUOTE_EXPIRED)
        if quote.member_id != member_id:
            return RefusedRequest(code=RefusalCode.NOT_YOURS)
        if quote_id in self.done:
            return self.done[quote_id]
        if self.clock.now_ns() >= quote.expires_ns:
            return RefusedRequest(code=RefusalCode.QUOTE_EXPIRED)
        self.done[quote_id] = done = self._exchanged(quote)
        return done

    def _exchanged(self, quote: ExchangeQuote) -> Exchanged | RefusedRequest:
        member_id, change = quote.member_id, quote.tokens_mtok if quote.buys else -quote.tokens_mtok
        available_mtok = self.tokens.get(member_id, 0)
        if available_mtok + change < 0:
            return RefusedRequest(
                code=RefusalCode.INSUFFICIENT_TOKENS if available_mtok else RefusalCode.ZERO_TOKENS
            )
        self.tokens[member_id] = available_mtok + change
        done = Exchanged(
            reference=f"{'dep' if quote.buys else 'pay'}:{quote.quote_id}",
            buys=quote.buys,
            tokens_mtok=quote.tokens_mtok,
            won=quote.won,
            fee_won=quote.fee_won,
            tx_id=secrets.token_hex(32),
            block=len(self.done) + 1,
        )
        self._enter(
            member_id,
            "token.mint" if quote.buys else "token.burn",
            done.reference,
            tx_id=done.tx_id,
            tokens_mtok=change,
        )
        return done

    async def notices(self) -> Sequence[Notice]:
        now_ns = self.clock.now_ns()
        valid = [one for one in self.told.values() if one.until_ns is None or one.until_ns > now_ns]
        return sorted(valid, key=lambda one: (-one.at_ns, one.notice_id))

    async def publish(self, notice: Notice) -> None:
        self.told[notice.notice_id] = notice

    async def withdraw(self, notice_id: str) -> None:
        self.told.pop(notice_id, None)

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        return [
            one
            for one in reversed(self.standing.values())
            if one.member_id == member_id and one.status == "OPEN"
        ]

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        kind = self.people[member_id][0].kind
        if kind == "EV":
            return RefusedRequest(code="WRONG_KIND")
        refusal = self._set_aside(member_id, new) if kind == "INDUSTRY" else self._put_in(member_id, new)
        if refusal is not None:
            return refusal
        product: Product = "CHARGE" if kind == "PRODUCER" else "DISCHARGE"
        offer = StandingOffer(
            offer_id=f"offer:{secrets.token_hex(16)}",
            member_id=member_id,
            product=product,
            amount=new.energy_wh or new.tokens_mtok,
            left=new.energy_wh or new.tokens_mtok,
            limit_mtok_per_kwh=new.limit_mtok_per_kwh,
            valid_from_s=new.valid_from_s,
            valid_to_s=new.valid_to_s,
            status="OPEN",
            lot_id=new.lot_id,
        )
        self.standing[offer.offer_id] = offer
        return offer

    def _set_aside(self, member_id: str, new: NewOffer) -> RefusedRequest | None:
        if new.tokens_mtok <= 0 or new.lot_id or new.energy_wh:
            return bad_field("tokens_mtok")
        if self.tokens.get(member_id, 0) < new.tokens_mtok:
            return RefusedRequest(
                code=RefusalCode.INSUFFICIENT_TOKENS
                if self.tokens.get(member_id)
                else RefusalCode.ZERO_TOKENS
            )
        self.tokens[member_id] -= new.tokens_mtok
        return None

    def _put_in(self, member_id: str, new: NewOffer) -> RefusedRequest | None:
        if new.energy_wh <= 0 or new.tokens_mtok:
            return bad_field("energy_wh")
        owner, free_wh = self.lots.get(new.lot_id, ("", 0))
        if not owner:
            return RefusedRequest(code="LOT_UNKNOWN")
        if owner != member_id:
            return RefusedRequest(code=RefusalCode.NOT_YOURS)
        if free_wh < new.energy_wh:
            return RefusedRequest(code="INSUFFICIENT_ENERGY")
        self.lots[new.lot_id] = (owner, free_wh - new.energy_wh)
        return None

    async def close_offer(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        offer = self.standing.get(offer_id)
        if offer is None:
            return RefusedRequest(code="OFFER_UNKNOWN")
        if offer.member_id != member_id:
            return RefusedRequest(code=RefusalCode.NOT_YOURS)
        if offer.status == "CLOSED":
            return None
        self.standing[offer_id] = replace(offer, status="CLOSED", left=0)
        if offer.product == "DISCHARGE":
            self.tokens[member_id] += offer.left
        else:
            self.lots[offer.lot_id] = (member_id, self.lots[offer.lot_id][1] + offer.left)
        return None
