"""What the service manager is told: ready, reloading, stopping, still alive, and one line for people.

Decides only the wording of sd_notify(3); silent where no service manager listens (NOTIFY_SOCKET).
Source: sd_notify(3), systemd.service(5) WatchdogSec.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class ServiceManager:
    """One datagram a message; a lost one is not worth an error."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        of_this_process = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if self._address and of_this_process and usec.isdecimal() else None
        """Within which a sign of life is expected; None: by nobody."""

    def ready(self, status: str) -> None:
        """Serving, for the first time or again after a reload."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """What `systemctl status` shows."""
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """Draining."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.connect(self._address)
            door.send(text.encode(), socket.MSG_DONTWAIT)  # a manager that does not read must not stop us
