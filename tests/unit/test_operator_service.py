"""The operator's pages can approve an unknown charger completely, or show the command that does."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgegw.chargers.pending_chargers import PendingCharger
from edgegw.cli import main
from edgegw.commissioning import approval
from edgegw.config.schema import load
from edgegw.daemon.operator_service import OperatorService, command_of
from edgegw.web.operator.operator_port import (
    ApprovalRequest,
    Approved,
    NewEvse,
    NewMeter,
    NotApproved,
    OperatorPort,
)
from tests.support.operator_fake import Operator
from tests.unit.test_config_parts import CHARGER, MAIN
from tests.unit.test_daemon import Parts, running

METER = NewMeter(profile="abb-b23", host="192.0.2.50", port=502, unit=7)
WISH = ApprovalRequest(
    charger_id="CP-9",
    evses=(NewEvse(number=1, evse_id="BAY-9", meter_id="M-9", meter=METER),),
    rated_w=22_000,
)
STRANGER = PendingCharger(
    charger_id="CP-9",
    address="192.0.2.9",
    version="1.6",
    security_profile=1,
    password_hash="$argon2id$its-own",
    first_seen_ns=1,
    last_seen_ns=2,
    vendor="Volt Works",
    evses=(1,),
)


class Waiting(Parts):
    """The daemon's parts with one charger that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.gate.set()
        self.here: tuple[PendingCharger, ...] = (STRANGER,)
        self.sent_away: list[str] = []

    def pending_chargers(self) -> Any:
        return self.here

    def highest(self, _charger_id: str) -> int:
        return 2

    def adopt(self, part: Any) -> Any:
        if hasattr(part, "evses"):
            self.station = part
        return super().adopt(part)

    async def reject(self, charger_id: str) -> bool:
        self.sent_away.append(charger_id)
        return charger_id == "CP-9"


@pytest.fixture
def parts() -> Waiting:
    return Waiting()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "edgegw.toml"
    path.write_text(MAIN)
    key = tmp_path / "station.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    return path


def desk_of(place: Path, parts: Waiting) -> OperatorService:
    operator_port = OperatorService(running(place, parts))
    port: OperatorPort = operator_port
    assert port is operator_port
    return operator_port


async def test_a_charger_that_waits_is_let_in_to_the_end(place: Path, parts: Waiting) -> None:
    """An approved charger's file is written and read by the daemon; core, meters and listener have it, and its password works."""
    operator_port = desk_of(place, parts)
    assert [one.vendor for one in (await operator_port.chargers()).waiting] == ["Volt Works"]
    answer = await operator_port.approve(WISH)
    assert answer == Approved(charger_id="CP-9", changed=("meter M-9", "charger CP-9"))
    assert parts.told == ["tls", "meter M-1", "meter M-9", "core BAY-9", "chargers CP-9"]
    (charger,) = load(place).chargers
    assert (charger.id, charger.password_hash) == ("CP-9", "$argon2id$its-own")
    assert load(place).meters[1].unit == 7
    parts.here = ()
    (configured,) = (await operator_port.chargers()).configured
    assert (configured.charger_id, configured.online, configured.evses[0].evse_id) == ("CP-9", False, "BAY-9")
    again = await operator_port.approve(WISH)
    assert isinstance(again, NotApproved)
    assert "approved already" in again.faults[0]


async def test_from_the_form_to_the_running_daemon(place: Path, parts: Waiting) -> None:
    """The page's own form, sent by a browser, ends in a charger that the daemon knows."""
    operator = Operator()
    operator.operator_port = desk_of(place, parts)  # type: ignore[assignment]  # the real one in the double's place
    browser = await operator.inside()
    assert "Volt Works" in (await browser.get("/chargers")).words
    await browser.get("/chargers/CP-9/approve")
    form = {
        "name_1": "BAY-9",
        "meter_1": "new",
        "unit_1": "7",
        "meter_map": "abb-b23",
        "meter_host": "192.0.2.50",
    }
    form |= {"meter_port": "502", "rated_w": "22000", "discharge_w": "0", "version": "", "dialect": ""}
    answer = await browser.send("/chargers/CP-9/approve", **form)
    assert "CP-9 is approved" in answer.words
    assert [one.id for one in load(place).chargers] == ["CP-9"]


