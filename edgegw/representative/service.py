"""Implements the representative in this process: sign-up, logins, profiles, cards and notices of members.

Decides the order of writes to store and ledger, so that an interrupted request can be repeated; `member_accounts` serves
the accounts. Personal data never reaches the ledger.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from edgegw.common.errors import JournalError
from edgegw.common.member_terms import MemberTerms
from edgegw.common.throttle import Backoff, Throttle
from edgegw.contract.codes import Code
from edgegw.ledger import BusinessRefusal, LedgerError
from edgegw.ports.representative import (
    Card,
    Defaults,
    Kind,
    Login,
    Newcomer,
    Notice,
    Profile,
    RefusalCode,
    RefusedRequest,
    RepresentativeError,
)
from edgegw.representative import ledger_accounts
from edgegw.representative.encryption import Passwords
from edgegw.representative.ledger_accounts import Enrolment
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.logins import LoginStore
from edgegw.representative.member_accounts import (
    ExchangeCounter,
    MemberAccounts,
    OfferBook,
    away,
    refused,
)
from edgegw.representative.members import MemberStatus
from edgegw.representative.person_fields import (
    Person,
    bad_field,
    fault_of,
    folded_login,
    password_fault,
    shown,
)

ID_TOKEN_LENGTH_MAX = 36  # OCPP 2: IdTokenType
LABEL_LENGTH_MAX = 40
NAME_FREE = 5
SOURCE_FREE = 30  # a family's phones, or a station's, share an address
EV_KINDS: tuple[Kind, ...] = ("EV",)
_OPEN = (MemberStatus.ACTIVE, MemberStatus.SUSPENDED)
_LOGINS_TRACKED_MAX = 4096
Result = TypeVar("Result")


def login_throttles(monotonic_s: Callable[[], float]) -> tuple[Throttle, Throttle]:
    """Return the throttles of logins by name and by source address: a pause of 15 s, doubled up to 15 minutes."""
    by_name, by_source = (
        Throttle(
            Backoff(free=free, first_s=15.0, max_s=900.0, forgiven_s=3600.0),
            monotonic_s,
            keys_max=_LOGINS_TRACKED_MAX,
        )
        for free in (NAME_FREE, SOURCE_FREE)
    )
    return by_name, by_source


class RepresentativeService(MemberAccounts):
    """`ports.representative.Representative` with a store and a ledger client of the role `representative`.

    `kinds`: the kinds of members that this organisation signs up. `now_ns`: UTC of the station's clock.
    The first call opens the store, in a thread of its own; call `close` at the end.
    """

    def __init__(
        self,
        store: Path,
        key: bytes,
        ledger: LedgerPort,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
        kinds: Collection[Kind] = EV_KINDS,
        counter: ExchangeCounter | None = None,
        book: OfferBook | None = None,
    ) -> None:
        super().__init__(ledger, counter=counter, book=book)
        self._place, self._key = store, key
        self._now_ns = now_ns
        self._kinds = frozenset(kinds)
        self._passwords = Passwords()
        self._names, self._sources = login_throttles(monotonic_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="members")
        self._opened: LoginStore | None = None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def close(self) -> None:
        """Cancel background sweeps and close the store."""
        await self._end_sweeps()
        self._passwords.close()
        await self._within(self._close_store)
        self._thread.shutdown()

    # --- members ----------------------------------------------------------------------------------------------------

    async def sign_up(self, newcomer: Newcomer) -> Profile | RefusedRequest:
        """See Representative. A repeat with the same login and password resumes; the login name remains reserved."""
        person = Person(
            login=newcomer.login,
            name=shown(newcomer.name),
            contact=shown(newcomer.contact),
            language=newcomer.language,
            kind=newcomer.kind,
        )
        fault = fault_of(person) or password_fault(newcomer.password, newcomer.login)
        if newcomer.kind not in self._kinds:
            fault = bad_field("kind")
        if fault is not None:
            return fault
        async with self._turn(person.identity):
            password_hash = await self._passwords.hash(newcomer.password)
            entered = await self._ask(lambda store: store.enter(person, password_hash))
            if isinstance(entered, RefusalCode):
                return RefusedRequest(code=entered)
            if entered.password_hash != password_hash:  # registered before: is it the same form again?
                again = entered.same_login and entered.status is MemberStatus.NEW
                if not again or not await self._passwords.fits(entered.password_hash, newcomer.password):
                    return RefusedRequest(code=RefusalCode.DUPLICATE_MEMBER)
            return await self._sign_up(entered.enrolment)

    async def _sign_up(self, enrolment: Enrolment) -> Profile | RefusedRequest:
        member_id = enrolment.member_id
        try:
            await ledger_accounts.sign_up(self._ledger, enrolment)
        except BusinessRefusal as refusal:
            await self._ask(lambda store: store.forget_new(member_id))
            return refused(refusal)
        except LedgerError as fault:
            raise away(fault) from fault
        await self._ask(lambda store: store.set_status(member_id, MemberStatus.ACTIVE))
        return await self._known(member_id)

    async def log_in(self, login: str, password: str, *, source: str) -> Login | RefusedRequest:
        """See Representative. An unknown name takes the same time as a wrong password."""
        name = folded_login(login)[:256]
        wait_s = max(self._names.wait_s(name), self._sources.wait_s(source))
        if wait_s > 0:
            return RefusedRequest(code=RefusalCode.TOO_MANY_TRIES, detail=str(int(wait_s) + 1))
        self._names.count(name)
        self._sources.count(source)
        known = await self._ask(lambda store: store.known(login))
        is_member = known is not None and known.status in _OPEN
        fits = await self._passwords.fits(known.password_hash if known and is_member else None, password)
        if known is None or not fits:
            return RefusedRequest(code=RefusalCode.WRONG_LOGIN)
        self._names.forget(name)
        self._sources.take_back(source)
        member_id, now_ns = known.member_id, self._now_ns()
        return await self._ask(lambda store: store.open_login(member_id, now_ns))

    async def who(self, token: str) -> Profile | None:
        """See Representative."""
        now_ns = self._now_ns()
        return await self._ask(lambda store: store.whose(token, now_ns))

    async def log_out(self, token: str) -> None:
        """See Representative."""
        await self._ask(lambda store: store.end_login(token))

    async def change(self, profile: Profile, *, password: str | None = None) -> Profile | RefusedRequest:
        """See Representative. Login name and kind cannot change; a new password ends all logins."""
        member_id, person = profile.member_id, Person.of(profile)
        async with self._turn(member_id), self._turn(person.identity):
            now = await self._ask(lambda store: store.profile(member_id))
            if now is None:
                return RefusedRequest(code=RefusalCode.UNKNOWN_MEMBER)
            fault = _change_fault(person, now, password)
            if fault is not None:
                return fault
            if profile.version != now.version:
                return RefusedRequest(code=RefusalCode.VERSION_MISMATCH, detail=str(now.version))
            changed = await self._change(now, person)
            if password is not None and isinstance(changed, Profile):
                password_hash = await self._passwords.hash(password)
                await self._ask(lambda store: store.set_password(member_id, password_hash))
            return changed

    async def _change(self, now: Profile, person: Person) -> Profile | RefusedRequest:
        member_id = now.member_id
        if await self._ask(lambda store: store.is_taken(person, member_id)):
            return RefusedRequest(code=RefusalCode.DUPLICATE_MEMBER)
        before, after = await self._ask(lambda store: store.commitment(member_id, person))
        version = now.version
        if before != after:
            refusal = await self._update(now, after)
            if refusal is not None:
                return refusal
            version += 1
        changed = await self._ask(lambda store: store.change(member_id, person, version=version))
        return changed or RefusedRequest(code=RefusalCode.DUPLICATE_MEMBER)

    async def _update(self, now: Profile, commitment: str) -> RefusedRequest | None:
        """Update the commitment on the ledger; after VERSION_MISMATCH, take over the ledger's version into the store."""
        update = {
            "memberId": now.member_id,
            "expectedVersion": now.version,
            "commitment": commitment,
        }
        try:
            await self._ledger.execute("Update", update)
        except BusinessRefusal as refusal:
            if refusal.code == Code.VERSION_MISMATCH:
                stored = await self._evaluate("GetMember", {"memberId": now.member_id})
                await self._ask(
                    lambda store: store.follow(now.member_id, stored["version"], stored["commitment"])
                )
            return refused(refusal)
        except LedgerError as fault:
            raise away(fault) from fault
        return None

    async def remember(self, member_id: str, defaults: Defaults) -> None:
        """See Representative."""
        await self._ask(lambda store: store.remember(member_id, defaults))

    async def export(self, member_id: str) -> dict[str, object]:
        """See Representative. Empty where nothing is stored."""
        kept = await self._ask(lambda store: store.kept(member_id)) or {}
        if kept and self._counter is not None:
            kept["exchanges"] = [asdict(one) for one in await self._counter.made(member_id)]
        return kept

    async def leave(self, member_id: str) -> RefusedRequest | None:
        """See Representative. Safe to repeat; refused while the member has tokens, a hold or an unfinished exchange."""
        async with self._turn(member_id):
            status = await self._ask(lambda store: store.status(member_id))
            if status is None:
                return RefusedRequest(code=RefusalCode.UNKNOWN_MEMBER)
            if status in _OPEN:
                refusal = await self._still_busy(member_id)
                if refusal is not None:
                    return refusal
            if status is not MemberStatus.LEFT:
                try:
                    await ledger_accounts.leave(
                        self._ledger, member_id, signed_up=status is not MemberStatus.NEW
                    )
                except BusinessRefusal as refusal:
                    return refused(refusal)
                except LedgerError as fault:
                    raise away(fault) from fault
                await self._ask(lambda store: store.set_status(member_id, MemberStatus.LEFT))
            return None

    # --- cards ------------------------------------------------------------------------------------------------------

    async def cards(self, member_id: str) -> Sequence[Card]:
        """See Representative."""
        return await self._ask(lambda store: store.cards(member_id))

    async def link_card(
        self, member_id: str, id_token: str, *, label: str, terms: MemberTerms
    ) -> Card | RefusedRequest:
        """See Representative. The member id in `terms` is replaced by `member_id`."""
        label = shown(label)
        if not 1 <= len(id_token.strip()) <= ID_TOKEN_LENGTH_MAX or not id_token.isprintable():
            return bad_field("id_token")
        if len(label) > LABEL_LENGTH_MAX or not label.isprintable():
            return bad_field("label")
        agreed = replace(terms, member_id=member_id)
        card = await self._ask(lambda store: store.add_card(id_token.strip(), label, agreed))
        if isinstance(card, RefusalCode):
            return RefusedRequest(code=card, detail="cards" if card is RefusalCode.BAD_FIELD else "")
        return card

    async def unlink_card(self, member_id: str, card_id: str) -> RefusedRequest | None:
        """See Representative."""
        removed = await self._ask(lambda store: store.remove_card(member_id, card_id))
        return None if removed else RefusedRequest(code=RefusalCode.UNKNOWN_CARD)

    async def card_links(self) -> tuple[str, dict[str, MemberTerms]]:
        """Return the key of the card hashes of remote stations (hex), and the terms by such hashes."""
        return await self._ask(lambda store: (store.card_key.hex(), dict(store.shared_links())))

    async def state(self) -> tuple[int, int]:
        """Return a value that changes with every write to the store."""
        return await self._ask(lambda store: store.state())

    # --- notices ----------------------------------------------------------------------------------------------------

    async def notices(self) -> Sequence[Notice]:
        """See Representative. Expired notices are left out."""
        now_ns = self._now_ns()
        return await self._ask(lambda store: store.notices(now_ns))

    async def publish(self, notice: Notice) -> None:
        """See Representative."""
        await self._ask(lambda store: store.publish(notice))

    async def withdraw(self, notice_id: str) -> None:
        """See Representative."""
        await self._ask(lambda store: store.withdraw(notice_id))

    # --- helpers ----------------------------------------------------------------------------------------------------

    async def _known(self, member_id: str) -> Profile | RefusedRequest:
        return await self._ask(lambda store: store.profile(member_id)) or RefusedRequest(
            code=RefusalCode.UNKNOWN_MEMBER
        )

    def _turn(self, name: str) -> asyncio.Lock:
        """Return the lock of a member or contact; it is released from memory when no request uses it."""
        lock = self._turns.get(name)
        if lock is None:
            lock = self._turns[name] = asyncio.Lock()
        return lock

    async def _ask(self, question: Callable[[LoginStore], Result]) -> Result:
        """Query the store in its thread; raises RepresentativeError where it cannot be read or written."""

        def answer() -> Result:
            if self._opened is None:
                self._opened = LoginStore(self._place, self._key)
            return question(self._opened)

        try:
            return await self._within(answer)
        except JournalError as fault:
            raise RepresentativeError(f"the members' store cannot be used: {fault}") from fault

    async def _within(self, call: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _close_store(self) -> None:
        if self._opened is not None:
            self._opened.close()


def _change_fault(person: Person, now: Profile, password: str | None) -> RefusedRequest | None:
    for name in ("login", "kind"):
        if getattr(person, name) != getattr(now, name):
            return bad_field(name)
    return fault_of(person) or (None if password is None else password_fault(password, now.login))
