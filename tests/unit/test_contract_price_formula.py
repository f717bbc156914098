"""The price formulas against the golden vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgegw.common.units import amount_mtok, gross_wh
from edgegw.contract.codec import MalformedError, decode
from edgegw.contract.price_formula import Quote, Window, quote
from edgegw.contract.tariffs import PostFloor

VECTORS = json.loads((Path(__file__).parent.parent / "golden" / "price_vectors.json").read_text())
ARGUMENTS = {"net_fee": "net_fee", "gain": "gain", "w_min": "w_min_ppm", "w_max": "w_max_ppm"}


@pytest.mark.parametrize("case", VECTORS["price"], ids=lambda case: case["name"])
def test_golden_price(case: dict[str, Any]) -> None:
    """`sdr-share/1` gives the golden weight and price; an empty window has none; a non-integer is no price."""
    if case["expect"].get("error") == "BAD_ARGUMENT":
        floor = case["floor"]
        text = str(floor) if type(floor) is int else floor
        with pytest.raises(MalformedError):
            decode(PostFloor, {"zone": "Z", "product": "CHARGE", "hour": 0, "floor": text})
        return
    options = {ARGUMENTS[name]: value for name, value in case["args"].items()}
    window = Window(floor=case["floor"], ceiling=case["ceiling"], **options)
    result = quote("sdr-share/1", window, supply_wh=case["supply_wh"], demand_wh=case["demand_wh"])
    if "error" in case["expect"]:
        assert case["expect"]["error"] == "PRICE_WINDOW_EMPTY"
        assert result.price is None
    else:
        assert result == Quote(**case["expect"])


@pytest.mark.parametrize("case", VECTORS["amount"])
def test_golden_amount(case: dict[str, int]) -> None:
    """Amounts round half up to the milli-token."""
    assert amount_mtok(case["price"], case["wh"]) == case["amount"]


@pytest.mark.parametrize("case", VECTORS["gross"])
def test_golden_gross(case: dict[str, int]) -> None:
    """The seller's energy is rounded up."""
    assert gross_wh(case["wh"], case["loss_bp"]) == case["gross"]


def test_mid_market_rate_ignores_the_balance() -> None:
    """`mmr/1` is the middle of the window whatever was posted."""
    window = Window(floor=70_000, ceiling=186_000)
    assert quote("mmr/1", window, supply_wh=1, demand_wh=99) == quote(
        "sdr-share/1", window, supply_wh=5, demand_wh=5
    )


def test_an_unknown_formula_is_a_fault() -> None:
    """The configuration accepts only the two known formulas."""
    with pytest.raises(AssertionError):
        quote("fair/1", Window(floor=1, ceiling=2), supply_wh=0, demand_wh=0)
