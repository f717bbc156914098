"""Notifications to the service manager over a real datagram socket, and the watchdog."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.ops import watchdog
from edgegw.ops.sd_notify import ServiceManager
from edgegw.ops.watchdog import Watchdog, interval_s
from tests.support.patience import PATIENCE_S


@pytest.fixture
def manager_socket(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(tmp_path / "n"))
        door.settimeout(PATIENCE_S)
        yield door


def heard(door: socket.socket) -> str:
    return door.recv(4096).decode()


def test_each_message_is_one_datagram_in_the_form_of_sd_notify(manager_socket: socket.socket) -> None:
    """READY, STATUS, RELOADING with its time, STOPPING and WATCHDOG arrive as sd_notify(3) writes them."""
    manager = ServiceManager({"NOTIFY_SOCKET": manager_socket.getsockname()})
    manager.ready("2 chargers online")
    assert heard(manager_socket) == "READY=1\nSTATUS=2 chargers online"
    manager.reloading()
    assert heard(manager_socket).startswith("RELOADING=1\nMONOTONIC_USEC=")
    manager.status("fine")
    manager.alive()
    manager.stopping("draining")
    assert [heard(manager_socket) for _ in range(3)] == [
        "STATUS=fine",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=draining",
    ]


def test_an_abstract_address_is_understood() -> None:
    """An @ at the beginning is the zero byte of an abstract socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(f"\0edgegw-test-{os.getpid()}")
        door.settimeout(PATIENCE_S)
        ServiceManager({"NOTIFY_SOCKET": f"@edgegw-test-{os.getpid()}"}).alive()
        assert heard(door) == "WATCHDOG=1"


def test_without_a_service_manager_nothing_is_said_and_nothing_fails(tmp_path: Path) -> None:
    """Without the variable or a listening socket nothing is sent and nothing fails."""
    ServiceManager({}).alive()
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "absent")}).alive()
    assert ServiceManager({"WATCHDOG_USEC": "30000000"}).watchdog_s is None


@pytest.mark.parametrize(
    ("environment", "wanted_s"),
    [
        ({}, 10.0),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "6000000"}, 2.0),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "1"}, 10.0),
        ({"WATCHDOG_USEC": "soon"}, 10.0),
    ],
)
def test_it_is_fed_three_times_within_its_patience(environment: dict[str, str], wanted_s: float) -> None:
    """A third of WATCHDOG_USEC, where it is meant for this process."""
    assert interval_s(ServiceManager({"NOTIFY_SOCKET": "x", **environment})) == wanted_s


async def test_slow_proofs_do_not_put_the_next_feeding_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that answer late, but in time, must not add up to more than the service manager's patience."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def slow() -> None:
        await sleep(0.02)

    async def noted(pause_s: float) -> None:
        pauses.append(pause_s)
        await sleep(0 if len(pauses) < 2 else 60)

    monkeypatch.setattr(asyncio, "sleep", noted)
    task = asyncio.create_task(Watchdog(ServiceManager({}), {"core": slow}).run(10.0))
    async with asyncio.timeout(PATIENCE_S):
        while len(pauses) < 2:
            await sleep(0.001)
    assert all(0 < pause_s <= 9.98 for pause_s in pauses)
    task.cancel()


async def test_the_watchdog_is_fed_only_while_every_part_proves_progress(
    manager_socket: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part that hangs starves it, is named once, and fed again when it turns again."""
    logged: list[tuple[str, object]] = []
    monkeypatch.setattr(
        watchdog, "log_event", lambda name, fields, **_: logged.append((name, fields["part"]))
    )
    turning = asyncio.Event()
    asked = 0

    async def free() -> None:
        """A part that is never stuck."""

    async def stuck() -> None:
        nonlocal asked
        asked += 1
        await turning.wait()

    dog = Watchdog(
        ServiceManager({"NOTIFY_SOCKET": manager_socket.getsockname()}), {"core": free, "journal": stuck}
    )
    task = asyncio.create_task(dog.run(0.001))
    async with asyncio.timeout(PATIENCE_S):
        while asked < 3:  # noqa: ASYNC110 - a count is no event
            await asyncio.sleep(0.001)
    assert str(dog.starved_by) == "journal"
    manager_socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        heard(manager_socket)
    turning.set()
    async with asyncio.timeout(PATIENCE_S):
        while str(dog.starved_by) != "None":  # noqa: ASYNC110 - a value is no event
            await asyncio.sleep(0.001)
    manager_socket.settimeout(PATIENCE_S)
    assert heard(manager_socket) == "WATCHDOG=1"
    assert logged == [("watchdog.starved", "journal"), ("watchdog.recovered", "journal")]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_a_manager_that_does_not_read_stops_nobody(tmp_path: Path) -> None:
    """If the service manager's queue is full, the message is dropped without a delay."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(tmp_path / "n"))
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "n")})
        for _ in range(5000):
            manager.alive()
        door.setblocking(False)
        heard = 0
        with contextlib.suppress(BlockingIOError):
            while door.recv(64):
                heard += 1
    assert 0 < heard < 5000
