"""The literal types of a trade, as the ledger stores them: product, direction, kind of line.

They are strings, so that their JSON does not change; the type check finds any other value. The contract has literal types
of its own (`contract.codec`) and checks every value that it receives.
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
    """Return the text as a product, or None for any other value."""
    return next((product for product in PRODUCTS if product == text), None)
