"""Summarises a session for its log line: energy, duration, reason of the end. Trades hold what was paid."""

from dataclasses import replace

from edgegw.common.units import SECOND_NS
from edgegw.core.state import Evse, Session
from edgegw.core.step_context import StepContext


def begun(context: StepContext, evse: Evse, session: Session) -> Session:
    """Return the session at its first reading: its energy counts from these registers on."""
    account = context.meters[context.settings.evses[evse.evse_id].meter_id]
    assert account.last is not None
    return replace(
        session,
        began=True,
        first_epoch=account.epoch,
        first_import_mwh=account.last.import_mwh,
        first_export_mwh=account.last.export_mwh,
    )


def fields_of(context: StepContext, session: Session, evse_id: str) -> dict[str, int | str | bool | None]:
    """Return the fields of the summary; energy is None where it was not measured within one epoch of the meter."""
    account = context.meters[context.settings.evses[evse_id].meter_id]
    import_wh = export_wh = None
    if session.first_epoch == account.epoch:
        assert account.last is not None
        import_wh = account.last.import_mwh // 1000 - session.first_import_mwh // 1000
        export_wh = account.last.export_mwh // 1000 - session.first_export_mwh // 1000
    assert session.ended_ns is not None
    return {
        "import_wh": import_wh,
        "export_wh": export_wh,
        "duration_s": (session.ended_ns - session.started_ns) // SECOND_NS,
        "soc_bp": session.soc_bp,
        "end_reason": session.end_reason,
        "disputed": session.disputed,
    }
