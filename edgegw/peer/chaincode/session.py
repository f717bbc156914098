"""One stream's calls: each runs the contract in a worker thread, whose reads wait for the peer's answers.

Decides how many calls run and wait, and how a call ends that could not be run. The contract is plain synchronous
code and knows nothing of it. Everything but `_run` and `CallChannel.ask` happens in the event loop.
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
"""A peer gives a call up after its `chaincode.executetimeout` (30 s): no answer will come after that."""


class Log(Protocol):
    """Writes one line: a name of the closed list, its fields."""

    def __call__(self, name: str, fields: Mapping[str, object], *, level: str = "info") -> None:
        """Write it."""
        ...


class StreamLostError(Exception):
    """The stream to the peer is gone, and with it the call."""


class PeerFailedError(Exception):
    """The peer could not do what a call asked of it; the message is its own."""


@dataclass(slots=True)
class StreamContext:
    """What all streams share: the contract, the threads that run it, and whether new calls are taken.

    `idle` is set while no call is under way, `leaving` once all streams are to end.
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
        """One more call is under way."""
        self.calls += 1
        self.idle.clear()

    def ended(self, *, answered: bool) -> None:
        """One call less; `answered` = its peer was still there to be told."""
        self.calls -= 1
        self.finished += answered
        if self.calls == 0:
            self.idle.set()

    def obstacle(self) -> str:
        """Why a new call cannot be taken; empty where it can."""
        if self.draining:
            return "the chaincode service is stopping"
        return (
            f"the chaincode service has {self.calls} calls under way" if self.calls >= self.calls_max else ""
        )


class CallChannel:
    """A running call's way to the peer, from its own thread."""

    def __init__(self, send: Callable[[ChaincodeMessage.Type, Message], None]) -> None:
        """`send` is called in the call's thread."""
        self._send = send
        self._answers: queue.SimpleQueue[Answered | None] = queue.SimpleQueue()
        self._cut = False

    def ask(self, kind: ChaincodeMessage.Type, body: Message) -> bytes:
        """One request and its answer; raises StreamLostError, PeerFailedError."""
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
        """The peer's answer."""
        self._answers.put(answer)

    def cut(self) -> None:
        """No answer will come any more."""
        self._cut = True
        self._answers.put(None)


class Session:
    """One stream with one peer, from its opening to its end. `send` puts a message on its way to the peer."""

    def __init__(
        self, desk: StreamContext, package_id: str, *, peer: str, send: Callable[[ChaincodeMessage], None]
    ) -> None:
        self._desk = desk
        self._peer = peer
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._conversation = Conversation(package_id)
        self._lines: dict[object, CallChannel] = {}
        self._batch_max = 0
        self._closed = False
        self.registered = asyncio.Event()

    def open(self) -> None:
        """Say which package this is."""
        self._send(self._conversation.opening())

    def receive(self, message: ChaincodeMessage) -> str:
        """Take a message of the peer; gives why the stream is of no use any more, empty where it goes on."""
        match self._conversation.receive(message):
            case Send(reply):
                self._send(reply)
            case Registered(batch_max):
                self._batch_max = batch_max
                self.registered.set()
                self._desk.log("chaincode.registered", {"peer": self._peer, "write_batch_max": batch_max})
            case Begun(call):
                self._begin(call)
            case Answered() as answer:
                self._lines[answer.call_id].answer(answer)
            case Broken(reason):
                return reason
            case None:
                pass
            case unhandled:
                assert_never(unhandled)
        return ""

    def close(self) -> None:
        """The stream is gone: running calls end without an answer. May be called again."""
        if self._closed:
            return
        self._closed = True
        for line in self._lines.values():
            line.cut()
        if self.registered.is_set():
            fields = {"peer": self._peer, "calls_lost": len(self._lines)}
            self._desk.log("chaincode.disconnected", fields)

    def _begin(self, call: Call) -> None:
        obstacle = self._desk.obstacle()
        if obstacle:
            self._send(self._conversation.fail(call.call_id, obstacle))
            return

        def send(kind: ChaincodeMessage.Type, body: Message) -> None:
            self._loop.call_soon_threadsafe(self._request, call, kind, body)

        line = CallChannel(send)
        self._lines[call.call_id] = line
        self._desk.began()
        running = self._loop.run_in_executor(self._desk.threads, self._run, call, line)
        running.add_done_callback(partial(self._ended, call))

    def _run(self, call: Call, line: CallChannel) -> tuple[Response, tuple[str, bytes] | None]:
        stub = PeerStub(call, line.ask)
        response = self._desk.contract(stub, call.function, call.args)
        if response.status < ERROR_STATUS:
            stub.send_writes(self._batch_max)
        return response, stub.event

    def _request(self, call: Call, kind: ChaincodeMessage.Type, body: Message) -> None:
        message = self._conversation.request(call.call_id, kind, body)
        if message is not None and not self._closed:
            self._send(message)

    def _ended(self, call: Call, running: asyncio.Future[tuple[Response, tuple[str, bytes] | None]]) -> None:
        self._desk.ended(answered=not self._closed)
        del self._lines[call.call_id]
        fault = running.exception()
        if fault is None:
            response, event = running.result()
            reply = self._conversation.complete(call.call_id, response, event)
        else:
            reply = self._conversation.fail(call.call_id, self._explain(call, fault))
        if not self._closed:
            self._send(reply)

    def _explain(self, call: Call, fault: BaseException) -> str:
        """What the peer is told of a call that could not be run; a fault of ours is logged."""
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
            self._desk.log("chaincode.failed", fields, level="error")
        return f"the contract could not be run: {type(fault).__name__}"
