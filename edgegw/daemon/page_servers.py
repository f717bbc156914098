"""Opens, runs, reloads and closes the page servers of a process.

Decides a server's settings from its configuration tables, and that pages never end a process: a taken port or an invalid
certificate is logged (`web.failed`), and the other parts continue. Never decides which pages there are.
"""

import hmac
from collections.abc import Callable, Coroutine
from typing import Any
from zoneinfo import ZoneInfo

from starlette.types import ASGIApp

from edgegw.commissioning.addresses import ANYWHERE, server_names
from edgegw.common.errors import EdgegwError
from edgegw.config.schema import ServedConfig, WebConfig
from edgegw.ops.logs import log_event
from edgegw.web.server import WebServer
from edgegw.web.site import LOCAL_NAMES, WebSettings

Run = Coroutine[Any, Any, None]


def settings_of(
    served: ServedConfig,
    web: WebConfig,
    *,
    section: str,
    host_name: str,
    key: bytes,
    title: str,
    time_simulated: bool = False,
    bank_simulated: bool,
) -> WebSettings:
    """Return the settings of a server at `served`, with the title, time zone and geohash of `web`.

    `host_name`: the host name that URLs contain. `key`: the secret from which the server's own is derived.
    """
    return WebSettings(
        host=served.host,
        port=served.port,
        names=host_names(served, host_name),
        certificate=served.certificate,
        key_file=served.key_file,
        title=web.title or title,
        time_zone=ZoneInfo(web.time_zone),
        geohash=web.geohash,
        secret=hmac.digest(key, f"pages {section}".encode(), "sha256"),
        time_simulated=time_simulated,
        bank_simulated=bank_simulated,
        presence_required=web.presence_required,
        screens=tuple(map(str, web.screens)),
        section=section,
    )


def host_names(served: ServedConfig, host_name: str) -> tuple[str, ...]:
    """Return every accepted value of the Host header without port, `host_name` first."""
    own = server_names(host_name, served.host) if served.host in ANYWHERE else [host_name, served.host]
    return tuple(dict.fromkeys([*map(_bracketed, (own[0], *served.names, *own[1:])), *LOCAL_NAMES]))


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


class PageServers:
    """The open servers by name. `beside`: coroutines that run with them; `look` is called at a reload."""

    def __init__(self) -> None:
        self.servers: dict[str, WebServer] = {}
        self.beside: dict[str, Callable[[], Run]] = {}
        self._looks: list[Callable[[], None]] = []

    def open(self, name: str, build: Callable[[], tuple[ASGIApp, WebSettings] | None]) -> None:
        """Open a server, or log why it cannot be opened; `build` returns None where none is configured."""
        try:
            built = build()
            if built is None:
                return
            server = WebServer(*built)
        except EdgegwError as fault:
            self._failed(fault)
            return
        self.servers[name] = server
        self._looks.append(server.reload)
        log_event("web.listening", {"pages": name, "origin": server.origin})

    def origin(self, name: str) -> str:
        """Return the origin of a server's URLs, or "" where it is not served."""
        server = self.servers.get(name)
        return "" if server is None else server.origin

    def watch(self, look: Callable[[], None]) -> None:
        """Register a function to call at each reload."""
        self._looks.append(look)

    def look(self) -> None:
        """Read certificates and the password again; log an invalid one and keep the previous one."""
        for look in self._looks:
            try:
                look()
            except EdgegwError as fault:
                self._failed(fault)

    def runs(self) -> dict[str, Run]:
        """Return the coroutines to run, by name."""
        serving = {f"pages for {name}": self._run(server) for name, server in self.servers.items()}
        return serving | {name: run() for name, run in self.beside.items()}

    def close(self) -> None:
        """Close the listening sockets of servers that never ran."""
        for server in self.servers.values():
            server.close()

    async def _run(self, server: WebServer) -> None:
        try:
            await server.run()
        except OSError as fault:
            self._failed(fault)

    @staticmethod
    def _failed(fault: Exception) -> None:
        hint = fault.hint if isinstance(fault, EdgegwError) else ""
        log_event("web.failed", {"reason": str(fault), "remedy": hint or "edgegw check"}, level="error")
