"""Set how much energy a member may sell: producers' generation lots, cars' attestations, expiry of lots.

Source: docs/contract.md, Functions.
"""

from dataclasses import dataclass, replace

from edgegw.contract import keys
from edgegw.contract.accounts import account_of, adjust, pending_of
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import (
    BasisPoints,
    Digest,
    EnergyWh,
    Epoch,
    Ident,
    Reference,
    RegisterWh,
    Seconds,
    values,
)
from edgegw.contract.codes import Code, Refusal
from edgegw.contract.members import active, member_of, require_msp
from edgegw.contract.metering import advance, generated_key, meter_of
from edgegw.contract.positions import held_by
from edgegw.contract.records import Attestation, Lot


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterGeneration:
    """Arguments of `RegisterGeneration`: a plant meter's register at the start and end of one interval."""

    lot_id: Reference
    member_id: Ident
    meter_ref: Ident
    epoch: Epoch
    interval: Seconds
    start_wh: RegisterWh
    end_wh: RegisterWh
    evidence_hash: Digest
    expires_at: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestAvailability:
    """Arguments of `AttestAvailability`; states of charge are basis points of the capacity."""

    attest_id: Reference
    member_id: Ident
    dischargeable_wh: EnergyWh
    soc_bp: BasisPoints
    min_soc_bp: BasisPoints
    capacity_wh: EnergyWh
    evidence_hash: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class LotQuery:
    """Arguments of `ExpireLot` and `GetLot`."""

    lot_id: Reference


def lot_of(ledger: CallState, lot_id: str) -> Lot:
    """Return the lot; refuse with `LOT_UNKNOWN` if there is none."""
    return ledger.need(Lot, keys.key("lot", lot_id), Code.LOT_UNKNOWN)


def register_generation(ledger: CallState, args: RegisterGeneration) -> Lot:
    """Create a lot of generated energy and add it to the producer's account."""
    stored = ledger.read(Lot, keys.key("lot", args.lot_id))
    if stored is not None:
        ledger.repeated(stored, Code.ID_CONFLICT)
        return stored
    require_msp(ledger, active(ledger, args.member_id, "PRODUCER").msp)
    if args.expires_at * 1000 <= ledger.now_ms:
        raise Refusal(Code.ENERGY_EXPIRED, args.lot_id)
    meter = meter_of(ledger, args.meter_ref, args.epoch)
    if meter.kind != "PLANT":
        raise Refusal(Code.WRONG_KIND, f"{args.meter_ref} is no plant meter")
    register = advance(
        ledger, meter, generated_key(meter), interval=args.interval, span=(args.start_wh, args.end_wh)
    )
    wh = args.end_wh - args.start_wh
    lot = Lot(
        **values(args),
        request=ledger.request,
        wh=wh,
        free=wh,
        tx_id=ledger.tx_id,
        ledger_time_ms=ledger.now_ms,
    )
    ledger.write(generated_key(meter), register)
    ledger.write(keys.key("lot", args.lot_id), lot)
    adjust(ledger, args.member_id, energy=wh)
    ledger.flow(generation=wh)
    ledger.history(args.member_id, ("lot.registered", args.lot_id), energy=wh)
    return lot


def expire_lot(ledger: CallState, args: LotQuery) -> Lot:
    """Remove the energy of an expired lot that is not in an offer from the producer's account."""
    lot = lot_of(ledger, args.lot_id)
    require_msp(ledger, member_of(ledger, lot.member_id).msp)
    if ledger.now_ms < lot.expires_at * 1000:
        raise Refusal(Code.INTERVAL_OPEN, f"{args.lot_id} has not expired")
    # A direct transfer takes energy from the account without naming a lot, so the account may hold less.
    wh = min(lot.free, account_of(ledger, lot.member_id).energy)
    if lot.free == 0:
        return lot
    spent = replace(lot, free=0)
    ledger.write(keys.key("lot", lot.lot_id), spent)
    adjust(ledger, lot.member_id, energy=-wh)
    ledger.flow(expired=wh)
    ledger.history(lot.member_id, ("lot.expired", lot.lot_id), energy=-wh)
    return spent


def get_lot(ledger: CallState, args: LotQuery) -> Lot:
    """Return the lot's record."""
    return lot_of(ledger, args.lot_id)


def attest_availability(ledger: CallState, args: AttestAvailability) -> Attestation:
    """Set the car's account to the energy it can discharge, up or down."""
    key = keys.key("att", args.attest_id)
    stored = ledger.read(Attestation, key)
    if stored is not None:
        ledger.repeated(stored, Code.ID_CONFLICT)
        return stored
    require_msp(ledger, active(ledger, args.member_id, "EV").msp)
    usable_bp = max(0, args.soc_bp - args.min_soc_bp)
    if args.dischargeable_wh * 10_000 > args.capacity_wh * usable_bp:
        raise Refusal(Code.BAD_ARGUMENT, "more than the state of charge allows")
    _, pending = pending_of(ledger, args.member_id)
    if held_by(ledger, args.member_id).energy or pending.energy:
        raise Refusal(Code.ENERGY_BUSY, "energy is held or pending")
    before_wh = account_of(ledger, args.member_id).energy
    change_wh = args.dischargeable_wh - before_wh
    attestation = Attestation(
        **values(args),
        request=ledger.request,
        before_wh=before_wh,
        tx_id=ledger.tx_id,
        ledger_time_ms=ledger.now_ms,
    )
    ledger.write(key, attestation)
    adjust(ledger, args.member_id, energy=change_wh)
    ledger.flow(outside=max(0, change_wh), conversion=max(0, -change_wh))
    ledger.history(args.member_id, ("energy.attested", args.attest_id), energy=change_wh)
    return attestation
