"""The search for stations: the nearest ones on the ledger, as a list and as a map drawn here, without internet.

Decides the origin (this station, or a typed place), the radius and the order. Availability is known of this station only;
that of others is not guessed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.trade_terms import CHARGE, DISCHARGE, Product
from edgegw.common.units import INTERVAL_S, SECOND_NS
from edgegw.core.state import Phase
from edgegw.ports.representative import LedgerView, PriceShown, StationFound
from edgegw.web.application import page
from edgegw.web.charts import map as station_map
from edgegw.web.formatting import shown_to
from edgegw.web.forms import Form
from edgegw.web.geography import (
    GeoPoint,
    direction,
    distance_m,
    geohash_cell,
    geohash_of,
    walking_min,
)
from edgegw.web.pages import Pages, Word
from edgegw.web.site import Site
from edgegw.web.visitor_login import address_of, form_throttle, visitor_of

SHOWN_MAX = 20
ENOUGH = 5
LENGTHS = (4, 3, 2)  # geohash lengths of successive queries: about 20, 150 and 600 km around
WALK_MIN_MAX = 90
WHERE_LENGTH_MAX = 60
_NUMBER = r"[+-]?[0-9]{1,3}(?:\.[0-9]{1,15})?"
_COORDINATES = re.compile(rf"({_NUMBER})\s*[,\s]\s*({_NUMBER})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A station of the list, with its number on the map."""

    number: int
    found: StationFound
    place: GeoPoint
    away_m: int
    direction: str
    walk_min: int | None
    free: int | None  # None: not known
    is_own: bool

    @property
    def geo(self) -> str:
        """The `geo:` URI (RFC 5870), which opens the map of a phone."""
        return f"geo:{self.place.latitude_deg:.5f},{self.place.longitude_deg:.5f}"


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """The search."""
    site = pages.site
    throttle = form_throttle()  # a typed place may cost dozens of ledger queries

    async def search(request: Request) -> Response:
        known = await visitor_of(request, site)
        word = pages.word(known.language)
        typed = request.query_params.get("where", "").strip()
        if typed and not throttle.admits(address_of(request)):
            return pages.draw(request, "refused.html", status=429, code="EGW-3011")
        wish = request.query_params.get("for", "")
        product: Product | None = CHARGE if wish == "charge" else DISCHARGE if wish == "sell" else None
        form = Form(values={"where": typed, "for": wish})
        origin = _place(typed) if typed else _own_place(site)
        if typed and origin is None:
            form = form.faulty(
                where=word(
                    "Enter a place as a geohash or as latitude and longitude, for example wydm9 or 37.57, 126.98."
                )
            )
        rows = [] if origin is None else await _rows(site, origin, product=product, word=word)
        return await pages.answer(
            request,
            "driver/stations.html",
            status=422 if form.faults else 200,
            form=form,
            rows=rows,
            has_origin=origin is not None,
            prices=await _prices(site),
            drawn=_drawn(origin, rows, word, is_typed=bool(typed)) if origin is not None else "",
            show=shown_to(request, site),
        )

    return [page("/stations", search)]


def _own_place(site: Site) -> GeoPoint | None:
    cell = geohash_cell(site.settings.geohash)
    return None if cell is None else cell.centre


def _place(text: str) -> GeoPoint | None:
    """Parse a place: a geohash, or latitude and longitude."""
    if len(text) > WHERE_LENGTH_MAX:
        return None
    if found := _COORDINATES.fullmatch(text):
        latitude, longitude = float(found[1]), float(found[2])
        is_place = abs(latitude) <= 90 and abs(longitude) <= 180
        return GeoPoint(latitude_deg=latitude, longitude_deg=longitude) if is_place else None
    cell = geohash_cell(text.lower())
    return None if cell is None else cell.centre