async def test_a_new_password_is_told_once_and_kept_as_a_hash(place: Path, parts: Waiting) -> None:
    """A new password is shown once, to the page's reader, and stored as a hash."""
    answer = await desk_of(place, parts).approve(ApprovalRequest(**{**_fields(WISH), "new_password": True}))
    assert isinstance(answer, Approved)
    assert len(answer.password) == approval.PASSWORD_LENGTH
    assert answer.password not in approval.part_of(place, "CP-9").read_text()
    assert answer.password not in repr(answer)


def _fields(approval_request: ApprovalRequest) -> dict[str, Any]:
    return {name: getattr(approval_request, name) for name in ApprovalRequest.__dataclass_fields__}


async def test_what_would_not_hold_is_not_written(place: Path, parts: Waiting) -> None:
    """If the charger's name is used by another, every fault is reported and no file is left."""
    (place.parent / "conf.d").mkdir()
    (place.parent / "conf.d" / "2.toml").write_text(CHARGER.format(number=2))
    operator_port = desk_of(place, parts)
    evse = NewEvse(number=1, evse_id="E-2", meter_id="M-9", meter=METER)
    answer = await operator_port.approve(ApprovalRequest(charger_id="CP-9", evses=(evse,), rated_w=1))
    assert isinstance(answer, NotApproved)
    assert "EVSE 'E-2' is named more than once" in answer.faults[0]
    assert not approval.part_of(place, "CP-9").exists()
    assert parts.told == []


async def test_where_it_may_not_write_the_command_does_the_same(
    place: Path, parts: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the service cannot write to /etc, the shown command is one that `edgegw` accepts."""

    def refuse(*_arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(approval, "put_in_place", refuse)
    answer = await desk_of(place, parts).approve(WISH)
    assert isinstance(answer, NotApproved)
    monkeypatch.undo()
    sudo, program, *arguments = shlex.split(answer.command)
    assert (sudo, program) == ("sudo", "edgegw")
    done = CliRunner().invoke(main, [*arguments, "--new-password"])
    assert done.exit_code == 0, done.output
    (charger,) = load(place).chargers
    assert (charger.id, charger.evses[0].id, charger.evses[0].meter) == ("CP-9", "BAY-9", "M-BAY-9")


def test_the_command_is_safe_to_paste() -> None:
    """Whatever a charger calls itself stays one word of the shell."""
    nasty = "x;reboot"
    command = command_of(
        ApprovalRequest(charger_id=nasty, evses=(NewEvse(number=1, evse_id="E", meter_id="M"),), rated_w=1),
        "/a b",
    )
    words = shlex.split(command)
    assert words[:5] == ["sudo", "edgegw", "charger", "approve", nasty]
    assert words[-2:] == ["--config", "/a b"]
    assert words[words.index("--meter") : words.index("--meter") + 2] == ["--meter", "M"]


async def test_who_does_not_wait_is_neither_let_in_nor_sent_away(place: Path, parts: Waiting) -> None:
    """A charger that has gone meanwhile is a normal answer, neither approved nor rejected, and no fault."""
    operator_port = desk_of(place, parts)
    assert await operator_port.reject("CP-9")
    assert not await operator_port.reject("CP-8")
    parts.here = ()
    answer = await operator_port.approve(WISH)
    assert isinstance(answer, NotApproved)
    assert "CP-9" in answer.faults[0]


def test_what_the_forms_offer(place: Path, parts: Waiting) -> None:
    """The forms offer meters that bill no EVSE, register maps, the addresses to type, and the parts' conditions."""
    operator_port = desk_of(place, parts)
    assert operator_port.free_meters() == ["M-1"]
    assert "abb-b23" in operator_port.register_maps()
    assert operator_port.places("CP-9")[0].url.endswith("/ocpp/CP-9")
    assert {"daemon", "chargers", "unknown chargers", "ledger"} <= {
        part.part for part in operator_port.parts()
    }
    assert operator_port.station() is parts.station
