"""The member's profile: name, contact, language, password and defaults of the order forms.

Decides what the forms accept; the representative decides what goes on the ledger. A new password needs the old one, ends
every login, and begins a new login for this browser.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.throttle import Throttle
from edgegw.ports.representative import Defaults, Profile, RefusedRequest
from edgegw.web.application import action_for_members, for_members, page
from edgegw.web.catalogues import LANGUAGES
from edgegw.web.driver.code_messages import refusal_text
from edgegw.web.driver.login import entered, is_password
from edgegw.web.driver.preferences import faults_of, filled_in, texts_of
from edgegw.web.driver.signup import CONTACT_LENGTH_MAX, about_faults, password_fault, refused_fields
from edgegw.web.formatting import member, shown_to, visitor
from edgegw.web.forms import Form
from edgegw.web.pages import Pages, see_other
from edgegw.web.site import Site
from edgegw.web.visitor_login import YEAR_S, address_of, set_cookie

DONE = ("about", "password", "defaults")


def routes(pages: Pages, throttle: Throttle) -> Sequence[BaseRoute]:
    """The profile and its three forms."""
    forms = _Profile(pages, throttle)
    return [
        *(
            page(path, for_members(pages, forms.look))
            for path in ("/profile", "/profile/password", "/profile/defaults")
        ),
        action_for_members(pages, "/profile", forms.about),
        action_for_members(pages, "/profile/password", forms.password),
        action_for_members(pages, "/profile/defaults", forms.defaults),
    ]


class _Profile:
    """Handlers of the page and its three forms."""

    def __init__(self, pages: Pages, throttle: Throttle) -> None:
        self._pages = pages
        self._throttle = throttle
        self._site = pages.site

    def _draw(
        self, request: Request, forms: Mapping[str, Form], *, problem: str = "", status: int = 422
    ) -> Response:
        profile = member(request)
        done = request.query_params.get("done", "") if request.method == "GET" else ""
        return self._pages.draw(
            request,
            "driver/profile.html",
            status=status,
            forms={name: forms.get(name, Form()) for name in DONE},
            profile=profile,
            defaults=texts_of(profile.defaults),
            problem=problem,
            done=done if done in DONE else "",
            show=shown_to(request, self._site),
        )

    async def look(self, request: Request) -> Response:
        return self._draw(request, {}, status=200)

    async def about(self, request: Request, form: Form) -> Response:
        faults, problem = await _change(self._pages, request, form)
        if faults or problem:
            return self._draw(request, {"about": form.faulty(**faults)}, problem=problem)
        response = see_other("/profile?done=about")
        set_cookie(response, self._site, "lang", value=form.text("language"), seconds=YEAR_S)
        return response

    async def password(self, request: Request, form: Form) -> Response:
        if not self._throttle.admits(address_of(request)):
            return self._pages.draw(request, "refused.html", status=429, code="EGW-3011")
        if faults := await _new_password(self._pages, request, form):
            return self._draw(request, {"password": form.faulty(**faults)})
        return await _log_in_again(self._site, request, form.values["new_password"])

    async def defaults(self, request: Request, form: Form) -> Response:
        word = self._pages.word(visitor(request).language)
        profile = member(request)
        chosen = filled_in(form, profile.defaults)
        if not isinstance(chosen, Defaults):
            return self._draw(request, {"defaults": form.faulty(**faults_of(chosen, word))})
        await self._site.representative.remember(profile.member_id, chosen)
        return see_other("/profile?done=defaults")


async def _change(pages: Pages, request: Request, form: Form) -> tuple[dict[str, str], str]:
    """Change name, contact and language; return error messages by field, and one for the whole form."""
    word = pages.word(visitor(request).language)
    faults = about_faults(form, word)
    language = next((one for one in LANGUAGES if one == form.text("language")), None)
    if faults or language is None:
        return faults, "" if faults else word("The request failed.")
    changed = replace(
        member(request),
        name=form.text("name"),
        contact=form.text("contact", CONTACT_LENGTH_MAX),
        language=language,
        version=_version(form, member(request)),
    )
    answer = await pages.site.representative.change(changed)
    if not isinstance(answer, RefusedRequest):
        return {}, ""
    faults = refused_fields(answer, word)
    return faults, "" if faults else refusal_text(answer, word)


async def _new_password(pages: Pages, request: Request, form: Form) -> dict[str, str]:
    """Change the password; return error messages by field."""
    word = pages.word(visitor(request).language)
    new = form.values.get("new_password", "")
    if fault := password_fault(new, word):
        return {"new_password": fault}
    if wrong := await is_password(request, pages.site, form.values.get("current", "")):
        return {"current": refusal_text(wrong, word)}
    answer = await pages.site.representative.change(member(request), password=new)
    return {"new_password": refusal_text(answer, word)} if isinstance(answer, RefusedRequest) else {}


async def _log_in_again(site: Site, request: Request, password: str) -> Response:
    """Log this browser in again after all logins have ended."""
    opened = await site.representative.log_in(member(request).login, password, source=address_of(request))
    if isinstance(opened, RefusedRequest):
        return see_other("/login")
    return await entered(request, site, opened, to="/profile?done=password")


def _version(form: Form, profile: Profile) -> int:
    """Return the version of the membership that the form showed, for optimistic locking."""
    text = form.text("version", 9)
    return int(text) if text.isascii() and text.isdecimal() else profile.version
