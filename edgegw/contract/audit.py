"""Add up the whole ledger: both sides of the token equation and of the energy equation.

Reads only; every role may call it. Source: docs/contract.md, Equations.
"""

from collections import Counter
from dataclasses import dataclass

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import Quantity, encode, unpack
from edgegw.contract.positions import Sums, held_by
from edgegw.contract.records import Account, Credit, Exchanged, Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class NoArguments:
    """Arguments of functions that take nothing but the version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """Result of `totalSupply`, milli-token."""

    supply: Quantity
    minted: Quantity
    burned: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTotals(Supply):
    """The supply, divided into available, held and pending."""

    available: Quantity
    held: Quantity
    pending: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTotals(Flow):
    """Energy by source, state and sink, Wh."""

    available: Quantity
    held: Quantity
    pending: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Result of `AuditTotals`."""

    tokens: TokenTotals
    energy: EnergyTotals


def total_supply(ledger: CallState, _: NoArguments) -> Supply:
    """Return the tokens minted, the tokens burned and the difference."""
    minted = _exchanged(ledger, "mint")
    burned = _exchanged(ledger, "burn")
    return Supply(supply=minted - burned, minted=minted, burned=burned)


def audit_totals(ledger: CallState, args: NoArguments) -> Totals:
    """Return all totals, computed from the records on every call."""
    accounts = [unpack(Account, raw) for _, raw in ledger.scan(keys.prefix("acc"))]
    credits_ = [unpack(Credit, raw) for _, raw in ledger.scan(keys.prefix("cr"))]
    held = held_by(ledger)
    available = _sums(accounts)
    pending = _sums(credits_)
    supply = total_supply(ledger, args)
    flows: Counter[str] = Counter()
    for _, raw in ledger.scan(keys.prefix("sink")):
        flows.update({name: int(wh) for name, wh in encode(unpack(Flow, raw)).items()})
    return Totals(
        tokens=TokenTotals(
            supply=supply.supply,
            minted=supply.minted,
            burned=supply.burned,
            available=available.tokens,
            held=held.tokens,
            pending=pending.tokens,
        ),
        energy=EnergyTotals(**flows, available=available.energy, held=held.energy, pending=pending.energy),
    )


def _sums(records: list[Account] | list[Credit]) -> Sums:
    return Sums(
        tokens=sum(record.tokens for record in records), energy=sum(record.energy for record in records)
    )


def _exchanged(ledger: CallState, verb: str) -> int:
    return sum(unpack(Exchanged, raw).amount for _, raw in ledger.scan(keys.prefix(verb)))
