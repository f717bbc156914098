"""The representative in memory, for tests: a fake of `edgegw.office.Office` on which the conformance suite of offices runs too."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edgegw.core.events import MemberTerms
from edgegw.office import (
    Balance,
    Card,
    Defaults,
    Entry,
    Exchanged,
    ExchangeQuote,
    History,
    Login,
    Newcomer,
    NewOffer,
    No,
    Notice,
    Profile,
    Refusal,
    StandingOffer,
)
from edgegw.units import SECOND_NS

NOW_S = 1_781_060_400  # 2026-06-10 12:00 in Seoul


@dataclass
class StoodClock:
    """A clock that stands until it is set."""

    at_ns: int = NOW_S * SECOND_NS

    def now_ns(self) -> int:
        return self.at_ns

    def real_seconds(self, duration_ns: int) -> float:
        return duration_ns / SECOND_NS

    async def sleep_until(self, at_ns: int) -> None:
        self.at_ns = max(self.at_ns, at_ns)


@dataclass
class FakeOffice:
    """The representative in memory: won and tokens one to one, without a fee."""

    clock: StoodClock = field(default_factory=StoodClock)
    people: dict[str, tuple[Profile, str]] = field(default_factory=dict)
    logins: dict[str, str] = field(default_factory=dict)
    linked: dict[str, tuple[str, Card]] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    entries: list[tuple[str, Entry]] = field(default_factory=list)
    quotes: dict[str, ExchangeQuote] = field(default_factory=dict)
    done: dict[str, Exchanged] = field(default_factory=dict)
    told: dict[str, Notice] = field(default_factory=dict)
    standing: dict[str, StandingOffer] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)

    async def sign_up(self, newcomer: Newcomer) -> Profile | Refusal:
        if len(newcomer.password) < 10:
            return Refusal(code=No.WEAK_PASSWORD)
        for known, _ in self.people.values():
            if known.login == newcomer.login:
                return Refusal(code=No.LOGIN_TAKEN)
            if known.contact == newcomer.contact:
                return Refusal(code=No.DUPLICATE_MEMBER)
        profile = Profile(
            member_id=secrets.token_hex(13),
            login=newcomer.login,
            name=newcomer.name,
            contact=newcomer.contact,
            language=newcomer.language,
            kind=newcomer.kind,
        )
        self.people[profile.member_id] = (profile, newcomer.password)
        return profile

    async def log_in(self, login: str, password: str, *, source: str) -> Login | Refusal:  # noqa: ARG002 - the port's
        if self.tries.get(login, 0) >= 5:
            return Refusal(code=No.TOO_MANY_TRIES)
        for profile, secret in self.people.values():
            if (profile.login, secret) == (login, password):
                token = secrets.token_hex(32)
                self.logins[token] = profile.member_id
                return Login(
                    token=token,
                    member_id=profile.member_id,
                    expires_ns=self.clock.now_ns() + 86_400 * SECOND_NS,
                )
        self.tries[login] = self.tries.get(login, 0) + 1
        return Refusal(code=No.WRONG_LOGIN)

    async def who(self, token: str) -> Profile | None:
        member_id = self.logins.get(token, "")
        return self.people[member_id][0] if member_id in self.people else None

    async def log_out(self, token: str) -> None:
        self.logins.pop(token, None)

    async def change(self, profile: Profile, *, password: str | None = None) -> Profile | Refusal:
        known, secret = self.people[profile.member_id]
        if profile.version != known.version:
            return Refusal(code=No.VERSION_MISMATCH)
        if password is not None and len(password) < 10:
            return Refusal(code=No.WEAK_PASSWORD)
        changed = replace(profile, version=known.version + (profile.contact != known.contact))
        self.people[profile.member_id] = (changed, password or secret)
        if password is not None:
            self.logins = {token: one for token, one in self.logins.items() if one != profile.member_id}
        return changed

    async def remember(self, member_id: str, defaults: Defaults) -> None:
        profile, secret = self.people[member_id]
        self.people[member_id] = (replace(profile, defaults=defaults), secret)

    async def export(self, member_id: str) -> dict[str, object]:
        profile, _ = self.people[member_id]
        return {"member_id": member_id, "name": profile.name, "contact": profile.contact}

    async def leave(self, member_id: str) -> Refusal | None:
        if self.tokens.get(member_id):
            return Refusal(code=No.STILL_BUSY)
        self.people.pop(member_id, None)
        self.logins = {token: one for token, one in self.logins.items() if one != member_id}
        self.linked = {token: one for token, one in self.linked.items() if one[0] != member_id}
        return None

    async def cards(self, member_id: str) -> Sequence[Card]:
        return [card for owner, card in self.linked.values() if owner == member_id]

    async def link_card(
        self, member_id: str, id_token: str, *, label: str, terms: MemberTerms
    ) -> Card | Refusal:
        if self.linked.get(id_token, (member_id,))[0] != member_id:
            return Refusal(code=No.CARD_TAKEN)
        card = Card(card_id=secrets.token_hex(8), label=label)
        self.linked[id_token] = (terms.member_id, card)
        return card

    async def unlink_card(self, member_id: str, card_id: str) -> Refusal | None:
        for token, (owner, card) in list(self.linked.items()):
            if (owner, card.card_id) == (member_id, card_id):
                del self.linked[token]
                return None
        return Refusal(code=No.UNKNOWN_CARD)

    async def balance(self, member_id: str) -> Balance:
        return Balance(
            available_mtok=self.tokens.get(member_id, 0),
            held_mtok=0,
            pending_mtok=0,
            energy_available_wh=0,
            energy_held_wh=0,
            energy_pending_wh=0,
        )

    async def history(self, member_id: str, *, bookmark: str = "", size: int = 20) -> History:
        own = [entry for owner, entry in reversed(self.entries) if owner == member_id]
        start = int(bookmark or 0)
        more = str(start + size) if len(own) > start + size else ""
        return History(entries=own[start : start + size], bookmark=more)

    async def exchange_quote(
        self, member_id: str, *, buys: bool, tokens_mtok: int
    ) -> ExchangeQuote | Refusal:
        if not 0 < tokens_mtok <= 1_000_000_000:
            return Refusal(code=No.OUT_OF_LIMITS)
        if not buys and self.tokens.get(member_id, 0) < tokens_mtok:
            return Refusal(code=No.INSUFFICIENT_TOKENS)
        quote = ExchangeQuote(
            quote_id=secrets.token_hex(8),
            member_id=member_id,
            buys=buys,
            tokens_mtok=tokens_mtok,
            won=tokens_mtok // 1000,
            fee_won=0,
            won_per_token_milli=1000,
            expires_ns=self.clock.now_ns() + 300 * SECOND_NS,
        )
        self.quotes[quote.quote_id] = quote
        return quote

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | Refusal:
        if quote_id in self.done:
            return self.done[quote_id]
        quote = self.quotes.get(quote_id)
        if quote is None or quote.member_id != member_id:
            return Refusal(code=No.NOT_YOURS)
        if self.clock.now_ns() > quote.expires_ns:
            return Refusal(code=No.QUOTE_EXPIRED)
        change = quote.tokens_mtok if quote.buys else -quote.tokens_mtok
        self.tokens[member_id] = self.tokens.get(member_id, 0) + change
        done = Exchanged(
            reference=f"{'deposit' if quote.buys else 'payout'}:{quote_id}",
            buys=quote.buys,
            tokens_mtok=quote.tokens_mtok,
            won=quote.won,
            fee_won=quote.fee_won,
            tx_id=secrets.token_hex(32),
            block=len(self.done) + 1,
        )
        self.done[quote_id] = done
        self.entries.append(
            (
                member_id,
                Entry(
                    type="token.mint" if quote.buys else "token.burn",
                    id=done.reference,
                    tokens_mtok=change,
                    energy_wh=0,
                    at_ns=self.clock.now_ns(),
                    tx_id=done.tx_id,
                ),
            )
        )
        return done

    async def notices(self) -> Sequence[Notice]:
        now_ns = self.clock.now_ns()
        valid = [one for one in self.told.values() if one.until_ns is None or one.until_ns > now_ns]
        return sorted(valid, key=lambda one: -one.at_ns)

    async def publish(self, notice: Notice) -> None:
        self.told[notice.notice_id] = notice

    async def withdraw(self, notice_id: str) -> None:
        self.told.pop(notice_id, None)

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        return [one for one in self.standing.values() if one.member_id == member_id]

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | Refusal:
        offer = StandingOffer(
            offer_id=secrets.token_hex(8),
            member_id=member_id,
            product="CHARGE" if new.lot_id else "DISCHARGE",
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

    async def close_offer(self, member_id: str, offer_id: str) -> Refusal | None:
        offer = self.standing.get(offer_id)
        if offer is None or offer.member_id != member_id:
            return Refusal(code=No.NOT_YOURS)
        del self.standing[offer_id]
        return None
