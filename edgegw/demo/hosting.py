"""Host the interactive station: start its parts, print its addresses, and serve until it is cancelled.

Its station, ledger and members are separate from those of the day that was settled before.
"""

import json
from dataclasses import dataclass

from edgegw.commissioning.addresses import free_port
from edgegw.commissioning.files import write_private
from edgegw.common.passwords import hash_password
from edgegw.common.qr import qr_terminal
from edgegw.demo.documents import Places
from edgegw.demo.interactive import plan_open_house
from edgegw.demo.orchestrator import Orchestrator, Tell, TooSlowError, setup_estimate_s
from edgegw.demo.plan import DayPlan, PagesPlan
from edgegw.demo.processes import nursery
from edgegw.demo.run import empty
from edgegw.web.operator.login import new_password

WEB_PORT, OPERATOR_PORT = 8080, 8090
REPRESENTATIVES_S = 8.0  # to start two more representatives


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHouse:
    """An interactive station: its files, the receiver of its messages, and its seed."""

    places: Places
    tell: Tell
    seed: int = 1

    async def run(self) -> None:
        """Serve until cancelled; raises ChildFailedError, TooSlowError."""
        try:
            await self._attempt(1)
        except TooSlowError as late:
            self.tell(f"{late}; trying again with twice the time")
            empty(self.places)
            await self._attempt(2)

    async def _attempt(self, times: int) -> None:
        pages = PagesPlan(web_port=free_port(WEB_PORT), operator_port=free_port(OPERATOR_PORT))
        plan = plan_open_house(seed=self.seed, pages=pages)
        password = new_password()
        self.places.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.places.operator_hash, hash_password(password) + "\n")
        async with nursery(self.places.root / "logs") as children:
            stage = Orchestrator(
                plan=plan,
                places=self.places,
                children=children,
                tell=self.tell,
                watch=lambda _stage: None,
                setup_s=times * (setup_estimate_s(plan) + REPRESENTATIVES_S),
                password=password,
            )
            await stage.set_up()
            self._welcome(stage, plan, password)
            await stage.keep()

    def _welcome(self, stage: Orchestrator, plan: DayPlan, password: str) -> None:
        drivers = listening(self.places, "daemon")["drivers"]
        self.tell(f"driver pages: {drivers}  (one hour of station time takes {3600 // plan.speed} seconds)")
        self.tell(f"\n{qr_terminal(drivers)}")
        self.tell(
            f"EVSEs with a car: {', '.join(f'{drivers}/evse/{one.evse_id}' for one in plan.visits if not one.id_token)}"
        )
        self.tell(f"operator pages: {listening(self.places, 'daemon')['operator']}  password {password}")
        for name in ("producer", "industry"):
            members = listening(self.places, name).get("members", "")
            self.tell(f"{name}: {members}  login {name}, the same password")
        self.tell(f"commands: edgegw status --config {self.places.config}; STATION_CLOCK={stage.clock}")
        self.tell("Ctrl-C stops the station")


def listening(places: Places, child: str) -> dict[str, str]:
    """Return the origins of a child's pages by the pages' name, from its log."""
    lines = (places.root / "logs" / f"{child}.log").read_text(encoding="utf-8").splitlines()
    told = (json.loads(line) for line in lines if '"web.listening"' in line)
    return {entry["pages"]: entry["origin"] for entry in told}
