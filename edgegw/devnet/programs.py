"""Find Fabric's programs, read their version, and call one with a timeout.

Looks in FABRIC_BIN, else in what `make fabric-bin` built in this checkout; never downloads programs. Every call has a
timeout, because some, such as fetching a block that does not exist yet, would wait without limit.
"""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from edgegw.common.bundled_files import configs
from edgegw.common.errors import EdgegwError

NAMES = ("peer", "orderer", "configtxgen", "cryptogen", "osnadmin")
VARIABLE = "FABRIC_BIN"
BUILT = Path("build") / "fabric"
CALL_S = 60.0
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG")  # nothing that would change a program's configuration
_SAID_LINES = 6


class DevnetError(EdgegwError):
    """An operation on the network failed."""

    hint = "edgegw devnet status shows the running nodes, edgegw devnet down ends them"


class NoProgramsError(DevnetError):
    """Fabric's programs are missing."""

    hint = "run make fabric-bin to build them, or set FABRIC_BIN to their folder"


@dataclass(frozen=True)
class Programs:
    """A folder that contains all programs, and the environment to call them in."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=lambda: clean_environment(os.environ))

    def path(self, name: str) -> Path:
        """Return the path of a program."""
        return self.folder / name

    @cached_property
    def version(self) -> tuple[int, int]:
        """Major and minor version, from `peer version`."""
        said = self.call("peer", ("version",))
        found = re.search(r"Version: *v?(\d+)\.(\d+)", said)
        if found is None:
            raise DevnetError(f"{self.path('peer')} does not report its version")
        return int(found[1]), int(found[2])

    def call(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        timeout_s: float = CALL_S,
    ) -> str:
        """Run a program and return its standard output; raise DevnetError with the end of its output if it fails."""
        try:
            done = subprocess.run(  # noqa: S603 - the folder is the user's choice
                (str(self.path(name)), *arguments),
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as fault:
            raise DevnetError(f"{name} {_verb(arguments)}: no result within {timeout_s:.0f} s") from fault
        except OSError as fault:
            raise NoProgramsError(f"{self.path(name)}: {fault.strerror}") from fault
        if done.returncode:
            lines = [*done.stdout.strip().splitlines(), *done.stderr.strip().splitlines()]
            said = "\n".join(lines[-_SAID_LINES:])
            raise DevnetError(f"{name} {_verb(arguments)}: exit status {done.returncode}\n{said}")
        return done.stdout


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables passed on to programs, without CORE_* and ORDERER_*, which would change a network."""
    return {name: value for name, value in environment.items() if name in _KEPT}


def find_programs(environment: Mapping[str, str] | None = None) -> Programs:
    """Find the folder with all programs; raise NoProgramsError, which names what is missing."""
    seen = os.environ if environment is None else environment
    named = seen.get(VARIABLE, "")
    places = (Path(named),) if named else _built()
    for place in places:
        missing = [name for name in NAMES if not os.access(place / name, os.X_OK)]
        if not missing:
            return Programs(place.absolute())
        if named:
            raise NoProgramsError(f"{place} has no {', '.join(missing)}")
    raise NoProgramsError("the programs of Hyperledger Fabric are missing")


def _built() -> tuple[Path, ...]:
    """Return the folders that `make fabric-bin` built, highest version first."""
    built = configs().parent / BUILT
    return tuple(sorted(built.glob("*/bin"), key=lambda place: _numbers(place.parent.name), reverse=True))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", version))


def _verb(arguments: Sequence[str]) -> str:
    """Return the leading arguments without options, for messages."""
    words = []
    for argument in arguments:
        if argument.startswith("-"):
            break
        words.append(argument)
    return " ".join(words)
