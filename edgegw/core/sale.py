"""Prepares the sale of a parked car's energy: cut, settle, sweep, attest, hold; and computes the V2G supply to report.

No energy flows between the attestation and its hold. A sale needs a state of charge, a driver who sells, a price at or
above the driver's limit, and buyers' slices; without one of these no sale begins. `TRANSITIONS` names the step of every
allowed pair of stage and event, and the stages in which it may end; any other pair is a fault, since no device causes one.
Source: docs/ledger.md, Life of a session (a sale).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edgegw.common.canonical_json import canonical_json, sha256_hex
from edgegw.common.units import INTERVAL_S, gross_wh, interval_of
from edgegw.core import control, market, order_control
from edgegw.core.correlation import SessionCredits
from edgegw.core.effects import Query, ReadMeter
from edgegw.core.internal_events import (
    BalanceKnown,
    DischargeRefused,
    EnergyAttested,
    LinesSettled,
    MarketChanged,
    PreparationFailed,
    SaleHoldOpened,
    SegmentCut,
    SweepCommitted,
)
from edgegw.core.market import DISCHARGE
from edgegw.core.orders import SALE_WH_MIN
from edgegw.core.state import Evse, HoldBook, HoldState, Phase, SaleStage, Session
from edgegw.core.step_context import StepContext
from edgegw.core.submission import Purpose

SaleEvent = (
    MarketChanged
    | SegmentCut
    | LinesSettled
    | BalanceKnown
    | SweepCommitted
    | EnergyAttested
    | SaleHoldOpened
    | PreparationFailed
    | DischargeRefused
)
Step = Callable[[StepContext, Evse, Any], None]


def dischargeable_wh(session: Session) -> int:
    """Return (state of charge - the driver's minimum) * capacity * efficiency; 0 where any of them is unknown."""
    terms = session.terms
    if terms is None or not terms.sells or session.soc_bp is None or terms.battery_wh <= 0:
        return 0
    over_bp = max(0, session.soc_bp - terms.soc_bp_min)
    return over_bp * terms.battery_wh // 10_000 * terms.discharge_efficiency_bp // 10_000


def supply_wh(context: StepContext, evse: Evse, interval: int) -> int:
    """Return what this EVSE could discharge in an interval: its part of the reported V2G supply."""
    session = evse.session
    settings = context.settings.evses[evse.evse_id]
    if evse.phase is not Phase.ACTIVE or session is None or session.sale is SaleStage.OVER:
        return 0
    if order_control.waits_for_car(context, session) and not session.satisfied:
        return 0
    wanted_wh = order_control.sale_wh(context, evse, session, interval=interval)
    hold = None if session.sale_hold_id is None else context.holds.get(session.sale_hold_id)
    energy_wh = dischargeable_wh(session)
    if hold is not None and hold.state is HoldState.OPEN:
        energy_wh = control.sale_wh_left(context, evse, hold)
    if wanted_wh is not None:
        energy_wh = min(energy_wh, wanted_wh)
    if energy_wh < SALE_WH_MIN:
        return 0
    usable_ns = INTERVAL_S * 1_000_000_000 - 2 * context.settings.guard_ns
    return min(energy_wh, control.discharge_power_w(context, settings, session) * usable_ns // control.WH_NS)


def consider(context: StepContext, evse: Evse) -> None:
    """Start preparing a sale that is possible now or in the next interval; end one that no longer is."""
    session = evse.session
    if evse.phase is not Phase.ACTIVE or session is None or session.terms is None:
        return
    move(context, evse, MarketChanged())


def _begin(context: StepContext, evse: Evse, _event: MarketChanged) -> None:
    session = evse.session
    assert session is not None
    if any(
        supply_wh(context, evse, interval) >= SALE_WH_MIN for interval in _in_sight(context, evse, session)
    ):
        context.put_evse(replace(evse, session=replace(session, sale=SaleStage.CUTTING)))
        control.replan(context, context.evses[evse.evse_id])
        context.emit(ReadMeter(meter_id=context.settings.evses[evse.evse_id].meter_id))


def _keep(context: StepContext, evse: Evse, _event: MarketChanged) -> None:
    assert evse.session is not None
    if not _in_sight(context, evse, evse.session):
        close(context, evse, stage=SaleStage.NONE)


def _in_sight(context: StepContext, evse: Evse, session: Session) -> list[int]:
    """Return which of this interval and the next have a price, a buyer, and something to sell."""
    assert session.terms is not None
    now = interval_of(context.now_ns)
    found = []
    for interval in (now, now + INTERVAL_S):
        price = market.usable_price(context.prices.rows, DISCHARGE, interval)
        slices = market.open_slices(context.slices.values(), DISCHARGE, interval)
        if price is None or price < session.terms.price_mtok_per_kwh_min or not slices:
            continue
        if order_control.sale_wh(context, evse, session, interval=interval) != 0:
            found.append(interval)
    return found


def _settle(context: StepContext, evse: Evse, _event: SegmentCut) -> None:
    """Wait for the lines of the segment before the sale, which is closed now."""
    session = evse.session
    assert session is not None
    context.put_evse(replace(evse, session=replace(session, sale=SaleStage.SETTLING)))
    _sweep(context, context.evses[evse.evse_id], LinesSettled())


def _sweep(context: StepContext, evse: Evse, _event: LinesSettled) -> None:
    """Move from SETTLING to SWEEPING once no line of this session is open."""
    session = evse.session
    assert session is not None
    if any(line.session_id == session.session_id for line in context.lines.values()):
        return
    context.put_evse(replace(evse, session=replace(session, sale=SaleStage.SWEEPING)))
    ask_balance(context, evse_id=evse.evse_id, session=session)


def ask_balance(context: StepContext, *, evse_id: str, session: Session) -> None:
    """Query the member's unswept credits."""
    assert session.terms is not None
    key = SessionCredits(evse_id=evse_id, session_id=session.session_id)
    context.queries.add(key)
    context.emit(
        Query(key=key, function="balanceOf", arguments={"v": 1, "memberId": session.terms.member_id})
    )


def _ask_again(context: StepContext, evse: Evse, _event: SweepCommitted) -> None:
    """Query again until no credit is left: more may be pending, or the page was full."""
    assert evse.session is not None
    ask_balance(context, evse_id=evse.evse_id, session=evse.session)


def _on_balance(context: StepContext, evse: Evse, event: BalanceKnown) -> None:
    """Sweep the credits, or attest at once where there are none; without an answer, end this attempt."""
    session = evse.session
    assert session is not None
    assert session.terms is not None
    credit_ids = None if event.result is None else event.result.get("credits")
    if not isinstance(credit_ids, list):
        close(context, evse, stage=SaleStage.NONE)
    elif credit_ids:
        context.submit(
            "Sweep",
            {"memberId": session.terms.member_id, "creditIds": sorted(credit_ids)},
            lane=f"acc~{session.terms.member_id}",
            purpose=Purpose.SWEEP,
            subject=session.session_id,
            expires_ns=context.now_ns + context.settings.start_expiry_ns,
        )
    else:
        _attest(context, evse, session)


def _attest(context: StepContext, evse: Evse, session: Session) -> None:
    """Submit the attestation of what the car can discharge as the member's energy; the hold follows."""
    assert session.terms is not None
    assert session.soc_bp is not None
    context.put_evse(replace(evse, session=replace(session, sale=SaleStage.ATTESTING)))
    attest_id = context.opaque_id("attest", session.session_id)
    evidence = {
        "attestId": attest_id,
        "station": context.settings.station_id,
        "session": session.session_id,
        "socBp": session.soc_bp,
        "capacityWh": session.terms.battery_wh,
        "nonce": context.opaque_id("nonce", attest_id),
    }
    context.note("attestation", evidence=evidence)
    context.submit(
        "AttestAvailability",
        {
            "attestId": attest_id,
            "memberId": session.terms.member_id,
            "dischargeableWh": str(dischargeable_wh(session)),
            "socBp": session.soc_bp,
            "minSocBp": session.terms.soc_bp_min,
            "capacityWh": str(session.terms.battery_wh),
            "evidenceHash": sha256_hex(canonical_json(evidence)),
        },
        lane=f"acc~{session.terms.member_id}",
        purpose=Purpose.ATTEST,
        subject=session.session_id,
        expires_ns=context.now_ns + context.settings.start_expiry_ns,
    )


def _open_hold(context: StepContext, evse: Evse, event: EnergyAttested) -> None:
    """Request the hold of the attested energy."""
    session = evse.session
    assert session is not None
    assert session.terms is not None
    energy_wh = event.attested_wh * (10_000 - context.settings.loss_bp) // 10_000
    if energy_wh < SALE_WH_MIN:
        close(context, evse, stage=SaleStage.OVER)
        return
    hold = HoldBook(
        hold_id=context.opaque_id("hold", session.session_id),
        evse_id=evse.evse_id,
        session_id=session.session_id,
        member_id=session.terms.member_id,
        product=DISCHARGE,
        limit_mtok_per_kwh=session.terms.price_mtok_per_kwh_min,
    )
    context.holds.put(hold.hold_id, hold)
    holding = replace(session, sale=SaleStage.HOLDING, sale_hold_id=hold.hold_id)
    context.put_evse(replace(evse, session=holding))
    assert gross_wh(energy_wh, context.settings.loss_bp) <= event.attested_wh
    context.submit(
        "Hold",
        {
            "holdId": hold.hold_id,
            "memberId": hold.member_id,
            "product": DISCHARGE,
            "maxWh": str(energy_wh),
            "limitPrice": str(hold.limit_mtok_per_kwh),
            "acceptRetail": False,
        },
        lane=f"acc~{hold.member_id}",
        purpose=Purpose.HOLD,
        subject=hold.hold_id,
        expires_ns=context.now_ns + context.settings.start_expiry_ns,
    )


def _ready(context: StepContext, evse: Evse, _event: SaleHoldOpened) -> None:
    """Let the sale run inside the guards: its hold is committed."""
    session = evse.session
    assert session is not None
    evse = context.put_evse(replace(evse, session=replace(session, sale=SaleStage.READY)))
    context.log("sale.prepared", evse_id=evse.evse_id, session_id=session.session_id)
    control.replan(context, evse)


def _fail(context: StepContext, evse: Evse, event: PreparationFailed) -> None:
    close(context, evse, stage=SaleStage.OVER if event.over else SaleStage.NONE)


def _end(context: StepContext, evse: Evse, _event: DischargeRefused) -> None:
    close(context, evse, stage=SaleStage.OVER)


def _stay(_context: StepContext, _evse: Evse, _event: SaleEvent) -> None:
    """Do nothing: the event is allowed and has no effect at this stage, such as a late answer."""


def close(context: StepContext, evse: Evse, *, stage: SaleStage) -> None:
    """Stop selling, and let the hold be released after its last line."""
    session = evse.session
    assert session is not None
    hold = None if session.sale_hold_id is None else context.holds.get(session.sale_hold_id)
    if hold is not None and hold.state in {HoldState.REQUESTED, HoldState.OPEN}:
        context.holds.put(
            hold.hold_id, replace(hold, state=HoldState.CLOSING, release_after_ns=context.now_ns)
        )
    # The next sale needs a state of charge that was measured after this one.
    context.put_evse(replace(evse, session=replace(session, sale=stage, soc_bp=None)))
    control.replan(context, context.evses[evse.evse_id])


def move(context: StepContext, evse: Evse, event: SaleEvent) -> None:
    """Take the step of stage and event, and check the stage in which it ends; do nothing without a session."""
    session = evse.session
    if session is None:
        return
    row = TRANSITIONS.get((session.sale, type(event)))
    assert row is not None, f"{type(event).__name__} while {session.sale}: {session.session_id}"
    step, following = row
    step(context, evse, event)
    after = context.evses[evse.evse_id].session
    assert after is not None
    assert after.sale in following, (
        f"{type(event).__name__} led from {session.sale} to {after.sale}: {session.session_id}"
    )


_NONE, _CUTTING, _SETTLING, _SWEEPING, _ATTESTING, _HOLDING, _READY, _OVER = (
    frozenset({stage}) for stage in SaleStage
)

# (stage, event type) -> (step, stages in which it may end)
TRANSITIONS: Mapping[tuple[SaleStage, type], tuple[Step, frozenset[SaleStage]]] = {
    # An answer may be late, and the market changes at any stage.
    **{
        (stage, event): (_stay, frozenset({stage}))
        for stage in SaleStage
        for event in (MarketChanged, LinesSettled, BalanceKnown, SweepCommitted, EnergyAttested)
    },
    # A submission of an earlier stage may fail late, and a charger may refuse late.
    **{(stage, PreparationFailed): (_fail, _NONE | _OVER) for stage in SaleStage},
    **{(stage, DischargeRefused): (_end, _OVER) for stage in SaleStage},
    (SaleStage.NONE, MarketChanged): (_begin, _NONE | _CUTTING),
    (SaleStage.CUTTING, SegmentCut): (_settle, _SETTLING | _SWEEPING),
    (SaleStage.SETTLING, LinesSettled): (_sweep, _SETTLING | _SWEEPING),
    (SaleStage.SWEEPING, BalanceKnown): (_on_balance, _SWEEPING | _ATTESTING | _NONE),
    (SaleStage.SWEEPING, SweepCommitted): (_ask_again, _SWEEPING),
    (SaleStage.ATTESTING, EnergyAttested): (_open_hold, _HOLDING | _OVER),
    (SaleStage.HOLDING, SaleHoldOpened): (_ready, _READY),
    (SaleStage.READY, MarketChanged): (_keep, _READY | _NONE),
}
