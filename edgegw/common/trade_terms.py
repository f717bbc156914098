"""The closed sets of words that a trade is described with, as the ledger writes them: product, direction, kind of line.

Strings with literal types, so that their JSON is what it was and a word that is not in its set fails the type check. The
contract has literals of its own (`contract.codec`) and checks every value it is given.
"""

from typing import Final, Literal

Product = Literal["CHARGE", "DISCHARGE"]
Direction = Literal["import", "export"]
LineKind = Literal["MARKET", "RETAIL"]

CHARGE: Final = "CHARGE"
DISCHARGE: Final = "DISCHARGE"
PRODUCTS: Final[tuple[Product, ...]] = (CHARGE, DISCHARGE)

IMPORT: Final = "import"
EXPORT: Final = "export"

MARKET: Final = "MARKET"
RETAIL: Final = "RETAIL"


def product_of(text: object) -> Product | None:
    """The product that a record names; None for anything else."""
    return next((product for product in PRODUCTS if product == text), None)
