"""Distance, direction, walking time, geohash and a plane projection of places.

Computes on a sphere of the Earth's mean radius (less than 0.6 % off the ellipsoid). Knows no map, road or station.
Source: haversine formula; geohash (base 32 without a, i, l and o; bits of longitude and latitude alternate, longitude first).
"""

from dataclasses import dataclass
from enum import StrEnum
from math import asin, atan2, cos, degrees, hypot, isfinite, radians, sin, sqrt

EARTH_RADIUS_M = 6_371_008.8
WALK_M_PER_MIN = 80
DETOUR_PERCENT = 130
GEOHASH_LENGTH_MAX = 12
_ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
_POLE_DEG = 90.0


class Direction(StrEnum):
    """The eight compass directions, clockwise from north; pages translate the value."""

    NORTH = "north"
    NORTH_EAST = "north_east"
    EAST = "east"
    SOUTH_EAST = "south_east"
    SOUTH = "south"
    SOUTH_WEST = "south_west"
    WEST = "west"
    NORTH_WEST = "north_west"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoPoint:
    """A point in WGS 84 degrees; north and east are positive."""

    latitude_deg: float
    longitude_deg: float

    def __post_init__(self) -> None:
        assert isfinite(self.longitude_deg)
        assert -_POLE_DEG <= self.latitude_deg <= _POLE_DEG


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The rectangle that a geohash covers, in degrees."""

    south_deg: float
    west_deg: float
    north_deg: float
    east_deg: float

    @property
    def centre(self) -> GeoPoint:
        """The middle of the cell."""
        return GeoPoint(
            latitude_deg=(self.south_deg + self.north_deg) / 2,
            longitude_deg=(self.west_deg + self.east_deg) / 2,
        )


def distance_m(start: GeoPoint, end: GeoPoint) -> int:
    """Return the great-circle distance (haversine) in whole metres."""
    return round(EARTH_RADIUS_M * _angle_rad(start, end))


def bearing_deg(start: GeoPoint, end: GeoPoint) -> float | None:
    """Return the initial bearing in degrees clockwise from north, 0 <= bearing < 360; None below a distance of 1 m."""
    east, north = _towards(start, end)
    if hypot(east, north) * EARTH_RADIUS_M < 1:
        return None
    return degrees(atan2(east, north)) % 360 % 360  # a tiny negative angle is 360.0 after the first


def direction(start: GeoPoint, end: GeoPoint) -> Direction | None:
    """Return the nearest compass direction; None below a distance of 1 m.

    At a pole every direction is the one away from it.
    """
    if abs(start.latitude_deg) == _POLE_DEG:
        if distance_m(start, end) == 0:
            return None
        return Direction.SOUTH if start.latitude_deg > 0 else Direction.NORTH
    bearing = bearing_deg(start, end)
    return None if bearing is None else tuple(Direction)[round(bearing / 45) % 8]


def walking_min(distance_m: int) -> int:
    """Estimate the minutes of a walk: straight line plus 30 % for streets, at 80 m per minute, rounded up."""
    return -(-distance_m * DETOUR_PERCENT // (100 * WALK_M_PER_MIN))


def plane_m(centre: GeoPoint, place: GeoPoint) -> tuple[float, float]:
    """Project a place to metres (east, north) of `centre`: azimuthal equidistant projection."""
    away_m = EARTH_RADIUS_M * _angle_rad(centre, place)
    east, north = _towards(centre, place)
    length = hypot(east, north)
    if length == 0:  # the same point or its antipode, which has no direction
        return 0.0, away_m
    return away_m * east / length, away_m * north / length


def geohash_cell(geohash: str) -> Cell | None:
    """Decode a geohash of 1 to 12 characters; None for any other text."""
    if not 1 <= len(geohash) <= GEOHASH_LENGTH_MAX or any(one not in _ALPHABET for one in geohash):
        return None
    bits = "".join(f"{_ALPHABET.index(one):05b}" for one in geohash)
    west, east = _halved(bits[0::2], -180.0, 180.0)
    south, north = _halved(bits[1::2], -90.0, 90.0)
    return Cell(south_deg=south, west_deg=west, north_deg=north, east_deg=east)


def geohash_of(place: GeoPoint, length: int) -> str:
    """Encode a place as a geohash of `length` characters."""
    assert 1 <= length <= GEOHASH_LENGTH_MAX
    count = 5 * length
    longitude = (place.longitude_deg + 180) % 360 - 180
    bits = [""] * count
    bits[0::2] = _halvings(longitude, 180.0, (count + 1) // 2)
    bits[1::2] = _halvings(place.latitude_deg, 90.0, count // 2)
    text = "".join(bits)
    return "".join(_ALPHABET[int(text[at : at + 5], 2)] for at in range(0, count, 5))


def _angle_rad(start: GeoPoint, end: GeoPoint) -> float:
    latitude, other = radians(start.latitude_deg), radians(end.latitude_deg)
    along = radians(end.longitude_deg - start.longitude_deg)
    chord = sin((other - latitude) / 2) ** 2 + cos(latitude) * cos(other) * sin(along / 2) ** 2
    return 2 * asin(sqrt(min(1.0, max(0.0, chord))))


def _towards(start: GeoPoint, end: GeoPoint) -> tuple[float, float]:
    """Return the direction from `start` to `end` as (east, north), scaled by the sine of the angle between them."""
    latitude, other = radians(start.latitude_deg), radians(end.latitude_deg)
    along = radians(end.longitude_deg - start.longitude_deg)
    # sin(other - latitude) is accurate for near places; the textbook's difference of products loses its digits there.
    north = sin(other - latitude) + 2 * sin(latitude) * cos(other) * sin(along / 2) ** 2
    return sin(along) * cos(other), north


def _halved(bits: str, low: float, high: float) -> tuple[float, float]:
    for bit in bits:
        middle = (low + high) / 2
        low, high = (middle, high) if bit == "1" else (low, middle)
    return low, high


def _halvings(value: float, limit: float, count: int) -> list[str]:
    low, high, bits = -limit, limit, []
    for _ in range(count):
        middle = (low + high) / 2
        bits.append("1" if value >= middle else "0")
        low, high = (middle, high) if value >= middle else (low, middle)
    return bits
