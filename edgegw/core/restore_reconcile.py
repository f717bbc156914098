"""The first step of a journal that was put back from a backup: nothing that the ledger may know already is told anew.

What happened after the backup is on the ledger and not here. Decides that every meter begins a new epoch, so that no
Wh of the time between is offered or booked again; that sessions of the backup are over (what runs at a charger is then
a stranger, which gets 0 W and is stopped); that their holds are released after their last line; and that new ids
follow none that the lost part of the journal may have given out. Never judges what stands on the ledger: lines and
submissions of the backup go out again as they are, and the contract answers a repeat without writing.
Source: docs/data.md, Restore.
"""

from dataclasses import replace

from edgegw.common.units import SECOND_NS
from edgegw.core import driver_orders, session_end
from edgegw.core.state import Phase
from edgegw.core.step_context import StepContext


def reconcile(context: StepContext) -> None:
    """Where a restore is noted: settle what it means, in the same commit that takes the note away."""
    if not context.restores.rows:
        return
    now_s = context.now_ns // SECOND_NS
    # Numbers grow by far less than one a second, so the clock is ahead of every one that was given out.
    context.tally = replace(context.tally, number=max(context.tally.number, now_s))
    open_sessions = []
    for evse in context.evses.values():
        open_sessions += [one.session_id for one in (evse.session, evse.ending) if one is not None]
        context.put_evse(replace(evse, phase=Phase.VACANT, session=None, ending=None, setpoint=None))
    for order in context.orders.values():
        driver_orders.end(context, order.order_id, code="JOURNAL_RESTORED")
    for hold in context.holds.values():
        session_end.close_hold(context, hold.hold_id)
    for meter in context.meters.values():
        epoch = max(meter.epoch, now_s)
        fresh = replace(meter, epoch=epoch, last=None, cut=None, first=None, suspects=(), registered=False)
        context.meters.put(meter.meter_id, fresh)
    for key, restore in context.restores.rows.items():
        context.note("restored", source=restore.source, restored_ns=restore.at_ns, sessions=open_sessions)
        context.log("journal.restored", source=restore.source, sessions=len(open_sessions))
        context.restores.drop(key)
