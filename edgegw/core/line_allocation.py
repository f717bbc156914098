"""Allocates segments to trade lines: every Wh of a segment is traded, or booked as untraded with a code.

Charging draws on this station's slices at the fixed price first, then on retail with a reason. Discharging draws on
slices of buyers only, never on retail. Source: docs/ledger.md, Retail and Trades.
"""

import hmac
from dataclasses import dataclass, replace

from edgegw.common.canonical_json import canonical_json, sha256_hex
from edgegw.common.trade_terms import EXPORT, IMPORT, MARKET, RETAIL, Direction
from edgegw.common.units import INTERVAL_S, affordable_wh, amount_mtok, energy_mwh, gross_wh
from edgegw.core import market
from edgegw.core.market import SliceState
from edgegw.core.metering import MeterAccount, Registers, Segment
from edgegw.core.state import Evse, HoldBook, HoldState, Phase, Session, TradeLine
from edgegw.core.step_context import StepContext
from edgegw.core.submission import Purpose

STANDBY_SLACK_MWH = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Part of a segment in one direction, in whole Wh of the register."""

    segment: Segment
    direction: Direction
    start_wh: int
    end_wh: int

    @property
    def energy_wh(self) -> int:
        """Energy of the part."""
        return self.end_wh - self.start_wh


def register_meter(context: StepContext, account: MeterAccount) -> None:
    """Submit an epoch's starting registers to the ledger; the meter's lines wait for that."""
    first = account.first
    assert first is not None
    context.submit(
        "RegisterMeter",
        {
            "meterRef": account.meter_ref,
            "epoch": account.epoch,
            "zone": context.settings.zone,
            "gatewayId": context.settings.gateway_id,
            "kind": "EVSE",
            "importWh": str(first.import_mwh // 1000),
            "exportWh": str(first.export_mwh // 1000),
            "ratedW": str(account.power_w_max),
        },
        lane=f"meter~{account.meter_id}",
        purpose=Purpose.METER,
        subject=f"{account.meter_id}/{account.epoch}",
    )


def settle_segment(
    context: StepContext, segment: Segment, *, evse: Evse | None, session: Session | None
) -> None:
    """Turn a closed segment into lines and untraded energy; journal its registers for the auditor."""
    start, end = segment.start, segment.end
    context.note(
        "segment",
        meter_id=segment.meter_id,
        epoch=segment.epoch,
        interval=segment.interval,
        start_ns=start.at_ns,
        end_ns=end.at_ns,
        import_mwh=[start.import_mwh, end.import_mwh],
        export_mwh=[start.export_mwh, end.export_mwh],
        gap_ns=end.after.t1_ns - end.before.t0_ns,
        session_id=None if session is None else session.session_id,
    )
    directions: tuple[tuple[Direction, int, int], ...] = (
        (IMPORT, start.import_mwh, end.import_mwh),
        (EXPORT, start.export_mwh, end.export_mwh),
    )
    for direction, first_mwh, last_mwh in directions:
        part = Part(segment=segment, direction=direction, start_wh=first_mwh // 1000, end_wh=last_mwh // 1000)
        if part.energy_wh:
            _settle_part(context, part, evse=evse, session=session)
    if session is not None:
        _count(context, segment, session)


def _count(context: StepContext, segment: Segment, session: Session) -> None:
    """Add a segment to what its session has moved; a disputed segment does not count."""
    evse = context.evse_of(segment.meter_id)
    one = None if evse is None else context.in_session(evse.evse_id, session.session_id)
    if evse is None or one is None or segment.disputed:
        return
    counted = replace(
        one, import_wh=one.import_wh + segment.import_wh, export_wh=one.export_wh + segment.export_wh
    )
    context.put_session(evse.evse_id, counted)


def _book_untraded(context: StepContext, part: Part, code: str) -> None:
    """Book a part as metered and not traded."""
    context.untraded(
        part.direction,
        code,
        part.energy_wh,
        meter_id=part.segment.meter_id,
        epoch=part.segment.epoch,
        start_wh=part.start_wh,
        interval=part.segment.interval,
    )


def _settle_part(context: StepContext, part: Part, *, evse: Evse | None, session: Session | None) -> None:
    if part.segment.disputed:
        _book_untraded(context, part, "DISPUTED")
    elif evse is None or session is None:
        _book_untraded(context, part, _idle_code(context, part, evse))
    elif part.direction == IMPORT:
        _settle_charge(context, part, session=session)
    else:
        _settle_sale(context, part, session=session)


def _idle_code(context: StepContext, part: Part, evse: Evse | None) -> str:
    """Return STANDBY up to the rated standby over the segment's time, NO_SESSION for more."""
    segment = part.segment
    if evse is None or part.direction == EXPORT:
        return "NO_SESSION"
    standby_w = context.settings.evses[evse.evse_id].standby_w
    most_mwh = energy_mwh(standby_w * 11, segment.end.at_ns - segment.start.at_ns) // 10 + STANDBY_SLACK_MWH
    moved_mwh = segment.end.import_mwh - segment.start.import_mwh
    return "STANDBY" if moved_mwh <= most_mwh else "NO_SESSION"


