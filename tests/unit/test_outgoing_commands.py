"""Adding an outgoing OCPP command: the list of its places is complete, and none of them can be forgotten."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.outgoing_commands import PLACES, ROOT, Place, recipe

NAMES = [place.name for place in PLACES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One line more in a file: `text` instead of `anchor`, which is there once."""

    path: str
    anchor: str
    text: str

    def apply(self, root: Path) -> None:
        file = root / self.path
        source = file.read_text()
        assert source.count(self.anchor) == 1, f"{self.path}: {self.anchor!r}"
        file.write_text(source.replace(self.anchor, self.text))


EFFECTS, EVENTS, STATION = (f"edgegw/core/{name}.py" for name in ("effects", "events", "station"))
OCPP16, OCPP2 = "edgegw/chargers/ocpp16.py", "edgegw/chargers/ocpp2_commands.py"
SUPPORT = "tests/support/outgoing_commands.py"
CLASS = "@dataclass(frozen=True, slots=True, kw_only=True)\nclass"
BUILDER = '''
from edgegw.core.effects import ReadListVersion


def read_list_version(_effect: ReadListVersion, _context: CommandContext) -> Request:
    """GetLocalListVersion."""
    return Request(action="GetLocalListVersion", payload={})

'''
# The trial: `ReadListVersion` asks a charger for the version of its local list, and nothing follows from the answer.
DEFINITIONS = (
    Edit(
        path=EFFECTS,
        anchor="# Closed: what waits",
        text=f"{CLASS} ReadListVersion:\n    evse_id: str\n\n\n# Closed: what waits",
    ),
    Edit(
        path=EVENTS,
        anchor="TransactionMessage = ",
        text=f"{CLASS} ListVersionRead:\n    accepted: bool\n\n\nTransactionMessage = ",
    ),
    Edit(path=OCPP16, anchor="\nCOMMANDS: Commands", text=f"{BUILDER}\nCOMMANDS: Commands"),
    Edit(path=OCPP2, anchor="\nCOMMANDS_201: Commands", text=f"{BUILDER}\nCOMMANDS_201: Commands"),
)
COMPLETE = "Outgoing(actions=frozenset({'GetLocalListVersion'}), build=read_list_version)"
HANDLED = '            "SetChargingProfile": self._set_profile,\n'
ANSWERED = '            "GetLocalListVersion": lambda **_: None,\n'
EDITS: Mapping[str, Edit] = {
    "command": Edit(
        path=EFFECTS,
        anchor="ChargerCommand = ApplySetpoint",
        text="ChargerCommand = ReadListVersion | ApplySetpoint",
    ),
    "emission": Edit(
        path=STATION,
        anchor="# --- chargers ---",
        text="def _ask(evse_id):\n"
        "    from edgegw.core.effects import ReadListVersion\n"
        "    return ReadListVersion(evse_id=evse_id)\n\n\n# --- chargers ---",
    ),
    "example": Edit(
        path=SUPPORT,
        anchor="    AllowEnergyTransfer(evse_id=",
        text="    effects.ReadListVersion(evse_id='evse-1'),\n    AllowEnergyTransfer(evse_id=",
    ),
    "rule": Edit(
        path="edgegw/chargers/command_queue.py",
        anchor="    Configuration: CommandRule[Configuration](",
        text="    __import__('edgegw').core.effects.ReadListVersion: CommandRule(\n"
        "        subject=lambda command: command.evse_id,\n"
        "        urgency=lambda _command: Urgency.CONFIGURE,\n"
        "        answered=lambda _command, reason: __import__('edgegw').core.events.ListVersionRead(accepted=not reason),\n"
        "    ),\n    Configuration: CommandRule[Configuration](",
    ),
    "ocpp16": Edit(
        path=OCPP16,
        anchor="    AllowEnergyTransfer: UNSUPPORTED,",
        text=f"    ReadListVersion: {COMPLETE},\n    AllowEnergyTransfer: UNSUPPORTED,",
    ),
    "ocpp2": Edit(
        path=OCPP2,
        anchor="    AllowEnergyTransfer: UNSUPPORTED,",
        text=f"    ReadListVersion: {COMPLETE},\n    AllowEnergyTransfer: UNSUPPORTED,",
    ),
    "acceptance": Edit(
        path="edgegw/chargers/versions.py",
        anchor='{"SetVariables": _all_set}',
        text='{"SetVariables": _all_set, "GetLocalListVersion": lambda _payload: True}',
    ),
    "event": Edit(path=EVENTS, anchor="\nEvent = (\n", text="\nEvent = (\n    ListVersionRead |\n"),
    "handler": Edit(
        path=STATION,
        anchor="    ChargerConnected: _on_connected,",
        text="    __import__('edgegw').core.events.ListVersionRead: lambda _context, _event: None,\n"
        "    ChargerConnected: _on_connected,",
    ),
    "simulator16": Edit(path="firmware_sim/ocpp16_client.py", anchor=HANDLED, text=HANDLED + ANSWERED),
    "simulator2": Edit(path="firmware_sim/ocpp2_calls.py", anchor=HANDLED, text=HANDLED + ANSWERED),
    "readme": Edit(
        path="README.md",
        anchor="SetChargingProfile, TriggerMessage | RequestStartTransaction",
        text="SetChargingProfile, TriggerMessage, GetLocalListVersion | GetLocalListVersion, RequestStartTransaction",
    ),
}
# Not a line that is left out but a word in one: the row is there, and does not name what its function sends.
INCOMPLETE: Mapping[str | None, Edit] = {
    "actions": Edit(path=OCPP16, anchor=COMPLETE, text=COMPLETE.replace("{'GetLocalListVersion'}", "")),
}

