"""Format quantities for one visitor: `formats` with the visitor's language and the site's time zone.

Decides nothing; templates get a `Shown` as `show`. CSV files do not use it: they are the same in every language.
"""

from dataclasses import dataclass
from datetime import tzinfo

from starlette.requests import Request
from starlette.responses import Response

from edgegw.common.units import SECOND_NS
from edgegw.ports.representative import Language, Profile
from edgegw.web import formats
from edgegw.web.site import Site
from edgegw.web.visitor_login import Visitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Formats quantities in one language and time zone; each docstring shows an English example."""

    language: Language
    zone: tzinfo

    def tokens(self, amount_mtok: int) -> str:
        """58.6 tokens."""
        return formats.tokens(amount_mtok, self.language)

    def signed_tokens(self, amount_mtok: int) -> str:
        """+58.6 tokens: a change."""
        return f"{'+' if amount_mtok > 0 else ''}{self.tokens(amount_mtok)}"

    def won(self, amount_won: int) -> str:
        """5,860 KRW."""
        return formats.won(amount_won, self.language)

    def price(self, price_mtok_per_kwh: int) -> str:
        """162.6 tokens/kWh."""
        return formats.price(price_mtok_per_kwh, self.language)

    def kwh(self, energy_wh: int) -> str:
        """1.234 kWh, exactly: a receipt's energy times its price must be its amount."""
        return formats.kwh(energy_wh, places=3)

    def thousandths(self, value: int) -> str:
        """1,234.567: for a table with the unit in its head."""
        return formats.decimal(value, scale=3, places=3)

    def signed_kwh(self, energy_wh: int) -> str:
        """+1.234 kWh: a change."""
        return f"{'+' if energy_wh > 0 else ''}{self.kwh(energy_wh)}"

    def percent(self, share_bp: int) -> str:
        """80.5%."""
        return formats.percent(share_bp)

    def distance(self, distance_m: int) -> str:
        """350 m."""
        return formats.distance(distance_m)

    def time(self, at_ns: int) -> str:
        """Date and time of day."""
        return formats.date_time(at_ns, self.zone, self.language)

    def clock(self, at_ns: int) -> str:
        """Time of day."""
        return formats.clock(at_ns, self.zone)

    def quarter(self, interval: int) -> str:
        """06:00-06:15: the quarter hour that begins at this UTC second."""
        return formats.span(interval * SECOND_NS, (interval + 900) * SECOND_NS, self.zone)

    def machine(self, at_ns: int) -> str:
        """ISO 8601, for the `datetime` attribute."""
        return formats.machine_time(at_ns, self.zone)


def shown_to(request: Request, site: Site) -> Shown:
    """Return the formatter of the visitor; the visitor is looked up already."""
    return Shown(language=visitor(request).language, zone=site.settings.time_zone)


def visitor(request: Request) -> Visitor:
    """Return the visitor of a request; the visitor is looked up already."""
    known: Visitor = request.state.visitor
    return known


def member(request: Request) -> Profile:
    """Return the member of a request; only for handlers behind `application.for_members`."""
    profile = visitor(request).profile
    assert profile is not None
    return profile


def csv_file(name: str, content: bytes) -> Response:
    """Return a CSV download named `name`.csv."""
    return Response(
        content,
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )
