"""The Debian package in a clean root, without and with a systemd of its own: installed, run as the unit says, upgraded, purged."""

import json
import time
from collections.abc import Iterator

import pytest

from edgegw import __version__
from tests.support.clean_root import (
    ROOT,
    CleanRoot,
    booted,
    clean_root,
    missing,
    package,
    unbootable,
)
from tests.support.patience import LONG_PATIENCE_S

CONFIG = """\
[station]
id = "S-1"
zone = "KR-SEOUL"
data_dir = "/var/lib/edgegw"
key_file = "/var/lib/edgegw/station.key"
run_dir = "/run/edgegw"

[ledger]
gateway_id = "gateway1"
identity = "/var/lib/edgegw/peer/crypto/EVUserMSP/gateway1"
trust_file = "/var/lib/edgegw/peer/crypto/trust.json"

[peer]
data_dir = "/var/lib/edgegw/peer"

[[chargers]]
id = "CP-7"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$iNQy8ERRMpPc13c3j0O38Q$hGkI46u6zcUAo7su6kmw0Ltk/xd59Z6dShC4L4NPbFI"

[[chargers.evses]]
number = 1
id = "EVSE-1"
meter = "M-1"
rated_w = 11000

[[meters]]
id = "M-1"
profile = "eastron-sdm630"
port = 5020
poll_s = 1

[log]
format = "json"
"""
CHARGER = (
    *(
        "firmware-sim",
        "charger",
        "--csms",
        "ws://127.0.0.1:8887/ocpp",
        "--id",
        "CP-7",
        "--password",
        "change-me",
    ),
    *("--meter-profile", "eastron-sdm630", "--meter-port", "5020"),
)


@pytest.fixture
def root() -> Iterator[CleanRoot]:
    """A clean root with the package in it."""
    if reason := missing():
        pytest.skip(reason)
    with clean_root() as fresh:
        said = fresh.install(package())
        assert "sudo edgegw init" in said
        yield fresh


@pytest.fixture
def machine(root: CleanRoot) -> Iterator[CleanRoot]:
    """The same, booted."""
    if reason := unbootable():
        pytest.skip(reason)
    with booted(root) as running:
        yield running


def configure(machine: CleanRoot, text: str) -> None:
    """As `edgegw init` leaves it."""
    machine.write("/etc/edgegw/edgegw.toml", text, owner="root:edgegw", mode="0640")
    machine.write("/var/lib/edgegw/station.key", "5a" * 32, owner="edgegw:edgegw", mode="0600")


def events(machine: CleanRoot) -> dict[str, dict[str, object]]:
    """The daemon's log: the last line of each event."""
    lines = machine.read("journalctl", "--unit=edgegw", "--output=cat", "--no-pager").splitlines()
    return {line["event"]: line for line in (json.loads(text) for text in lines if text.startswith("{"))}


def wait_for(machine: CleanRoot, *names: str) -> None:
    end = time.monotonic() + LONG_PATIENCE_S
    while not set(names) <= (seen := set(events(machine))):
        state = machine.run("systemctl", "status", "edgegw", check=False).stdout
        assert time.monotonic() < end, f"not seen: {set(names) - seen}\n{state}"
        time.sleep(0.2)


def test_installing_prepares_and_starts_nothing(root: CleanRoot) -> None:
    """After the installation user, folders, unit, page and completion exist, /etc is unchanged, and the next step is printed."""
    assert root.read("edgegw", "--version") == f"edgegw, version {__version__}"
    assert (
        root.read("dpkg-query", "--show", "--showformat=${Status} ${Conffiles}", "edgegw")
        == "install ok installed"
    )
    name, _, uid, _, _, home, shell = root.read("getent", "passwd", "edgegw").split(":")
    assert (name, home, shell) == ("edgegw", "/var/lib/edgegw", "/usr/sbin/nologin")
    assert 0 < int(uid) < 1000
    assert root.read("stat", "--format=%a %U:%G", "/etc/edgegw") == "750 root:edgegw"
    assert root.read("stat", "--format=%a %U:%G", "/var/lib/edgegw") == "700 edgegw:edgegw"
    assert not list((root.path / "etc/edgegw").iterdir())
    assert root.run("systemctl", "is-enabled", "edgegw", check=False).stdout.strip() == "disabled"
    refused = root.run("edgegw", "run", check=False)
    assert refused.returncode == 78
    assert "sudo edgegw init" in refused.stderr
    assert "--seed" in root.run("edgegw", "demo", "--help", user="nobody").stdout
    for place in ("/srv/edgegw/__init__.py", "/srv/click.py", "/srv/json.py"):
        root.write(place, "raise SystemExit('trapped')")
    trapped = "cd /srv && PYTHONPATH=/srv edgegw"
    assert root.read("sh", "-c", f"{trapped} --version") == f"edgegw, version {__version__}"
    assert 'os.environ["PYTHONSAFEPATH"] = "1"' in root.read("cat", "/usr/bin/edgegw")  # nor of its children
    root.run("sh", "-c", "zcat /usr/share/man/man1/edgegw.1.gz | grep -q 'SS.*edgegw trade list'")
    (pages,) = (root.path / "usr/lib/edgegw/lib").glob("python3*/site-packages/edgegw/web")
    ours = ROOT / "edgegw" / "web"
    for kind in ("html", "css", "js", "svg", "txt", "mo"):
        names = [{file.relative_to(top) for file in top.rglob(f"*.{kind}")} for top in (ours, pages)]
        assert names[0] == names[1] != set()
    assert "htmx" in (root.path / "usr/share/doc/edgegw/copyright").read_text()
    completion = ". /usr/share/bash-completion/completions/edgegw; type _edgegw_completion >/dev/null"
    root.run("bash", "-c", completion)