def _open_hold(context: StepContext, hold_id: str | None) -> HoldBook | None:
    hold = None if hold_id is None else context.holds.get(hold_id)
    if hold is None or hold.state not in {HoldState.OPEN, HoldState.CLOSING}:
        return None
    return hold


def _settle_charge(context: StepContext, part: Part, *, session: Session) -> None:
    hold = _open_hold(context, session.charge_hold_id)
    if hold is None or session.terms is None:
        _book_untraded(context, part, "NO_HOLD")
        return
    interval = part.segment.interval
    price = market.usable_price(context.prices.rows, market.CHARGE, interval)
    rest = part
    if price is not None and price <= hold.limit_mtok_per_kwh:
        kept_wh = _kept_wh(context, interval) if session.terms.accept_retail else 0
        rest = _draw_slices(context, rest, price=price, hold=hold, session=session, kept_wh=kept_wh)
        hold = context.holds[hold.hold_id]
    if rest.energy_wh:
        _settle_retail(context, rest, hold=hold, session=session)


def _settle_retail(context: StepContext, part: Part, *, hold: HoldBook, session: Session) -> None:
    """Settle what no slice serves: at the ceiling as far as the hold pays, the rest untraded."""
    record = context.prices.get(market.key(market.CHARGE, part.segment.interval))
    ceiling = None if record is None else record.ceiling_mtok_per_kwh
    if ceiling is None:
        ceiling = hold.limit_mtok_per_kwh
    if session.terms is None or not session.terms.accept_retail:
        _book_untraded(context, part, "NO_RETAIL")
    elif ceiling > hold.limit_mtok_per_kwh:
        _book_untraded(context, part, "PRICE_LIMIT")
    else:
        paid, over = _split(part, min(part.energy_wh, affordable_wh(hold.left, ceiling)))
        if paid.energy_wh:
            reason = retail_reason(context, part.segment.interval, hold)
            cost = amount_mtok(ceiling, paid.energy_wh)
            add_line(context, paid, hold=hold, session=session, cost=cost, slice_id=None, reason=reason)
        _book_untraded(context, over, "EXCEEDS_HOLD")


def retail_reason(context: StepContext, interval: int, hold: HoldBook) -> str:
    """Return why charged energy is retail, from the contract's closed list; KEPT where slices still hold energy."""
    reason = market.retail_reason(context.prices.rows, market.CHARGE, interval, limit=hold.limit_mtok_per_kwh)
    if reason != "NO_SLICE":
        return reason
    own = [
        item
        for item in context.slices.values()
        if item.product == market.CHARGE and item.interval == interval
    ]
    if any(item.state is SliceState.REQUESTED for item in own):
        return "PEER_DOWN"  # it may be on the ledger, but no reply came in time
    return "KEPT" if any(item.left > 0 for item in own) else reason


def _kept_wh(context: StepContext, interval: int) -> int:
    """Return the market energy kept for drivers who do not accept retail: what they may still draw in this interval."""
    kept = 0
    for evse in context.evses.values():
        session = evse.session
        if evse.phase is Phase.ACTIVE and session is not None and session.terms is not None:
            if session.terms.accept_retail or session.satisfied:
                continue
            account = context.meters[context.settings.evses[evse.evse_id].meter_id]
            cut = account.cut
            if cut is not None and cut.at_ns < (interval + INTERVAL_S) * 1_000_000_000:
                kept += context.settings.evses[evse.evse_id].rated_w * INTERVAL_S // 3600
    return kept


