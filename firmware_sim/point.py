"""Extend the `ocpp` package's charge point with a timeout per call and an answer to every call.

The package's release 2.1.0 does not answer a 2.1-only action without a handler; here every unknown action is answered
NotImplemented. Handlers are given as a table from action to method.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ocpp.exceptions import NotImplementedError as UnknownAction

Handler = Callable[..., Any]


class PointMixin:
    """A mixin that precedes a version's ChargePoint in the bases."""

    route_map: dict[str, dict[str, Any]]
    _response_timeout: float
    _response_queue: asyncio.Queue[Any]

    def install(self, handlers: Mapping[str, Handler]) -> None:
        """Handle these actions, validated against the package's schemas, and no others."""
        self.route_map = {name: {"_on_action": each} for name, each in handlers.items()}

    def set_answer_timeout(self, seconds: float) -> None:
        """Set how long the next call waits for its answer, in real seconds."""
        self._response_timeout = seconds

    async def _get_specific_response(self, unique_id: str, timeout: float) -> Any:
        """Return the answer to one call and drop late answers. The package's own method may swallow a cancellation."""
        async with asyncio.timeout(timeout):
            while True:
                response = await self._response_queue.get()
                if response.unique_id == unique_id:
                    return response

    async def _handle_call(self, msg: Any) -> Any:
        if msg.action not in self.route_map:
            raise UnknownAction(details={"cause": f"No handler for {msg.action}"})
        return await super()._handle_call(msg)  # type: ignore[misc]  # defined by the package's ChargePoint


def status_details(reason: str) -> dict[str, str]:
    """Return a 2.x statusInfo with a reason code (at most 20 characters)."""
    return {"reason_code": reason[:20]}