def test_an_upgrade_asks_nothing_and_a_purge_keeps_the_books(root: CleanRoot) -> None:
    """Installing over itself leaves a changed configuration alone; purging takes it away, and keeps journal, keys and a copy."""
    root.write("/etc/edgegw/edgegw.toml", CONFIG, owner="root:edgegw", mode="0640")
    root.write("/var/lib/edgegw/station.db", "the books", owner="edgegw:edgegw", mode="0600")
    said = root.install(package())
    assert "edgegw init" not in said
    assert (root.path / "etc/edgegw/edgegw.toml").read_text() == CONFIG
    root.run("apt-get", "remove", "-y", "edgegw")
    assert (root.path / "etc/edgegw/edgegw.toml").exists()
    assert not (root.path / "usr/lib/edgegw").exists()
    said = root.run("apt-get", "purge", "-y", "edgegw").stdout
    assert "stay in /var/lib/edgegw" in said
    assert not (root.path / "etc/edgegw").exists()
    state = root.path / "var/lib/edgegw"
    assert (state / "station.db").read_text() == "the books"
    assert [copy.read_text() for copy in state.glob("purged-*/edgegw.toml")] == [CONFIG]


def test_the_service_from_its_first_start_to_its_purge(machine: CleanRoot) -> None:
    """Nothing runs unconfigured; a bad file is not tried again; under all restrictions it serves, is upgraded, settles, goes."""
    machine.run("systemctl", "start", "edgegw")
    shown = machine.read("systemctl", "show", "--property=ActiveState,ConditionResult", "edgegw")
    assert shown.split() == ["ActiveState=inactive", "ConditionResult=no"]

    configure(machine, CONFIG.replace("zone", "zoen"))
    machine.run("systemctl", "start", "edgegw", check=False)
    wait_for_state(machine, "failed")
    assert machine.read("systemctl", "show", "--property=NRestarts", "--value", "edgegw") == "0"
    log = machine.read("journalctl", "--unit=edgegw", "--output=cat", "--no-pager")
    assert "/etc/edgegw/edgegw.toml:3: station.zoen: unknown key (did you mean zone?)" in log

    configure(machine, CONFIG)
    machine.run("systemctl", "start", "edgegw")
    wait_for(machine, "gateway.started", "peer.started")
    machine.serve("charger", *CHARGER)
    wait_for(machine, "charger.booted", "epoch.opened")
    first = main_pid(machine)
    walls = machine.read("grep", "-E", "^(NoNewPrivs|Seccomp|CapBnd):", f"/proc/{first}/status").split()
    assert walls == ["CapBnd:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]
    assert (
        machine.read("stat", "--format=%a %U", "/var/lib/edgegw/station.db", "/run/edgegw")
        == "600 edgegw\n750 edgegw"
    )
    machine.run("systemctl", "reload", "edgegw")
    wait_for(machine, "config.reloaded")
    assert main_pid(machine) == first
    machine.install(package())
    assert main_pid(machine) not in {first, 0}
    machine.run("systemctl", "stop", "edgegw")
    assert events(machine)["gateway.drained"]["settled"] is True
    assert machine.read("systemctl", "show", "--property=Result", "--value", "edgegw") == "success"
    machine.run("systemctl", "enable", "--now", "edgegw")
    assert main_pid(machine) > 0
    machine.run("apt-get", "purge", "-y", "edgegw")
    assert machine.run("pgrep", "--uid", "edgegw", check=False).stdout == ""


def main_pid(machine: CleanRoot) -> int:
    return int(machine.read("systemctl", "show", "--property=MainPID", "--value", "edgegw"))


def wait_for_state(machine: CleanRoot, wanted: str) -> None:
    end = time.monotonic() + LONG_PATIENCE_S
    while (state := machine.run("systemctl", "is-active", "edgegw", check=False).stdout.strip()) != wanted:
        assert time.monotonic() < end, state
        time.sleep(0.1)
