"""Run one EVSE's charger from plug-in to unplug, independently of the OCPP version.

Decides when a transaction starts and ends, when the contactor closes, which power is offered and which messages are
sent. Energy flows only after the server accepts the start, and within the charging profiles. Never opens a socket
(`Link` does) and never integrates energy (`Plant` does).
"""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import Protocol

from firmware_sim.plans import EvsePlan, VisitPlan
from firmware_sim.plant import Plant
from firmware_sim.profiles import Profile, ProfileRefused, ProfileStack
from firmware_sim.visit import Reading, Transaction, TxEvent, Visit
from firmware_sim.world import NS_PER_S, Clock

CONNECTION_TIMEOUT_S = (
    60  # simulated: how long a remote start waits for a car (1.6 ConnectionTimeOut, 2.x EVConnectionTimeOut)
)
RESET_AFTER_S = 0.1  # real: long enough for the answer to leave first
ACCEPTED = "Accepted"
REGISTERS = ("Energy.Active.Import.Register", "Energy.Active.Export.Register")
MEASURANDS = (*REGISTERS, "Power.Active.Import", "Power.Active.Export", "SoC")


class Link(Protocol):
    """Sends a charger's messages. All methods but `authorize` return at once; messages wait for a connection."""

    online: bool

    def post(self, event: TxEvent) -> None:
        """Queue a transaction message; the answer arrives by `Charger.answered`."""

    def show(self, status: str, at_ns: int) -> None:
        """Report the connector's status, one of OCPP 1.6's ChargePointStatus values."""

    def report_needs(self, visit: Visit, soc_percent: int) -> None:
        """Report the car's charging needs, if the OCPP version has a message for them."""

    async def authorize(self, id_token: str) -> str:
        """Send an Authorize request and return the status of the idToken."""

    def reboot(self, until_ns: int, reason: str) -> None:
        """Drop the connection until simulated `until_ns`, then send a BootNotification with `reason`."""


