"""Render templates: one Jinja environment for each language, autoescape on, an undefined name raises.

Decides how a page is rendered and which values every page gets (visitor, site, addresses of assets). Calls the
representative only to look up the visitor's login.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from edgegw.ports.representative import Language
from edgegw.web import assets
from edgegw.web.catalogues import LANGUAGES, catalogue
from edgegw.web.site import Site
from edgegw.web.visitor_login import remember, stranger_of, visitor_of

TEMPLATES = Path(__file__).parent / "templates"

Word = Callable[[str], str]


class _Loader(FileSystemLoader):
    """Loads templates from their folder, with substitutes: shared pages are drawn in the frame of an area."""

    def __init__(self, instead: Mapping[str, str]) -> None:
        super().__init__(TEMPLATES)
        self._instead = instead

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        return super().get_source(environment, self._instead.get(template, template))


class Pages:
    """Renders templates for the visitors of one site."""

    def __init__(self, site: Site, *, instead: Mapping[str, str] = MappingProxyType({})) -> None:
        """`instead` maps a template to the one that is loaded in its place."""
        self.site = site
        self._loader = _Loader(instead)
        self.assets = assets.read()
        self._environments = {language: self._environment(language) for language in LANGUAGES}

    def word(self, language: Language) -> Word:
        """Return the gettext function of a language, for texts made in Python."""
        return catalogue(language).gettext

    async def answer(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return the page `template` (a file below templates/) for this visitor; raises RepresentativeError."""
        await visitor_of(request, self.site)
        return self.draw(request, template, status=status, **values)

    def draw(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return the page without a look-up: for the visitor of this request, if known, else for an anonymous one."""
        visitor = getattr(request.state, "visitor", None) or stranger_of(request, self.site)
        text = self.text(template, visitor.language, {"visitor": visitor, "path": request.url.path, **values})
        response = HTMLResponse(text, status_code=status)
        remember(response, request, self.site)
        return response

    def text(self, template: str, language: Language, values: Mapping[str, Any]) -> str:
        """Render a template: a whole page or a fragment."""
        return self._environments[language].get_template(template).render(values)

    def _environment(self, language: Language) -> Environment:
        environment = Environment(
            loader=self._loader,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.install_gettext_translations(catalogue(language), newstyle=True)  # type: ignore[attr-defined]  # the i18n extension's
        environment.globals |= {
            "site": self.site.settings,
            "language": language,
            "at_station": self.site.station is not None,
            "asset": lambda name: self.assets[name].address,
        }
        return environment


def see_other(address: str) -> Response:
    """Redirect after a POST (303), so that a reload does not send the form again."""
    return RedirectResponse(address, status_code=303)


def local(address: str, otherwise: str = "/") -> str:
    """Return `address` if it is a path on this server, else `otherwise`: prevents open redirects."""
    is_local = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if is_local and len(address) <= 300 else otherwise
