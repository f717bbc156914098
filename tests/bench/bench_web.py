"""Measure the cost of 200 phones with live updates, and their effect on the station's answers to chargers.

Measured: user and system time of a real `edgegw run` over wall time, and the time from a charger's sample to its answer (after
the commit on disk), while two chargers send twenty samples per second each. Rounds without phones alternate with rounds of
200 streams of a driver whose car charges, so that every update is rendered and sent. Phones and chargers are separate
processes.
Not measured: TLS, a browser, the pages themselves (a stream lives longer than its page's request), drivers at many EVSEs
(each EVSE's update is rendered separately).
"""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from tests.bench.daemon import Daemon, daemon
from tests.bench.figures import Figure
from tests.bench.ocpp_messages import TOKEN
from tests.bench.processes import Part, part
from tests.bench.rounds import interleaved

PHONES = 200
MESSAGES, ROUNDS = 400, 4  # of each charger in a round
EVERY_S = (
    0.05  # the state of charge changes with every twentieth sample, so that there is an update each second
)
CHARGERS = 2
VERSION, EVSE = "2.0.1", "E-2.0.1-0"  # the charger whose driver watches the page


@dataclass(slots=True, kw_only=True)
class _Side:
    """One side of the comparison: with phones or without."""

    station: Daemon
    load: Part
    phones: Part
    count: int
    messages: int
    latencies_ms: list[list[float]] = field(default_factory=list)
    updates_a_second: list[float] = field(default_factory=list)

    def share(self) -> float:
        """Run one round, and return the daemon's CPU share in percent of a core."""
        if self.count:
            self.phones.ask(watch=self.count)
        before_s = self.station.process.cpu_s()
        paced = self.load.ask(pace={"messages": self.messages, "every_s": EVERY_S})
        used_s = self.station.process.cpu_s() - before_s
        if self.count:
            updates = self.phones.ask(leave=True)["updates"]
            self.updates_a_second.append(updates / self.count / paced["wall_s"])
        self.latencies_ms.append(paced["latencies_ms"])
        return float(100 * used_s / paced["wall_s"])


def measure(folder: Path, *, short: bool) -> list[Figure]:
    """Measure rounds without and with phones."""
    count, messages, rounds = (3, 40, 1) if short else (PHONES, MESSAGES, ROUNDS)
    with (
        part("tests.bench.ocpp_load") as load,
        part("tests.bench.web_phones") as phones,
        daemon(folder / "station", chargers=CHARGERS, poll_s=1, pages=True) as station,
    ):
        phones.ask(enter={"port": station.pages_port, "evse_id": EVSE, "card": TOKEN})
        station.wait_for(members=1)
        station.connect(load, start=True)
        station.wait_for(sessions=CHARGERS)
        sides = [
            _Side(station=station, load=load, phones=phones, count=one, messages=messages)
            for one in (0, count)
        ]
        shares = interleaved({"alone": sides[0].share, "watched": sides[1].share}, rounds)
    return _figures(shares, alone=sides[0], watched=sides[1])


def _figures(shares: dict[str, list[float]], *, alone: _Side, watched: _Side) -> list[Figure]:
    more = [b - a for a, b in zip(shares["alone"], shares["watched"], strict=True)]
    figures = [
        Figure(name="web.phones", value=median(more), unit="% of a core more"),
        Figure(
            name="web.share",
            value=median(shares["watched"]),
            unit="% of a core",
            baseline=median(shares["alone"]),
        ),
        Figure(
            name="web.updates", value=median(watched.updates_a_second[1:]), unit="updates/s for each phone"
        ),
    ]
    for percent in (50, 99):
        ours, theirs = (_percentile(side, percent) for side in (watched, alone))
        figures.append(Figure(name=f"web.answer.p{percent}", value=ours, unit="ms", baseline=theirs))
    return figures


def _percentile(side: _Side, percent: int) -> float:
    """Return a percentile over all rounds but the first, which warms up."""
    all_ms = [one for latencies in side.latencies_ms[1:] for one in latencies]
    return quantiles(all_ms, n=100)[percent - 1]
