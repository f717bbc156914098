"""Answers Authorize: whether a card may charge. Changes no account and reserves nothing: the start decides.

Source: docs/ledger.md, Life of a session; OCPP 1.6 §4.1, 2.1 use case C01.
"""

from collections.abc import Mapping

from edgegw.core.correlation import AuthorizationBalance, CallRef
from edgegw.core.effects import AnswerCall, AuthorizeAnswer, IdTokenStatus, Query
from edgegw.core.events import AuthorizeRequested
from edgegw.core.step_context import StepContext


def on_asked(context: StepContext, event: AuthorizeRequested) -> None:
    """Check the member and the disk, then query the balance; without an answer from the peer, accept."""
    terms = context.members.get(event.id_token_hash)
    if terms is None:
        _refuse(context, event.call, IdTokenStatus.INVALID, code="UNKNOWN_TOKEN")
        return
    if not context.admits:
        _refuse(context, event.call, IdTokenStatus.BLOCKED, code="DISK_FULL")
        return
    key = AuthorizationBalance(call=event.call, sells=terms.sells)
    context.queries.add(key)
    context.emit(Query(key=key, function="balanceOf", arguments={"v": 1, "memberId": terms.member_id}))


def on_balance(context: StepContext, key: AuthorizationBalance, result: Mapping[str, object] | None) -> None:
    """Answer the Authorize once the peer has answered, or could not."""
    tokens = None if result is None else result.get("tokens")
    available = tokens.get("available") if isinstance(tokens, Mapping) else None
    if available == "0" and not key.sells:
        _refuse(context, key.call, IdTokenStatus.BLOCKED, code="INSUFFICIENT_TOKENS")
        return
    answer = AuthorizeAnswer(status=IdTokenStatus.ACCEPTED, bidirectional=key.sells)
    context.emit(AnswerCall(call=key.call, answer=answer))


def _refuse(context: StepContext, call: CallRef, status: IdTokenStatus, *, code: str) -> None:
    """Answer a refusal and log its code; nothing began, so nothing is counted."""
    context.emit(AnswerCall(call=call, answer=AuthorizeAnswer(status=status)))
    context.log("authorization.refused", charger_id=call.charger_id, code=code)
