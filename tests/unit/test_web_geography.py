"""Where places lie: distances and directions that can be looked up, geohashes of the public definition."""

from math import hypot

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.web.geography import (
    Direction,
    GeoPoint,
    bearing_deg,
    direction,
    distance_m,
    geohash_cell,
    geohash_of,
    plane_m,
    walking_min,
)


def place(latitude: float, longitude: float) -> GeoPoint:
    return GeoPoint(latitude_deg=latitude, longitude_deg=longitude)


PLACES = st.builds(place, st.floats(-90, 90), st.floats(-180, 180))
SEOUL, BUSAN = place(37.5665, 126.978), place(35.1796, 129.0756)


def test_distances_that_are_known() -> None:
    """Seoul to Busan is 325.1 km, a degree of a meridian 111.195 km, half the Earth 20,015 km."""
    assert distance_m(SEOUL, BUSAN) == pytest.approx(325_100, abs=100)
    assert distance_m(place(0, 0), place(1, 0)) == 111_195
    assert distance_m(place(90, 0), place(-90, 77)) == distance_m(place(0, 0), place(0, 180)) == 20_015_114
    assert distance_m(SEOUL, SEOUL) == 0


def test_the_antimeridian_is_no_border() -> None:
    """Places on both sides of 180 degrees are near each other, east and west."""
    west, east = place(0, 179.995), place(0, -179.995)
    assert distance_m(west, east) == 1112
    assert direction(west, east) is Direction.EAST
    assert direction(east, west) is Direction.WEST
    assert plane_m(west, east) == pytest.approx((1112, 0), abs=1)


@pytest.mark.parametrize(
    ("east", "north", "wind"),
    [
        (0, 1, Direction.NORTH),
        (1, 1, Direction.NORTH_EAST),
        (1, 0, Direction.EAST),
        (1, -1, Direction.SOUTH_EAST),
        (0, -1, Direction.SOUTH),
        (-1, -1, Direction.SOUTH_WEST),
        (-1, 0, Direction.WEST),
        (-1, 1, Direction.NORTH_WEST),
        (-0.3, 1, Direction.NORTH),
        (0.5, 1, Direction.NORTH_EAST),
    ],
)
def test_the_eight_winds(east: float, north: float, wind: Direction) -> None:
    """A direction is the nearest of eight, also across north."""
    assert direction(place(0, 0), place(north / 100, east / 100)) is wind


def test_directions_that_are_known() -> None:
    """Busan is south-east of Seoul; from one place to itself there is no direction; from a pole every way leads away from it."""
    assert direction(SEOUL, BUSAN) is Direction.SOUTH_EAST
    assert direction(SEOUL, SEOUL) is None
    assert bearing_deg(SEOUL, SEOUL) is None
    assert direction(place(90, 12), place(10, 170)) is Direction.SOUTH
    assert direction(place(-90, 12), place(10, 170)) is Direction.NORTH
    assert direction(place(90, 12), place(90, 99)) is None


@given(start=PLACES, end=PLACES)
def test_the_plane_keeps_distance_and_direction(start: GeoPoint, end: GeoPoint) -> None:
    """How far a place is drawn from the centre is how far it is, both ways, and never more than half round."""
    away = distance_m(start, end)
    assert away == distance_m(end, start) <= 20_015_114
    assert hypot(*plane_m(start, end)) == pytest.approx(away, abs=1)
    bearing = bearing_deg(start, end)
    assert bearing is None or 0 <= bearing < 360


def test_walking() -> None:
    """80 m a minute over a way 30 % longer than the line, rounded up."""
    assert [walking_min(one) for one in (0, 1, 61, 62, 1000)] == [0, 1, 1, 2, 17]


@pytest.mark.parametrize(
    ("geohash", "latitude", "longitude", "margin"),
    [
        ("ezs42", 42.605, -5.603, 0.03),
        ("u4pruydqqvj", 57.64911, 10.40744, 0.00001),
        ("wydm9", 37.5665, 126.978, 0.03),
        ("s", 22.5, 22.5, 0.001),
        ("7zzzzzzzzzzz", 0.0, 0.0, 0.000001),
    ],
)
def test_geohashes_that_are_known(geohash: str, latitude: float, longitude: float, margin: float) -> None:
    """Published examples decode to their places and encode to themselves."""
    cell = geohash_cell(geohash)
    assert cell is not None
    assert cell.centre.latitude_deg == pytest.approx(latitude, abs=margin)
    assert cell.centre.longitude_deg == pytest.approx(longitude, abs=margin)
    assert geohash_of(cell.centre, len(geohash)) == geohash


@pytest.mark.parametrize(
    "geohash", ["", "a", "wydI9", "WYDM9", "wydm9 ", "0" * 13, "wy\ndm", "\N{FULLWIDTH DIGIT NINE}"]
)
def test_what_is_no_geohash(geohash: str) -> None:
    """Other characters and lengths have no cell."""
    assert geohash_cell(geohash) is None


@given(spot=PLACES, length=st.integers(1, 12))
def test_a_cell_holds_its_place(spot: GeoPoint, length: int) -> None:
    """The cell of a place's geohash contains the place, and a longer one is inside it."""
    geohash = geohash_of(spot, length)
    cell = geohash_cell(geohash)
    assert cell is not None
    assert cell.south_deg <= spot.latitude_deg <= cell.north_deg
    longitude = (spot.longitude_deg + 180) % 360 - 180
    assert cell.west_deg <= longitude <= cell.east_deg
    assert geohash_of(spot, 12).startswith(geohash)


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(91, 0), (0, float("nan")), (float("nan"), 0), (0, float("inf"))]
)
def test_a_place_is_on_the_earth(latitude: float, longitude: float) -> None:
    """A place beyond a pole or without numbers is refused."""
    with pytest.raises(AssertionError):
        place(latitude, longitude)
