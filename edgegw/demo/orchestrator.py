"""Start the demo's parts in order (peer, participants, simulator, daemon), watch the day, and end them.

Decides when each part starts and ends, and stops the run when a part fails. The clock's origin is fixed before the parts
start; a set-up that is not done by then raises TooSlowError. Times are real seconds unless a name states otherwise.
"""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgegw.commissioning.addresses import free_port
from edgegw.commissioning.files import write_private, write_secrets
from edgegw.commissioning.market import certificate_sha256
from edgegw.commissioning.representatives import RepresentativeFiles
from edgegw.commissioning.site import GATEWAY
from edgegw.common.clock import VARIABLE, ClockMapping, StationClock
from edgegw.common.errors import EdgegwError
from edgegw.common.units import SECOND_NS
from edgegw.demo import consortium_setup, documents
from edgegw.demo.consortium_setup import Origin
from edgegw.demo.documents import Parties, Places, Ports
from edgegw.demo.plan import DayPlan
from edgegw.demo.processes import Child, ChildFailedError, ChildProcesses

SETUP_S = 7.0
SETUP_DRIVER_S = 0.06
SETUP_EVSE_S = 0.08
START_S = 60.0
SETTLE_S = 60.0
CLOSE_S = 120.0
LOOK_S = 0.25
MEMBER_PORTS = {
    "ProducerMSP": 8081,
    "IndustryMSP": 8082,
}  # preferred ports of the other organisations' pages


class TooSlowError(EdgegwError):
    """The set-up was not done when the simulated day began."""

    hint = "reduce the load of this machine"


Tell = Callable[[str], None]
Watch = Callable[["Orchestrator"], None]


