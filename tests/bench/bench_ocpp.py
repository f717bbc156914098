"""Measure messages per CPU second of the server, from a charger's frame to the answer after the commit.

Measured: user and system time of the server's process, all threads, while 20 chargers in another process send samples over
loopback WebSockets, each with one CALL outstanding, as the standard requires. 20 chargers share a group commit; with fewer,
each message costs more. The message is a sample of the five measurands that the gateway configures, in a running
transaction; in one of twenty the state of charge changes.
Not measured: TLS and compression (no client offers it), meters and ledger (they answer from memory), latency.
The package's server runs on asyncio as its documentation shows; the gateway and the echo run on uvloop, as the daemon does.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.ocpp_messages import VERSIONS
from tests.bench.ocpp_servers import CHARGERS
from tests.bench.processes import Part, part
from tests.bench.rounds import compared, interleaved

SIDES = ("gateway", "package", "echo")
NAMES = {version: "meter_values" if version == "1.6" else "transaction_event" for version in VERSIONS}
UNIT = "messages/CPU s"


def measure(folder: Path, *, short: bool) -> list[Figure]:
    """Measure all versions against all servers."""
    messages, rounds = (CHARGERS, 1) if short else (2_000, 7)
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(part("tests.bench.ocpp_load"))
        servers = {
            side: stack.enter_context(part("tests.bench.ocpp_servers", side, str(folder))) for side in SIDES
        }
        for side, server in servers.items():
            port = server.hear()["port"]
            for version in VERSIONS:
                order = {"name": f"{side}/{version}", "port": port, "version": version, "count": CHARGERS}
                load.ask(open={**order, "start": True})
        for version in VERSIONS:
            sides: dict[str, Callable[[], float]] = {
                side: partial(_rate, server, load, name=f"{side}/{version}", messages=messages)
                for side, server in servers.items()
            }
            found = interleaved(sides, rounds)
            for suffix, other in (("", "package"), (".echo", "echo")):
                value, baseline = compared(found["gateway"], found[other])
                name = f"ocpp.{version}.{NAMES[version]}{suffix}"
                figures.append(Figure(name=name, value=value, unit=UNIT, baseline=baseline))
    return figures


def _rate(server: Part, load: Part, *, name: str, messages: int) -> float:
    before_s = server.cpu_s()
    answered = load.ask(run={"name": name, "messages": messages})["messages"]
    return float(answered / (server.cpu_s() - before_s))