class Charger:
    """The charger of one EVSE; `live` runs it, the link and the fault injectors call its other methods."""

    link: Link

    def __init__(
        self, plan: EvsePlan, plant: Plant, *, clock: Clock, visits: list[Visit], chance: random.Random
    ) -> None:
        self.plan = plan
        self.plant = plant
        self.clock = clock
        self.visits = visits
        self.visit: Visit | None = None
        self.tx: Transaction | None = None
        self.stack = ProfileStack(plan.rated_w if plan.default_limit_w is None else plan.default_limit_w)
        self.sample_interval_s = plan.sample_interval_s
        self.measurands = {"begin": set(MEASURANDS), "periodic": set(MEASURANDS), "end": set(MEASURANDS)}
        self.may_discharge = plan.dialect == "negative_limit"
        self._chance = chance
        self._wake = asyncio.Event()
        self._asked: Transaction | None = None
        self._asked_until_ns = 0
        self._reset_reason: str | None = None
        self._dark = False

    # --- the life of a charger ---
    async def live(self) -> None:
        """Serve all planned visits, one after the other."""
        for visit in self.visits:
            if not visit.outcome.startswith("refused"):
                await self.clock.sleep_until(visit.plan.arrival_ns)
                await self._serve(visit)

    async def _serve(self, visit: Visit) -> None:
        plan = visit.plan
        if self._asked is not None and self.clock.now_ns() > self._asked_until_ns:
            self._asked = None  # the remote start has timed out
        self.visit, visit.outcome = visit, "plugged"
        self.may_discharge = self.plan.dialect == "negative_limit"
        self.plant.plug(self.clock.now_ns(), plan.car, wanted_wh=plan.wanted_wh, until_ns=plan.departure_ns)
        visit.moved = self.plant.car
        self.link.show("Preparing", self.clock.now_ns())
        if plan.id_token and self._asked is None:
            await self._present_card(visit)
        while not self._departed(plan):
            if self._asked is not None:
                tx, self._asked = self._asked, None
                visit.outcome = "plugged"
                await self._transact(visit, tx)
            else:
                await self._wait(plan.departure_ns)
        self.plant.unplug(self.clock.now_ns())
        self.visit = self._asked = None
        visit.outcome = visit.outcome_now()
        self.link.show("Available", self.clock.now_ns())

    async def _present_card(self, visit: Visit) -> None:
        """Authorize the visit's card; request a transaction if it is accepted and no remote start came meanwhile."""
        status = await self._authorized(visit.plan)
        if status == ACCEPTED:
            self._asked = self._asked or self._new_transaction(visit.plan.id_token)
        elif self._asked is None:
            visit.outcome = f"refused:{status}"

    async def _authorized(self, plan: VisitPlan) -> str:
        if not self.plan.authorize:
            return ACCEPTED
        try:
            async with asyncio.timeout(self.clock.real_s_until(plan.departure_ns)):
                return await self.link.authorize(plan.id_token)
        except TimeoutError:
            return "NO_ANSWER"

    async def _transact(self, visit: Visit, tx: Transaction) -> None:
        """Run one transaction from its start to its end."""
        plan = visit.plan
        self.tx = tx
        visit.transactions += 1
        self.stack.begin(self.clock.now_ns())
        tx.begin = self._reading()
        remote = tx.remote_start_id is not None
        self._post("started", "RemoteStart" if remote else "Authorized", "Transaction.Begin")
        if self.plan.ocpp == "1.6":  # StartTransaction carries no export register
            self._post("updated", "MeterValuePeriodic", "Transaction.Begin")
        while tx.verdict is None and tx.stop_reason is None and not self._departed(plan):
            await self._wait(plan.departure_ns)
        if tx.verdict == ACCEPTED:
            await self._deliver(visit, tx)
        elif tx.verdict is not None or self._departed(plan):
            visit.outcome = f"refused:{tx.verdict or 'NO_ANSWER'}"
            tx.stop_reason = tx.stop_reason or ("DeAuthorized" if tx.verdict else "EVDisconnected")
        self.plant.open(self.clock.now_ns())
        tx.stop_reason = tx.stop_reason or "EVDisconnected"
        visit.stop_reasons.append(tx.stop_reason)
        self._post("ended", tx.stop_reason, "Transaction.End")
        self.tx = None
        self.stack.clear(purpose="TxProfile")
        if not self._departed(plan):
            self.link.show("Finishing", self.clock.now_ns())
        self._reset_if_due()

    async def _deliver(self, visit: Visit, tx: Transaction) -> None:
        """Let energy flow until the transaction ends, and report changes and samples."""
        now_ns = self.clock.now_ns()
        tx.next_sample_ns = now_ns + self.sample_interval_s * NS_PER_S
        self._follow()
        if not self._dark:
            self.plant.close(now_ns)
        self.link.report_needs(visit, self._reading().soc_percent)
        while tx.stop_reason is None and not self._departed(visit.plan):
            self._report(tx)
            times = [visit.plan.departure_ns, self.plant.next_change_ns(self.clock.now_ns())]
            times.append(tx.next_sample_ns if self.sample_interval_s else None)
            await self._wait(min(each for each in times if each is not None))

    def _report(self, tx: Transaction) -> None:
        """Send a message if the charging state or operation mode changed, or a periodic sample is due."""
        now_ns = self.clock.now_ns()
        if self._dark:
            tx.next_sample_ns = now_ns + self.sample_interval_s * NS_PER_S
            return
        state, central = self._state(now_ns), self.stack.central(now_ns)
        due = bool(self.sample_interval_s) and now_ns >= tx.next_sample_ns
        if state != tx.state:
            tx.state, tx.central = state, central
            self._post("updated", "ChargingStateChanged", "Sample.Periodic")
            self.link.show(state, now_ns)
        elif central != tx.central:
            tx.central = central
            self._post("updated", "OperationModeChanged", "Sample.Periodic")
        elif due:
            self._post("updated", "MeterValuePeriodic", "Sample.Periodic")
        if due:
            step_ns = self.sample_interval_s * NS_PER_S
            tx.next_sample_ns += ((now_ns - tx.next_sample_ns) // step_ns + 1) * step_ns

    def _state(self, now_ns: int) -> str:
        if self.plant.registers(now_ns)[2]:
            return "Charging"
        return "SuspendedEV" if self.plant.offered_w(now_ns) else "SuspendedEVSE"

    def _departed(self, plan: VisitPlan) -> bool:
        return self.clock.now_ns() >= plan.departure_ns

    async def _wait(self, until_ns: int) -> None:
        """Return at simulated `until_ns`, or earlier when `_wake` is set."""
        try:
            async with asyncio.timeout(self.clock.real_s_until(until_ns)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _new_transaction(self, id_token: str, remote_start_id: int | None = None) -> Transaction:
        tx_id = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        return Transaction(tx_id=tx_id, id_token=id_token, remote_start_id=remote_start_id)

    def _reading(self) -> Reading:
        now_ns = self.clock.now_ns()
        import_mwh, export_mwh, power_w = self.plant.registers(now_ns)
        car = self.plant.car
        return Reading(
            at_ns=now_ns,
            import_wh=import_mwh // 1000,
            export_wh=export_mwh // 1000,
            power_w=power_w,
            soc_percent=car.battery.soc_ppm // 10_000 if car else 0,
        )

    def _post(self, kind: str, trigger: str, context: str) -> None:
        tx = self.tx
        assert tx is not None
        event = TxEvent(
            kind=kind,
            tx=tx,
            seq_no=tx.events,
            reading=tx.begin if context == "Transaction.Begin" and tx.begin else self._reading(),
            trigger=trigger,
            context=context,
            state=tx.state,
            central=tx.central,
            offline=not self.link.online,
        )
        tx.events += 1
        self.link.post(event)

    def _follow(self) -> None:
        """Command the plant to follow the power of the installed profiles from now on."""
        now_ns = self.clock.now_ns()
        self.plant.command(now_ns, self.stack.pieces(now_ns))
        self._wake.set()

    # --- what the link reports ---
    def answered(self, event: TxEvent, status: str | None) -> None:
        """Take the answer to a transaction message; `status` None: the answer has none, or the message was dropped."""
        tx = event.tx
        if event.kind == "started":
            tx.verdict = status or ACCEPTED
        elif status not in {None, ACCEPTED} and tx is self.tx:
            tx.stop_reason = tx.stop_reason or "DeAuthorized"
        self._wake.set()

    def went_offline(self) -> None:
        """Start the profiles' offline clock."""
        self.stack.went_offline(self.clock.now_ns())
        self._follow()

    def came_online(self) -> None:
        """Stop the profiles' offline clock."""
        self.stack.came_online(self.clock.now_ns())
        self._follow()

    # --- what the server requests ---
    def set_profile(self, profile: Profile, tx_id: str | None) -> None:
        """Install a charging profile. Raise ProfileRefused with the reason if the charger cannot follow it."""
        if profile.purpose == "TxProfile" and (self.tx is None or tx_id not in self._tx_names(self.tx)):
            raise ProfileRefused("TxNotFound")
        if not self.may_discharge and any(power_w < 0 for _, power_w in profile.steps):
            raise ProfileRefused("NoBidirectionalTransfer")
        self.stack.install(profile, replace_level=self.plan.ocpp == "1.6")
        self._follow()

    def _tx_names(self, tx: Transaction) -> set[str | None]:
        """Return the transaction ids by which a TxProfile may name the running transaction; optional in 1.6."""
        return {str(tx.number), None} if self.plan.ocpp == "1.6" else {tx.tx_id}

    def clear_profiles(self, *, profile_id: int | None, purpose: str | None, level: int | None) -> bool:
        """Remove the charging profiles that match; return whether any did."""
        found = self.stack.clear(profile_id=profile_id, purpose=purpose, level=level)
        self._follow()
        return found

    def update_profile(self, profile_id: int, power_w: int) -> bool:
        """Set a dynamic profile's power; return False if it is unknown or discharging is not allowed."""
        if power_w < 0 and not self.may_discharge:
            return False
        done = self.stack.update(profile_id, power_w, self.clock.now_ns())
        self._follow()
        return done

    def allow_transfer(self, modes: list[str]) -> None:
        """Set the allowed energy transfer modes (2.1 Q01, Q02); without a BPT mode the car may not discharge."""
        self.may_discharge = any("BPT" in mode for mode in modes)

    def request_start(
        self, id_token: str, *, remote_start_id: int = 0, profile: Profile | None = None
    ) -> Transaction | None:
        """Start a transaction for the plugged car, or for the next one within the timeout; None if one is running."""
        if self.tx is not None:
            return None
        if profile is not None:
            self.stack.install(profile, replace_level=True)
        self._asked = self._new_transaction(id_token, remote_start_id)
        self._asked_until_ns = self.clock.now_ns() + CONNECTION_TIMEOUT_S * NS_PER_S
        self._wake.set()
        return self._asked

    def request_stop(self, tx_id: str) -> bool:
        """End the running transaction; return False if `tx_id` is not its id."""
        if self.tx is None or tx_id not in {self.tx.tx_id, str(self.tx.number)}:
            return False
        self.tx.stop_reason = self.tx.stop_reason or "Remote"
        self._wake.set()
        return True

    def request_reset(self, *, immediate: bool) -> bool:
        """Reset at once, which ends the transaction, or when idle; return whether it is at once."""
        self._reset_reason = "RemoteReset" if immediate or self.tx is None else "ScheduledReset"
        if self.tx is None:
            self._reset_if_due()
        elif immediate:
            self.tx.stop_reason = self.tx.stop_reason or "Reset"
            self._wake.set()
        return self._reset_reason != "ScheduledReset"

    def _reset_if_due(self) -> None:
        if self._reset_reason is not None:
            reason, self._reset_reason = self._reset_reason, None
            loop = asyncio.get_running_loop()
            loop.call_later(RESET_AFTER_S, self.link.reboot, self.clock.now_ns(), reason)

    def set_sample_interval(self, interval_s: int) -> None:
        """Send a sample every `interval_s` simulated seconds from now; 0 switches periodic samples off."""
        self.sample_interval_s = interval_s
        if self.tx is not None:
            self.tx.next_sample_ns = self.clock.now_ns() + interval_s * NS_PER_S
        self._wake.set()

    def sample_now(self) -> None:
        """Send a sample of the running transaction, as the server's trigger requests."""
        if self.tx is not None:
            self._post("updated", "Trigger", "Trigger")

    # --- faults ---
    def power_off(self) -> None:
        """Lose power: open the contactor and send nothing; the transaction is kept in memory."""
        self._dark = True
        self.plant.open(self.clock.now_ns())

    def power_on(self) -> None:
        """Regain power and resume the transaction (2.1 E17)."""
        self._dark = False
        if self.tx is not None and self.tx.verdict == ACCEPTED and self.tx.stop_reason is None:
            self.plant.close(self.clock.now_ns())
            self._post("updated", "TxResumed", "Sample.Periodic")
        self._wake.set()
