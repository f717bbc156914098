"""Events of `session` and `sale` that the core sends itself; no adapter does.

The core sends each where a reading, a ledger reply or a timer concerns one EVSE.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# --- for a session -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingAccepted:
    """The EVSE's meter was read; the request was sent at `t0_ns`."""

    t0_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeHoldOpened:
    """The hold that pays for the charge is committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeHoldRefused:
    """The contract refused that hold, or it expired."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownTransactionSeen:
    """A charger reports energy in a transaction that this station did not start."""

    transaction_id: str


# --- for a sale --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketChanged:
    """Prices, slices or the session changed: a sale may be possible now, or no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentCut:
    """The segment before the sale is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesSettled:
    """Lines were recorded or refused; some of the session may still be open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceKnown:
    """The peer answered with the member's balance; `result` is None where it could not."""

    result: Mapping[str, object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCommitted:
    """Credits were swept to the member's account; more may be pending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyAttested:
    """The attestation is committed: the member's energy on the ledger is what the car can discharge."""

    attested_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleHoldOpened:
    """The hold on the energy to sell is committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationFailed:
    """A sweep, an attestation or a hold was not committed; `over`: the session does not retry."""

    over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DischargeRefused:
    """The charger refused a setpoint that discharges."""