def _around(origin: GeoPoint, length: int) -> set[str]:
    """Return the geohash of a place and its eight neighbours, since the nearest station may be beyond the cell's edge."""
    cell = geohash_cell(geohash_of(origin, length))
    assert cell is not None
    high, wide = cell.north_deg - cell.south_deg, cell.east_deg - cell.west_deg
    return {
        geohash_of(
            GeoPoint(
                latitude_deg=max(-89.9, min(89.9, origin.latitude_deg + north * high)),
                longitude_deg=(origin.longitude_deg + east * wide + 180) % 360 - 180,
            ),
            length,
        )
        for north in (-1, 0, 1)
        for east in (-1, 0, 1)
    }


async def _near(ledger: LedgerView, origin: GeoPoint, product: Product | None) -> Mapping[str, StationFound]:
    """Query stations around a place, in growing distance until there are enough."""
    found: dict[str, StationFound] = {}
    for length in LENGTHS:
        for prefix in sorted(_around(origin, length)):
            found |= {one.station_id: one for one in await ledger.stations(prefix, product)}
        if len(found) >= ENOUGH:
            break
    return found


async def _rows(site: Site, origin: GeoPoint, *, product: Product | None, word: Word) -> Sequence[Row]:
    """Return the rows of the nearest stations, nearest first; this station comes first at equal distance."""
    own_id = site.station().settings.station_id if site.station is not None else ""
    placed = [
        (one, cell.centre)
        for one in (await _near(site.ledger, origin, product)).values()
        if (cell := geohash_cell(one.geohash)) is not None
    ]
    placed.sort(
        key=lambda pair: (distance_m(origin, pair[1]), pair[0].station_id != own_id, pair[0].station_id)
    )
    return [
        _row(
            site,
            origin,
            number=number,
            found=found,
            place=place,
            is_own=found.station_id == own_id,
            word=word,
        )
        for number, (found, place) in enumerate(placed[:SHOWN_MAX], start=1)
    ]


def _row(
    site: Site,
    origin: GeoPoint,
    *,
    number: int,
    found: StationFound,
    place: GeoPoint,
    is_own: bool,
    word: Word,
) -> Row:
    away_m = distance_m(origin, place)
    towards = direction(origin, place)
    walk_min = walking_min(away_m)
    return Row(
        number=number,
        found=found,
        place=place,
        away_m=away_m,
        direction="" if towards is None else _directions(word)[towards],
        walk_min=walk_min if walk_min <= WALK_MIN_MAX else None,
        free=_free(site) if is_own else None,
        is_own=is_own,
    )


def _free(site: Site) -> int:
    """Return the number of free EVSEs of this station."""
    assert site.station is not None
    return sum(one.online and one.phase == Phase.VACANT for one in site.station().evses.values())


async def _prices(site: Site) -> Mapping[str, PriceShown | None]:
    """Query the prices of the quarter hour in this station's zone."""
    interval = site.clock.now_ns() // SECOND_NS // INTERVAL_S * INTERVAL_S
    return {
        "CHARGE": await site.ledger.price(CHARGE, interval),
        "DISCHARGE": await site.ledger.price(DISCHARGE, interval),
    }


def _drawn(origin: GeoPoint, rows: Sequence[Row], word: Word, *, is_typed: bool) -> str:
    labels = station_map.MapLabels(
        title=word("Map of the stations"),
        description=word("The numbers match the list, which gives distance and direction in words."),
        origin=word("your location") if is_typed else word("here"),
        own=word("this station"),
        free=word("free"),
        occupied=word("occupied"),
        unknown=word("unknown"),
        north=word("N"),
        unnumbered=word("{count} more stations are too close to number"),
        empty=word("No station found here."),
    )
    stations = [
        station_map.MapStation(
            number=row.number,
            place=row.place,
            name=row.found.station_id,
            is_free=None if row.free is None else row.free > 0,
            is_own=row.is_own,
        )
        for row in rows
    ]
    return station_map.draw(origin, stations, labels, chart_id="stations-map")


def _directions(word: Word) -> Mapping[str, str]:
    return {
        "north": word("north"),
        "north_east": word("north-east"),
        "east": word("east"),
        "south_east": word("south-east"),
        "south": word("south"),
        "south_west": word("south-west"),
        "west": word("west"),
        "north_west": word("north-west"),
    }
