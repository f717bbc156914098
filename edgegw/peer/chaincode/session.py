"""Run the calls of one stream: each runs the contract in a worker thread, whose reads wait for the peer's responses.

Decides how many calls run, and how a call that could not run ends. The contract is plain synchronous code. Everything
but `_run` and `CallChannel.ask` runs on the event loop.
"""

import asyncio
import queue
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, assert_never

from google.protobuf.message import Message  # type: ignore[import-untyped]  # it ships no stubs

from edgegw.contract.stub import Response
from edgegw.fabric.proto.chaincode_pb2 import ChaincodeMessage
from edgegw.peer.chaincode.protocol import Answered, Begun, Broken, Call, Conversation, Registered, Send
from edgegw.peer.chaincode.stub import PeerStub
from edgegw.peer.invocation import Contract

ERROR_STATUS = 400
ANSWER_S = 60.0
"""Wait for a response, s; longer than a peer's `chaincode.executetimeout` (30 s), after which it abandons a call."""


class Log(Protocol):
    """Writes a log event."""

    def __call__(self, name: str, fields: Mapping[str, object], *, level: str = "info") -> None:
        """Write the event `name`, one of docs/events.md, with its fields."""
        ...


class StreamLostError(Exception):
    """The stream to the peer ended, and with it the call."""


class PeerFailedError(Exception):
    """The peer could not serve a request; the message is the peer's."""


@dataclass(slots=True)
class StreamContext:
    """The state all streams share: the contract, its worker threads, and whether new calls are accepted.

    `idle` is set while no call is running, `leaving` when all streams must end.
    """

    contract: Contract
    threads: ThreadPoolExecutor
    calls_max: int
    log: Log
    calls: int = 0
    finished: int = 0
    draining: bool = False
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.idle.set()

    def began(self) -> None:
        """Count a call that starts."""
        self.calls += 1
        self.idle.clear()

    def ended(self, *, answered: bool) -> None:
        """Count a call that ends; `answered` states whether its stream was still open."""
        self.calls -= 1
        self.finished += answered
        if self.calls == 0:
            self.idle.set()

    def obstacle(self) -> str:
        """Return why a new call cannot be accepted, or an empty string."""
        if self.draining:
            return "the chaincode service is stopping"
        return (
            f"the chaincode service has {self.calls} calls under way" if self.calls >= self.calls_max else ""
        )


class CallChannel:
    """Carries a running call's requests from its worker thread to the peer."""

    def __init__(self, send: Callable[[ChaincodeMessage.Type, Message], None]) -> None:
        """Set the function that sends a request; it is called in the worker thread."""
        self._send = send
        self._answers: queue.SimpleQueue[Answered | None] = queue.SimpleQueue()
        self._cut = False

    def ask(self, kind: ChaincodeMessage.Type, body: Message) -> bytes:
        """Send a request and return the peer's response; raises StreamLostError, PeerFailedError."""
        if self._cut:
            raise StreamLostError
        self._send(kind, body)
        try:
            answer = self._answers.get(timeout=ANSWER_S)
        except queue.Empty as silence:
            raise PeerFailedError(f"no answer from the peer within {ANSWER_S:.0f} s") from silence
        if answer is None:
            raise StreamLostError
        if answer.fault:
            raise PeerFailedError(answer.fault)
        return answer.payload

    def answer(self, answer: Answered) -> None:
        """Deliver the peer's response."""
        self._answers.put(answer)

    def cut(self) -> None:
        """End waiting: no response will arrive."""
        self._cut = True
        self._answers.put(None)


class Session:
    """One stream with one peer, from its opening to its end; `send` queues a message to the peer."""

    def __init__(
        self, shared: StreamContext, package_id: str, *, peer: str, send: Callable[[ChaincodeMessage], None]
    ) -> None:
        self._shared = shared
        self._peer = peer
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._conversation = Conversation(package_id)
        self._channels: dict[object, CallChannel] = {}
        self._batch_max = 0
        self._closed = False
        self.registered = asyncio.Event()

    def open(self) -> None:
        """Register the package with the peer."""
        self._send(self._conversation.opening())

    def receive(self, message: ChaincodeMessage) -> str:
        """Process a message of the peer; return why the stream must close, or an empty string."""
        match self._conversation.receive(message):
            case Send(reply):
                self._send(reply)
            case Registered(batch_max):
                self._batch_max = batch_max
                self.registered.set()
                self._shared.log("chaincode.registered", {"peer": self._peer, "write_batch_max": batch_max})
            case Begun(call):
                self._begin(call)
            case Answered() as answer:
                self._channels[answer.call_id].answer(answer)
            case Broken(reason):
                return reason
            case None:
                pass
            case unhandled:
                assert_never(unhandled)
        return ""

    def close(self) -> None:
        """End the running calls without a response after the stream has ended. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for channel in self._channels.values():
            channel.cut()
        if self.registered.is_set():
            fields = {"peer": self._peer, "calls_lost": len(self._channels)}
            self._shared.log("chaincode.disconnected", fields)

    def _begin(self, call: Call) -> None:
        obstacle = self._shared.obstacle()
        if obstacle:
            self._send(self._conversation.fail(call.call_id, obstacle))
            return

        def send(kind: ChaincodeMessage.Type, body: Message) -> None:
            self._loop.call_soon_threadsafe(self._request, call, kind, body)

        channel = CallChannel(send)
        self._channels[call.call_id] = channel
        self._shared.began()
        running = self._loop.run_in_executor(self._shared.threads, self._run, call, channel)
        running.add_done_callback(partial(self._ended, call))

    def _run(self, call: Call, channel: CallChannel) -> tuple[Response, tuple[str, bytes] | None]:
        stub = PeerStub(call, channel.ask)
        response = self._shared.contract(stub, call.function, call.args)
        if response.status < ERROR_STATUS:
            stub.send_writes(self._batch_max)
        return response, stub.event

    def _request(self, call: Call, kind: ChaincodeMessage.Type, body: Message) -> None:
        message = self._conversation.request(call.call_id, kind, body)
        if message is not None and not self._closed:
            self._send(message)

    def _ended(self, call: Call, running: asyncio.Future[tuple[Response, tuple[str, bytes] | None]]) -> None:
        self._shared.ended(answered=not self._closed)
        del self._channels[call.call_id]
        fault = running.exception()
        if fault is None:
            response, event = running.result()
            reply = self._conversation.complete(call.call_id, response, event)
        else:
            reply = self._conversation.fail(call.call_id, self._explain(call, fault))
        if not self._closed:
            self._send(reply)

    def _explain(self, call: Call, fault: BaseException) -> str:
        """Return the error text for a call that could not run; log it if the fault is in this service."""
        if isinstance(fault, PeerFailedError):
            return str(fault)
        if not isinstance(fault, StreamLostError):
            where = traceback.extract_tb(fault.__traceback__)[-1]
            fields = {
                "tx_id": call.call_id.tx_id,
                "function": call.function,
                "reason": f"{type(fault).__name__}: {fault}",
                "where": f"{where.filename}:{where.lineno}",
            }
            self._shared.log("chaincode.failed", fields, level="error")
        return f"the contract could not be run: {type(fault).__name__}"
