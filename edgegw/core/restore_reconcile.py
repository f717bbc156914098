"""Reconciles the state after the journal was restored from a backup, so that the ledger gets nothing twice.

What happened after the backup is on the ledger and missing here. Every meter begins a new epoch, so that no Wh of that
time is traded or booked again. Sessions of the backup are over: a transaction still running is an unknown one, which gets
0 W and is stopped. Their holds are released after their last line. New ids are greater than any that the lost part of the
journal used. Lines and submissions of the backup are sent again as they are: the contract answers a repeat without
writing.
Source: docs/data.md, Restore.
"""

from dataclasses import replace

from edgegw.common.units import SECOND_NS
from edgegw.core import driver_orders, session_end
from edgegw.core.state import Phase
from edgegw.core.step_context import StepContext


def reconcile(context: StepContext) -> None:
    """Reconcile where a restore is recorded, and drop the record in the same commit."""
    if not context.restores.rows:
        return
    now_s = context.now_ns // SECOND_NS
    # Numbers grow by far less than one a second, so the clock exceeds every number in use.
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
