"""Caches the answers to billing messages, so that a repeated message gets its first answer.

Never decides an answer. Source: OCPP 1.6 §3.7.1 and 2.1 E13: a charger repeats a message that got no answer.
"""

from edgegw.common.canonical_json import sha256_hex
from edgegw.core.effects import IdTokenStatus as Status
from edgegw.core.effects import StartAnswer
from edgegw.core.events import TransactionStarted
from edgegw.core.state import CachedAnswer, Session
from edgegw.core.step_context import StepContext


def start_key(event: TransactionStarted) -> str:
    """Return the key of a start among the cached answers."""
    return _answer_key(event.call.charger_id, event.business_key)


def ended_key(charger_id: str, transaction_id: str) -> str:
    """Return the key under which the end of a transaction is cached."""
    return _answer_key(charger_id, f"ended:{transaction_id}")


def keep_answer(context: StepContext, key: str, *, status: Status, transaction_id: str) -> None:
    """Cache the answer to a billing message, for its repeats."""
    context.answers.put(key, CachedAnswer(status=status, transaction_id=transaction_id, at_ns=context.now_ns))


def _answer_key(charger_id: str, key: str) -> str:
    """Return the key with its text hashed: a device may put anything into it."""
    return f"{charger_id}/{sha256_hex(key)[:32]}"


def start_answer(session: Session, status: Status) -> StartAnswer:
    """Return the answer to a session's start."""
    return StartAnswer(status=status, transaction_id=session.transaction_id)