# Runs the checks of each copy in a child of its own, over libraries that all of them share.
TRIALS = """
import os, runpy, sys
import argon2, jsonschema_rs, ocpp.v16, ocpp.v21, ocpp.v201, websockets.asyncio.client
for root in sys.argv[1:]:
    if os.fork() == 0:
        os.chdir(root)
        sys.path.insert(0, root)
        with open("found.json", "w") as sys.stdout:
            runpy.run_module("tests.support.outgoing_commands", run_name="__main__")
        os._exit(0)
    os.wait()
"""


def copied(root: Path, left_out: str | None) -> Path:
    """A copy of the sources with the command of the trial; one of its places may be left out."""
    # The pages and the ledger know no command. Bytecode is copied with the times of its sources, and stays valid.
    leave = shutil.ignore_patterns("web", "participants", "peer", "fabric", "devnet", "demo", "cli")
    for folder in ("edgegw", "firmware_sim", "tests/support"):
        shutil.copytree(ROOT / folder, root / folder, ignore=leave)
    for file in ("README.md", "tests/__init__.py", "tests/support/chargers_station.py"):
        shutil.copy2(ROOT / file, root / file)
    for edit in (*DEFINITIONS, *(edit for name, edit in EDITS.items() if name != left_out)):
        edit.apply(root)
    if left_out in INCOMPLETE:
        INCOMPLETE[left_out].apply(root)
    return root


@pytest.mark.parametrize("place", PLACES, ids=NAMES)
def test_every_command_has_all_its_places(place: Place) -> None:
    """No outgoing command lacks any place of the list."""
    assert place.check() == []


def test_the_recipe_is_the_list() -> None:
    """CONTRIBUTING.md has the list of places exactly as it is in the code."""
    assert recipe() in (ROOT / "CONTRIBUTING.md").read_text()


def test_a_forgotten_place_fails_its_check(tmp_path: Path) -> None:
    """A command with all its places passes every check; without any one of them it fails the check of that place."""
    assert EDITS.keys() | INCOMPLETE.keys() == set(NAMES)
    roots = {name: copied(tmp_path / (name or "complete"), name) for name in (None, *NAMES)}
    command = [sys.executable, "-c", TRIALS, *map(str, roots.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found = {name: json.loads((root / "found.json").read_text()) for name, root in roots.items()}
    assert found[None] == {name: [] for name in NAMES}
    assert [name for name in NAMES if not found[name][name]] == []
