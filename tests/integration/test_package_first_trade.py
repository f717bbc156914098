"""docs/install.md, walked: from the package in a clean root, booted, to a metered trade that is committed on the ledger."""

import json
import re
import shlex
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.clean_root import (
    ROOT,
    CleanRoot,
    booted,
    clean_root,
    package,
    unbootable,
)
from tests.support.patience import LONG_PATIENCE_S

CAR = {"--minutes": "1"}  # of a page that leaves a person more time
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
PAGE = ROOT / "docs" / "install.md"


def walk() -> list[list[str]]:
    """The commands of the section `A first trade`, in its order, each as words without sudo."""
    section = PAGE.read_text(encoding="utf-8").split("\n## A first trade")[1].split("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [[word for word in shlex.split(line) if word != "sudo"] for line in lines]


def until(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """What is seen once it is good."""
    end = time.monotonic() + LONG_PATIENCE_S
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


def settled(trades: Any) -> bool:
    return bool(trades) and all(one["status"] != "OPEN" for one in trades)


@pytest.mark.nightly
def test_the_page_is_walked_to_a_committed_trade() -> None:
    """Each command of the page works as it is printed; what the meter counted is on the ledger, Wh for Wh."""
    if reason := unbootable():
        pytest.skip(reason)
    programs = [words[:2] for words in walk()]
    assert programs[:3] == [["edgegw", "init"], ["systemctl", "enable"], ["firmware-sim", "charger"]]
    assert programs[-3:] == [["edgegw", "trade"], ["edgegw", "trade"], ["edgegw", "ledger"]]
    with clean_root() as root, booted(root) as machine:
        machine.install(package())
        for words in walk():
            take(machine, words)
        trades = ask(machine, "edgegw", "trade", "list")
        (evse,) = ask(machine, "edgegw", "status")["evses"]
        assert {one["status"] for one in trades} == {"RECORDED"}
        assert sum(one["end_wh"] - one["start_wh"] for one in trades) == evse["import_mwh"] // 1000 > 0
        assert ask(machine, "edgegw", "trade", "verify")["verified"] is True
        record = ask(machine, "edgegw", "trade", "show", trades[0]["trade_id"])["ledger"]
        assert record["tradeId"] == trades[0]["trade_id"]
        shows_itself(machine, evse["evse_id"])


def shows_itself(machine: CleanRoot, evse_id: str) -> None:
    """What `edgegw init` configured serves its pages, with templates, words and style sheets from the package."""
    korean = fetch(machine, f"/evse/{evse_id}?lang=ko")
    english = fetch(machine, f"/evse/{evse_id}?lang=en")
    assert evse_id in korean
    assert "충전" in korean
    assert "Charge" in english
    style = re.search(r"/static/\w+/site\.css", english)
    assert style is not None
    assert "{" in fetch(machine, style[0])


def fetch(machine: CleanRoot, path: str) -> str:
    """What a machine's own drivers' pages answer."""
    return machine.read("python3", "-c", FETCH, f"http://127.0.0.1:8080{path}")


def take(machine: CleanRoot, words: list[str]) -> None:
    """One command as a person takes it: who watches a list or a status looks again until it shows what the page says."""
    match words:
        case ["firmware-sim", *_]:
            machine.serve("car", *changed(words, CAR))
        case ["edgegw", "charger", "list"]:
            until(lambda: ask(machine, *words), lambda seen: "CP-7" in json.dumps(seen))
        case ["edgegw", "status"]:
            # Energy flowed: on a slow machine the car of one minute may have left again before anybody looks.
            until(lambda: ask(machine, *words), lambda seen: (seen["evses"][0]["import_mwh"] or 0) > 0)
        case ["edgegw", "trade", "list"]:
            # The car has left: where a quarter hour ended while it charged, there was a settled trade before that.
            until(lambda: ask(machine, "edgegw", "status"), lambda seen: seen["sessions"] == 0)
            until(lambda: ask(machine, *words), settled)
        case _:
            machine.run(*words)
