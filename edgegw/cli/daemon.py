"""Requests of commands to the running daemon over its control socket; failures become exit codes."""

import json
import socket
from typing import TYPE_CHECKING, Any

from edgegw.cli.console import Ended, Exit
from edgegw.config.schema import Config

if TYPE_CHECKING:
    from edgegw.ops.control_socket import ControlCommand

ANSWER_S = 30.0


class DaemonAwayError(Ended):
    """No process listens at the control socket."""


def ask_daemon(config: Config, command: "ControlCommand", **arguments: object) -> Any:
    """Send one command to the daemon and return its answer.

    Raises DaemonAwayError (69, not running) or Ended (77, no permission on the socket; 1, refused by the daemon).
    """
    from edgegw.ops.control_socket import SOCKET, reachable

    place = config.run_dir / SOCKET
    request = json.dumps({"command": command, **arguments}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as door, reachable(config.run_dir) as path:
            door.settimeout(ANSWER_S)
            door.connect(str(path))
            door.sendall(request)
            with door.makefile("rb") as file:
                line = file.readline()
    except PermissionError as fault:
        raise Ended(
            f"{place}: permission denied; run as the service's user: sudo -u edgegw edgegw …",
            Exit.NOT_ALLOWED,
        ) from fault
    except OSError as fault:
        message = f"the daemon is not running (socket {place}: {fault.strerror or 'no answer'}); check it: systemctl status edgegw"
        raise DaemonAwayError(message, Exit.UNAVAILABLE) from fault
    answer = json.loads(line or b'{"error": "the daemon closed the connection"}')
    if "error" in answer:
        raise Ended(answer["error"], Exit.PROBLEMS)
    return answer["answer"]
