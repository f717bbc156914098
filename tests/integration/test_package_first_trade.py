"""docs/install.md, walked: from the package in a clean root, booted, to a metered trade that is committed on the ledger."""

import json
import re
import shlex
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.clean_root import ROOT, CleanRoot, booted, clean_root, package, unbootable

SEEN_S = 120.0
CAR = {"--minutes": "1"}  # of a page that leaves a person more time
PAGE = ROOT / "docs" / "install.md"


def walk() -> list[list[str]]:
    """The commands of the section `A first trade`, in its order, each as words without sudo."""
    section = PAGE.read_text(encoding="utf-8").split("\n## A first trade")[1].split("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [[word for word in shlex.split(line) if word != "sudo"] for line in lines]


def until(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """What is seen once it is good."""
    end = time.monotonic() + SEEN_S
    while not good(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.5)
    return seen


def ask(machine: CleanRoot, *command: str) -> Any:
    """A command's JSON."""
    return json.loads(machine.run(*command, "--json", check=False).stdout or "null")


def changed(words: list[str], values: Mapping[str, str]) -> list[str]:
    """The words with other values of some options."""
    return [values.get(before, word) for before, word in zip(["", *words], words, strict=False)]


def test_the_page_is_walked_to_a_committed_trade() -> None:
    """Each command of the page works as it stands there, and what the car took is recorded on the ledger, Wh for Wh."""
    if reason := unbootable():
        pytest.skip(reason)
    commands = walk()
    assert [words[:2] for words in commands][:3] == [
        ["edgegw", "init"], ["systemctl", "enable"], ["firmware-sim", "charger"],
    ]  # fmt: skip
    with clean_root() as root, booted(root) as machine:
        machine.install(package())
        for words in commands:
            match words[:3]:
                case ["firmware-sim", *_]:
                    machine.serve("car", *changed(words, CAR))
                    until(
                        lambda: ask(machine, "edgegw", "charger", "list"),
                        lambda seen: "CP-7" in json.dumps(seen),
                    )
                case ["edgegw", "trade", "list"]:
                    trades = until(
                        lambda: ask(machine, *words),  # noqa: B023 - called before the next round
                        lambda seen: bool(seen) and all(one["status"] != "OPEN" for one in seen),
                    )
                    assert {one["status"] for one in trades} == {"RECORDED"}
                case ["edgegw", "status", *_]:
                    until(
                        lambda: ask(machine, "edgegw", "status"),
                        lambda seen: "in a session" in json.dumps(seen) or "ACTIVE" in json.dumps(seen),
                    )
                case _:
                    said = machine.run(*words)
                    assert said.stdout + said.stderr
        supply = ask(machine, "edgegw", "ledger", "supply")
        print(trades, supply, ask(machine, "edgegw", "status"))
