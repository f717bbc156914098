"""Notify systemd: ready, reloading, stopping, watchdog, and a status line.

Does nothing without NOTIFY_SOCKET.
Source: sd_notify(3), systemd.service(5) WatchdogSec.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class ServiceManager:
    """Sends sd_notify messages, one datagram each, and ignores errors."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        of_this_process = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if self._address and of_this_process and usec.isdecimal() else None
        """The watchdog timeout in seconds; None if the watchdog is off."""

    def ready(self, status: str) -> None:
        """Report that the service runs, after its start or a reload."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Set the text that `systemctl status` shows."""
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """Report that the configuration is being reloaded; `ready` must follow."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """Report that the service is stopping."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def alive(self) -> None:
        """Reset the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.connect(self._address)
            door.send(
                text.encode(), socket.MSG_DONTWAIT
            )  # never block on a service manager that does not read
