"""List the contract's refusal codes, retail reasons, roles and organisations.

The lists are closed and their words stable: clients and auditors count them. Source: docs/contract.md, Refusal codes.
"""

from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """Why the contract refused a call. A refused call writes nothing to the ledger."""

    # the call
    BAD_ARGUMENT = "BAD_ARGUMENT"
    UNKNOWN_VERSION = "UNKNOWN_VERSION"
    NOT_CONFIGURED = "NOT_CONFIGURED"
    NOT_AUTHORISED = "NOT_AUTHORISED"
    WRONG_ORG = "WRONG_ORG"
    ID_CONFLICT = "ID_CONFLICT"
    # members and accounts
    DUPLICATE_MEMBER = "DUPLICATE_MEMBER"
    UNKNOWN_MEMBER = "UNKNOWN_MEMBER"
    MEMBER_INACTIVE = "MEMBER_INACTIVE"
    WRONG_KIND = "WRONG_KIND"
    VERSION_MISMATCH = "VERSION_MISMATCH"
    REF_USED = "REF_USED"
    ZERO_TOKENS = "ZERO_TOKENS"
    INSUFFICIENT_TOKENS = "INSUFFICIENT_TOKENS"
    INSUFFICIENT_ENERGY = "INSUFFICIENT_ENERGY"
    ENERGY_EXPIRED = "ENERGY_EXPIRED"
    ENERGY_BUSY = "ENERGY_BUSY"
    # prices
    NO_TARIFF = "NO_TARIFF"
    TARIFF_IN_PAST = "TARIFF_IN_PAST"
    PRICE_WINDOW_EMPTY = "PRICE_WINDOW_EMPTY"
    PRICE_NOT_FIXED = "PRICE_NOT_FIXED"
    PRICE_LIMIT = "PRICE_LIMIT"
    CUT_OFF_OPEN = "CUT_OFF_OPEN"
    CUT_OFF_PASSED = "CUT_OFF_PASSED"
    # intervals
    INTERVAL_MISALIGNED = "INTERVAL_MISALIGNED"
    INTERVAL_STARTED = "INTERVAL_STARTED"
    INTERVAL_OPEN = "INTERVAL_OPEN"
    INTERVAL_IN_FUTURE = "INTERVAL_IN_FUTURE"
    INTERVAL_TOO_OLD = "INTERVAL_TOO_OLD"
    # offers, slices, holds
    LOT_UNKNOWN = "LOT_UNKNOWN"
    OFFER_UNKNOWN = "OFFER_UNKNOWN"
    OFFER_CLOSED = "OFFER_CLOSED"
    OFFER_NOT_VALID = "OFFER_NOT_VALID"
    DAILY_CAP = "DAILY_CAP"
    SLICE_UNKNOWN = "SLICE_UNKNOWN"
    SLICE_CLOSED = "SLICE_CLOSED"
    EXCEEDS_SLICE = "EXCEEDS_SLICE"
    HOLD_EXISTS = "HOLD_EXISTS"
    HOLD_UNKNOWN = "HOLD_UNKNOWN"
    HOLD_CLOSED = "HOLD_CLOSED"
    HOLD_EXPIRED = "HOLD_EXPIRED"
    EXCEEDS_HOLD = "EXCEEDS_HOLD"
    # meters and trades
    GATEWAY_UNKNOWN = "GATEWAY_UNKNOWN"
    METER_UNKNOWN = "METER_UNKNOWN"
    METER_OVERLAP = "METER_OVERLAP"
    METER_IMPLAUSIBLE = "METER_IMPLAUSIBLE"
    SAME_PARTY = "SAME_PARTY"
    TRADE_ID_CONFLICT = "TRADE_ID_CONFLICT"
    TRADE_UNKNOWN = "TRADE_UNKNOWN"
    MARKET_AVAILABLE = "MARKET_AVAILABLE"
    RETAIL_NOT_ACCEPTED = "RETAIL_NOT_ACCEPTED"
    NO_SUPPLIER = "NO_SUPPLIER"


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error; `invoke` turns it into status 500
    """The contract refuses a call: `code`, and a detail without addresses, times of day or personal data."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class RetailReason(StrEnum):
    """Why energy was sold at the retail price instead of the market price."""

    PRICE_NOT_FIXED = "PRICE_NOT_FIXED"
    PRICE_WINDOW_EMPTY = "PRICE_WINDOW_EMPTY"
    NO_SLICE = "NO_SLICE"
    LATE_PRICE = "LATE_PRICE"
    KEPT = "KEPT"
    PRICE_LIMIT = "PRICE_LIMIT"
    PEER_DOWN = "PEER_DOWN"


CHECKED_REASONS = frozenset(
    {RetailReason.PRICE_NOT_FIXED, RetailReason.PRICE_WINDOW_EMPTY, RetailReason.NO_SLICE}
)
"""Reasons the contract verifies from its own state; it refuses them if market energy was available."""

REPRESENTATIVE = "representative"
GATEWAY = "gateway"
ORACLE = "oracle"
EXCHANGE = "exchange"
AUDITOR = "auditor"
ADMIN = "admin"
ROLES = frozenset({REPRESENTATIVE, GATEWAY, ORACLE, EXCHANGE, AUDITOR, ADMIN})

PRODUCER_MSP = "ProducerMSP"
EV_MSP = "EVUserMSP"
INDUSTRY_MSP = "IndustryMSP"
MSPS = (EV_MSP, INDUSTRY_MSP, PRODUCER_MSP)
KIND_MSP = {"PRODUCER": PRODUCER_MSP, "EV": EV_MSP, "SUPPLIER": EV_MSP, "INDUSTRY": INDUSTRY_MSP}

CHARGE: Final = "CHARGE"
DISCHARGE: Final = "DISCHARGE"
FEE_ACCOUNT = "FEE:network"