def _draw_slices(
    context: StepContext, part: Part, *, price: int, hold: HoldBook, session: Session, kept_wh: int
) -> Part:
    """Add lines for as much of a charge as slices and hold carry, without the kept energy; return the rest."""
    rest = part
    usable = market.open_slices(context.slices.values(), market.CHARGE, part.segment.interval)
    usable_wh = sum(item.left for item in usable)
    for item in usable:
        most_gross = min(item.left, usable_wh - kept_wh)
        take = min(rest.energy_wh, _net_wh(most_gross, context.settings.loss_bp))
        take = min(take, affordable_wh(hold.left, price))
        if take <= 0:
            continue
        gross = gross_wh(take, context.settings.loss_bp)
        piece, rest = _split(rest, take)
        cost = amount_mtok(price, take)
        context.slices.put(item.slice_id, replace(item, left=item.left - gross))
        usable_wh -= gross
        add_line(context, piece, hold=hold, session=session, cost=cost, slice_id=item.slice_id, reason=None)
        hold = context.holds[hold.hold_id]
    return rest


def _settle_sale(context: StepContext, part: Part, *, session: Session) -> None:
    hold = _open_hold(context, session.sale_hold_id)
    interval = part.segment.interval
    price = market.usable_price(context.prices.rows, market.DISCHARGE, interval)
    if hold is None or session.terms is None:
        _book_untraded(context, part, "NO_HOLD")
        return
    if price is None or price < session.terms.price_mtok_per_kwh_min:
        _book_untraded(context, part, "NO_PRICE")
        return
    rest = part
    for item in market.open_slices(context.slices.values(), market.DISCHARGE, interval):
        take = min(rest.energy_wh, market.slice_wh(item, price), _net_wh(hold.left, context.settings.loss_bp))
        if take <= 0:
            continue
        piece, rest = _split(rest, take)
        context.slices.put(item.slice_id, replace(item, left=item.left - amount_mtok(price, take)))
        cost = gross_wh(take, context.settings.loss_bp)
        add_line(context, piece, hold=hold, session=session, cost=cost, slice_id=item.slice_id, reason=None)
        hold = context.holds[hold.hold_id]
    if rest.energy_wh:
        _book_untraded(context, rest, "NO_SLICE" if hold.left > 0 else "EXCEEDS_HOLD")


def _net_wh(gross: int, loss_bp: int) -> int:
    """Return the most Wh that `gross` delivers, with the loss rounded up."""
    return max(0, gross * (10_000 - loss_bp) // 10_000)


def _split(part: Part, first_wh: int) -> tuple[Part, Part]:
    middle = part.start_wh + first_wh
    return replace(part, end_wh=middle), replace(part, start_wh=middle)


def add_line(
    context: StepContext,
    part: Part,
    *,
    hold: HoldBook,
    session: Session,
    cost: int,
    slice_id: str | None,
    reason: str | None,
) -> TradeLine:
    """Store a line with its evidence, and add its cost to what the hold has used."""
    account = context.meters[part.segment.meter_id]
    trade_id = f"{account.meter_ref}:{part.segment.epoch}:{part.direction}:{part.start_wh}"
    assert session.terms is not None
    line = TradeLine(
        trade_id=trade_id,
        number=context.number(),
        meter_id=part.segment.meter_id,
        meter_ref=account.meter_ref,
        epoch=part.segment.epoch,
        direction=part.direction,
        start_wh=part.start_wh,
        end_wh=part.end_wh,
        interval=part.segment.interval,
        kind=RETAIL if slice_id is None else MARKET,
        hold_id=hold.hold_id,
        slice_id=slice_id,
        reason=reason,
        cost=cost,
        evidence_hash=_note_evidence(context, part, trade_id=trade_id, serial=account.serial),
        evse_id=hold.evse_id,
        session_id=session.session_id,
        accept_retail=session.terms.accept_retail,
    )
    context.lines.put(trade_id, line)
    context.holds.put(hold.hold_id, replace(hold, used=hold.used + cost))
    return line


def _note_evidence(context: StepContext, part: Part, *, trade_id: str, serial: str | None) -> str:
    """Journal the readings around both ends with station, serial and nonce; return their hash, which the ledger gets."""
    segment = part.segment
    evidence = {
        "tradeId": trade_id,
        "station": context.settings.station_id,
        "serial": serial,
        "nonce": hmac.digest(context.settings.nonce_key, trade_id.encode(), "sha256").hex()[:32],
        "start": [_as_list(segment.start.before), _as_list(segment.start.after)],
        "end": [_as_list(segment.end.before), _as_list(segment.end.after)],
    }
    context.note("evidence", trade_id=trade_id, evidence=evidence)
    return sha256_hex(canonical_json(evidence))


def _as_list(registers: Registers) -> list[int]:
    return [registers.t0_ns, registers.t1_ns, registers.import_mwh, registers.export_mwh]