@dataclass(slots=True, kw_only=True)
class Orchestrator:
    """Controls a run's parts. Calls `tell` at each step, and `watch` a few times per second during the day."""

    plan: DayPlan
    places: Places
    children: ChildProcesses
    tell: Tell
    watch: Watch
    setup_s: float
    password: str = ""
    """The login password of producer and industry; if empty, they have no pages."""
    endpoint: str = ""
    clock: ClockMapping | None = None
    parties: Parties | None = None
    parts: dict[str, Child] = field(default_factory=dict)
    ports: Ports | None = None
    representatives: Sequence[RepresentativeFiles] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variable with the clock that all parts share."""
        return {VARIABLE: str(self.clock)}

    async def set_up(self) -> None:
        """Start everything that the day needs. Raise TooSlowError if it takes longer than `setup_s`."""
        self.places.root.mkdir(parents=True, exist_ok=True)
        self.places.root.chmod(0o700)
        await self.start_peer()
        origin = Origin(
            monotonic_ns=time.monotonic_ns() + round(self.setup_s * SECOND_NS),
            utc_ms=(time.time_ns() + round(self.setup_s * SECOND_NS)) // 1_000_000,
        )
        self.clock = ClockMapping(
            monotonic_origin_ns=origin.monotonic_ns,
            utc_origin_ns=self.plan.begin_s * SECOND_NS,
            speed=self.plan.speed,
            utc_end_ns=self.plan.end_s * SECOND_NS,
        )
        write_secrets(self.places.root)
        async with consortium_setup.member_store(self.places) as store:
            self.representatives = self._representative_files()
            self.parties = consortium_setup.enter(
                store,
                self.plan.carded,
                **{
                    place.name: consortium_setup.played(place, self.password)
                    for place in self.representatives
                },
            )
            await self._start_participants(self.parties, origin)
            await consortium_setup.link(store, self.plan.carded, self.parties)
        await self._start_representatives()
        await self._start_station()
        await self._until_ready()
        if self.late_s() > 0:
            raise TooSlowError(
                f"the set-up took {self.setup_s + self.late_s():.1f} s, not {self.setup_s:.1f} s"
            )

    def late_s(self) -> float:
        """Return the real seconds since the simulated day began; negative before."""
        assert self.clock is not None
        return (time.monotonic_ns() - self.clock.monotonic_origin_ns) / SECOND_NS

    async def start_peer(self) -> None:
        """Start the peer, or restart it at its former endpoint."""
        self.tell("peer: three organisations, one chain")
        peer = await self.children.start(
            "peer",
            ["edgegw.peer", "--data", str(self.places.peer), "--listen", self.endpoint or "127.0.0.1:0"],
        )
        self.parts["peer"] = peer
        self.endpoint = str((await peer.say("listening", START_S))["listening"])

    async def _start_participants(self, parties: Parties, origin: Origin) -> None:
        self.tell(f"participants: {len(parties.drivers)} drivers sign up, tariff, floors and first loads")
        text = documents.participants(
            self.plan,
            self.places,
            parties,
            market={
                "endpoint": self.endpoint,
                "certificate_sha256": certificate_sha256(self.places.identity("EVUserMSP", GATEWAY)),
                "constants": origin.constants(self.plan),
            },
        )
        path = self.places.root / "participants.json"
        write_private(path, text)
        child = await self.children.start(
            "participants", ["edgegw.participants", "--config", str(path)], self.environment
        )
        self.parts["participants"] = child
        await child.say("ready", START_S)

    def _representative_files(self) -> list[RepresentativeFiles]:
        """Return the files of the other organisations' representatives, if a password is set."""
        if not self.password:
            return []
        return [
            documents.representative_files(
                self.places,
                msp_id,
                endpoint=self.endpoint,
                cutoff_s=self.plan.cutoff_s,
                web_port=free_port(port),
            )
            for msp_id, port in MEMBER_PORTS.items()
        ]

    async def _start_representatives(self) -> None:
        for place in self.representatives:
            self.tell(f"representative of {place.msp_id}")
            arguments = ["edgegw.cli", "representative", "--config", str(place.config)]
            self.parts[place.name] = await self.children.start(
                place.name, arguments, self.environment, heard=False
            )

    async def _start_station(self) -> None:
        """Start simulator and daemon together: each waits for the other."""
        self.tell(f"simulator and daemon: {len(self.plan.evses)} chargers and meters")
        self.ports = free_ports(self.plan)
        path = self.places.root / "scenario.toml"
        write_private(path, documents.scenario(self.plan, self.places, self.ports))
        hashes = consortium_setup.password_hashes(self.plan.evses)
        for file, own_peer in ((self.places.config, False), (self.places.tools_config, True)):
            text = documents.configuration(
                self.plan,
                self.places,
                endpoint=self.endpoint,
                ports=self.ports,
                password_hashes=hashes,
                own_peer=own_peer,
            )
            write_private(file, text)
        self.places.station.mkdir(exist_ok=True)
        self.parts["simulator"] = await self.children.start(
            "simulator",
            [
                *("firmware_sim", "run", str(path), "--books", str(self.places.books)),
                *("--status", str(self.places.world_status)),
            ],
            self.environment,
        )
        await self.start_daemon()
        await self.parts["simulator"].say("meters", START_S)

    async def start_daemon(self) -> None:
        """Start or restart the daemon."""
        arguments = ["edgegw.cli", "run", "--config", str(self.places.config)]
        self.parts["daemon"] = await self.children.start("daemon", arguments, self.environment, heard=False)

    async def _until_ready(self) -> None:
        """Wait until all chargers are online, all meters are registered on the ledger, and all cards are known."""
        wanted = {
            "chargers_online": len(self.plan.evses),
            "meters_read": len(self.plan.evses),
            "members": len(self.plan.carded),
        }
        while any(self.status().get(name, 0) < count for name, count in wanted.items()):
            self._check()
            if self.late_s() > 0:
                return
            await asyncio.sleep(LOOK_S / 2)

    def status(self) -> dict[str, Any]:
        """Return the daemon's last status; empty before the first."""
        return read_json(self.places.station / "status.json")

    def _check(self) -> None:
        for child in self.parts.values():
            child.check()

    async def keep(self) -> None:
        """Watch the parts until cancelled. Raise ChildFailedError if one ends."""
        await self._watch_until(lambda: False)

    async def day(self) -> None:
        """Watch the day until its last trade line is on the ledger. Raise ChildFailedError if that takes too long."""
        assert self.clock is not None
        real_s = (self.plan.end_s - self.plan.begin_s) / self.plan.speed
        await self._watch_until(lambda: self.late_s() >= real_s)
        self.tell("the world stands still; the last lines settle")
        try:
            async with asyncio.timeout(SETTLE_S):
                await self._watch_until(self._delivered)
                delivered_ns = StationClock(self.clock).now_ns()
                await self._watch_until(lambda: self._settled(delivered_ns))
        except TimeoutError:
            raise ChildFailedError(
                f"the daemon did not settle in {SETTLE_S:.0f} s: {self.status()}, {self._world()}"
            ) from None

    def _delivered(self) -> bool:
        """Return whether simulated time has ended and no charger has queued messages, which could open a hold."""
        world = self._world()
        return bool(world.get("ended")) and not world["waiting_messages"]

    def _settled(self, since_ns: int) -> bool:
        """Return whether a status newer than `since_ns`, the time of the last message, has nothing open."""
        status = self.status()
        read = status.get("meters_cut_ns", 0) >= self.plan.end_s * SECOND_NS and status["now_ns"] > since_ns
        return read and not status["sessions"] and not status["lines_open"] and not status["holds_open"]

    def _world(self) -> dict[str, Any]:
        """Return the simulator's last status; empty before the first."""
        return read_json(self.places.world_status)

    async def _watch_until(self, over: Callable[[], bool]) -> None:
        while not over():
            self._check()
            self.watch(self)
            await asyncio.sleep(LOOK_S)

    async def close(self) -> dict[str, Any]:
        """Shut the daemon down and let the participants close; return what the participants counted."""
        if await self.parts["daemon"].end(SETTLE_S):
            raise self.parts["daemon"].failure()
        self.tell("participants sweep and are paid out")
        self.parts["participants"].signal(signal.SIGUSR1)
        closed = await self.parts["participants"].say("closed", CLOSE_S)
        await self.parts["participants"].end()
        return closed

    async def stop_simulator(self) -> None:
        """End the simulator, which seals the books a last time."""
        if await self.parts["simulator"].end():
            raise self.parts["simulator"].failure()


def setup_estimate_s(plan: DayPlan) -> float:
    """Return how many seconds a set-up takes on a slow machine."""
    return SETUP_S + SETUP_DRIVER_S * len(plan.carded) + SETUP_EVSE_S * len(plan.evses)


def free_ports(plan: DayPlan) -> Ports:
    """Return free ports of the loopback interface, outside the range of outgoing connections."""
    names = ["ocpp", *(evse.evse_id for evse in plan.evses)]
    found: dict[str, int] = {}
    while len(found) < len(names):
        port = free_port()
        if port not in found.values():
            found[names[len(found)]] = port
    return Ports(ocpp=found.pop("ocpp"), meters=found)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file that is replaced atomically; empty if there is none yet."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content
