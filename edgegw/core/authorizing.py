"""Authorize: whether a card may charge, before any start. Moves nothing and promises nothing: the start decides.

Source: docs/ledger.md, Life of a session; OCPP 1.6 §4.1, 2.1 use case C01.
"""

from collections.abc import Mapping

from edgegw.core.effects import AnswerCall, AuthorizeAnswer, IdTokenStatus, Query
from edgegw.core.events import AuthorizeRequested, CallRef
from edgegw.core.turn import Turn


def on_asked(turn: Turn, event: AuthorizeRequested) -> None:
    """Identity, status and balance; moves nothing. Without an answer from the peer the start decides."""
    terms = turn.members.get(event.id_token_hash)
    if terms is None:
        _refuse(turn, event.call, IdTokenStatus.INVALID, code="UNKNOWN_TOKEN")
        return
    if not turn.admits:
        _refuse(turn, event.call, IdTokenStatus.BLOCKED, code="DISK_FULL")
        return
    query_id = f"authorize/{event.call.charger_id}/{event.call.connection}/{event.call.message_id}"
    turn.queries.put(query_id, "V2G" if terms.sells else "")
    turn.emit(Query(query_id=query_id, function="balanceOf", arguments={"v": 1, "memberId": terms.member_id}))


def on_balance(turn: Turn, query_id: str, result: Mapping[str, object] | None, *, sells: bool) -> None:
    """The balance is known, or nobody could tell it."""
    _, charger_id, connection, message_id = query_id.split("/", 3)
    call = CallRef(charger_id=charger_id, connection=int(connection), message_id=message_id)
    tokens = None if result is None else result.get("tokens")
    available = tokens.get("available") if isinstance(tokens, Mapping) else None
    if available == "0" and not sells:
        _refuse(turn, call, IdTokenStatus.BLOCKED, code="INSUFFICIENT_TOKENS")
        return
    answer = AuthorizeAnswer(status=IdTokenStatus.ACCEPTED, bidirectional=sells)
    turn.emit(AnswerCall(call=call, answer=answer))


def _refuse(turn: Turn, call: CallRef, status: IdTokenStatus, *, code: str) -> None:
    """Nothing began, so that nothing is counted; a line tells whoever asks why this driver was sent away."""
    turn.emit(AnswerCall(call=call, answer=AuthorizeAnswer(status=status)))
    turn.log("authorization.refused", charger_id=call.charger_id, code=code)
