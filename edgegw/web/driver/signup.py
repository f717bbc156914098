"""Sign-up: name, contact, login name and password, and consent to what is stored where.

Decides fields and their lengths; the representative decides what makes a person unique and what goes on the ledger. Stores
nothing itself.
"""

import re
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.throttle import Throttle
from edgegw.ports.representative import Kind, Newcomer, RefusalCode, RefusedRequest
from edgegw.web.application import action, page
from edgegw.web.driver.code_messages import refusal_text
from edgegw.web.driver.login import HOME, PASSWORD_LENGTH_MAX, entered
from edgegw.web.formatting import visitor
from edgegw.web.forms import Form
from edgegw.web.pages import Pages, Word, local, see_other
from edgegw.web.visitor_login import address_of, visitor_of

PASSWORD_LENGTH_MIN = 10
NAME_LENGTH_MAX = 100
CONTACT_LENGTH_MAX = 254
_LOGIN = re.compile(r"[^\s:/\\]{3,64}")
_MAIL = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,64}@[^\s@<>()\[\],;:\"\\]+\.[^\s@<>()\[\],;:\"\\]{2,63}")
_PHONE = re.compile(r"\+?[0-9][0-9 ().-]{6,24}")


def routes(pages: Pages, throttle: Throttle, *, home: str = HOME, kind: Kind = "EV") -> Sequence[BaseRoute]:
    """The sign-up form for members of a kind; it leads to `home` if no other page was requested."""
    sign_up = _SignUp(pages, throttle, home=home, kind=kind)
    return [page("/signup", sign_up.look), action(pages, "/signup", sign_up.send)]


class _SignUp:
    """Handlers of the form."""

    def __init__(self, pages: Pages, throttle: Throttle, *, home: str, kind: Kind) -> None:
        self._pages = pages
        self._throttle = throttle
        self._home = home
        self._kind = kind
        self._site = pages.site

    async def look(self, request: Request) -> Response:
        known = await visitor_of(request, self._site)
        to = local(request.query_params.get("next", ""), self._home)
        if known.profile is not None:
            return see_other(to)
        return await self._pages.answer(
            request, "driver/signup.html", form=Form(), to=to, problem="", kind=self._kind
        )

    async def send(self, request: Request, form: Form) -> Response:
        language = visitor(request).language
        word = self._pages.word(language)
        to = local(form.text("next", 300), self._home)

        def again(form: Form, problem: str = "") -> Response:
            return self._pages.draw(
                request, "driver/signup.html", status=422, form=form, to=to, problem=problem, kind=self._kind
            )

        if not self._throttle.admits(address_of(request)):
            return self._pages.draw(request, "refused.html", status=429, code="EGW-3011")
        if faults := _faults(form, word):
            return again(form.faulty(**faults))
        newcomer = Newcomer(
            login=form.text("login"),
            password=form.values["password"],
            name=form.text("name"),
            contact=form.text("contact", CONTACT_LENGTH_MAX),
            language=language,
            kind=self._kind,
        )
        profile = await self._site.representative.sign_up(newcomer)
        if isinstance(profile, RefusedRequest):
            faults = refused_fields(profile, word)
            return again(form.faulty(**faults), "" if faults else refusal_text(profile, word))
        opened = await self._site.representative.log_in(
            newcomer.login, newcomer.password, source=address_of(request)
        )
        if isinstance(opened, RefusedRequest):
            return see_other("/login")
        return await entered(request, self._site, opened, to=to)


def _faults(form: Form, word: Word) -> dict[str, str]:
    """Return the error messages of all fields, before the representative is called."""
    found = about_faults(form, word)
    if not _LOGIN.fullmatch(form.values.get("login", "").strip()):
        found["login"] = word("Enter a login name of 3 to 64 letters or digits, without spaces.")
    if fault := password_fault(form.values.get("password", ""), word):
        found["password"] = fault
    if form.values.get("consent") != "1":
        found["consent"] = word("To open an account, give your consent.")
    return found


def about_faults(form: Form, word: Word) -> dict[str, str]:
    """Return the error messages of name and contact by field."""
    found = {}
    name, contact = form.values.get("name", "").strip(), form.values.get("contact", "").strip()
    if not 0 < len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        found["name"] = word("Enter your name, at most 100 characters.")
    if len(contact) > CONTACT_LENGTH_MAX or not (_MAIL.fullmatch(contact) or _PHONE.fullmatch(contact)):
        found["contact"] = word(
            "Enter an e-mail address or a telephone number, for example mina@example.org or 010-1234-5678."
        )
    return found


def password_fault(password: str, word: Word) -> str:
    """Return the error message of a new password; "" if it is acceptable."""
    if len(password) > PASSWORD_LENGTH_MAX:
        return word("Enter a password of at most 256 characters.")
    return (
        refusal_text(RefusedRequest(code=RefusalCode.WEAK_PASSWORD), word)
        if len(password) < PASSWORD_LENGTH_MIN
        else ""
    )


def refused_fields(refusal: RefusedRequest, word: Word) -> dict[str, str]:
    """Return a refusal as an error message beside its field; empty if it concerns no field."""
    if refusal.code == RefusalCode.WEAK_PASSWORD:
        return {"password": refusal_text(refusal, word)}
    if refusal.code == RefusalCode.BAD_FIELD and refusal.detail in {"login", "name", "contact"}:
        return {refusal.detail: word("This value is not valid. Correct it.")}
    return {}
