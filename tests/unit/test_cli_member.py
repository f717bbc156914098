"""`edgegw member` exports a member's data, sets a password, and reports a representative that runs elsewhere."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import main
from edgegw.cli.console import Exit
from edgegw.common.passwords import password_fits
from edgegw.config.schema import load
from edgegw.diagnostics import doctor
from edgegw.representative.logins import Entered, LoginStore
from edgegw.representative.members import MemberStatus
from edgegw.representative.person_fields import Person
from tests.support.certificates import Authority
from tests.unit.test_cli import CONFIG

KEY = "ab" * 32
SOMEBODY = Person(login="jimin", name="김지민", contact="jimin@example.org", language="ko", kind="EV")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edgegw.toml"
    path.write_text(CONFIG)
    key = tmp_path / "members.key"
    key.write_text(KEY)
    key.chmod(0o600)
    return path


@contextmanager
def store_of(config: Path) -> Iterator[LoginStore]:
    store = LoginStore(config.with_name("members.db"), bytes.fromhex(KEY))
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def member_id(config: Path) -> str:
    with store_of(config) as store:
        entered = store.enter(SOMEBODY, "hash of before")
        assert isinstance(entered, Entered)
        store.set_status(entered.enrolment.member_id, MemberStatus.ACTIVE)
        store.open_login(entered.enrolment.member_id, 0)
    return entered.enrolment.member_id


def run(config: Path, *arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["member", *arguments, "--config", str(config), "--json"], input=typed)


def test_a_member_gets_all_that_is_kept(config: Path, member_id: str) -> None:
    """The export has name, contact and logins, without the password's hash; for an unknown member it is empty."""
    result = run(config, "export", member_id)
    assert result.exit_code == Exit.DONE
    kept = json.loads(result.stdout)
    assert (kept["name"], kept["contact"], len(kept["logins"])) == ("김지민", "jimin@example.org", 1)
    assert "hash of before" not in result.stdout
    assert run(config, "export", "nobody").exit_code == Exit.PROBLEMS


def test_a_new_password_is_typed_twice_and_ends_all_logins(config: Path, member_id: str) -> None:
    """The password is never an argument and never shown; a weak one, or two that differ, change nothing."""
    for typed in ("short\nshort\n", "one long password\nanother long one\n"):
        assert run(config, "passwd", member_id, typed=typed).exit_code == Exit.PROBLEMS
    with store_of(config) as store:
        known = store.known("jimin")
        assert known is not None
        assert known.password_hash == "hash of before"
    result = run(config, "passwd", member_id, typed="a new long password\na new long password\n")
    assert result.exit_code == Exit.DONE
    assert "a new long password" not in result.output
    with store_of(config) as store:
        known = store.known("JIMIN")
        assert known is not None
        assert password_fits(known.password_hash, "a new long password")
        kept = store.kept(member_id)
        assert kept is not None
        assert kept["logins"] == []
    assert run(config, "passwd", "nobody").exit_code == Exit.PROBLEMS


def test_a_member_store_elsewhere_cannot_be_changed_here(config: Path, tmp_path: Path) -> None:
    """A station whose representative is elsewhere says so; its check looks at that one's authority."""
    before, _, _ = CONFIG.partition("[representative]")
    authority = Authority(tmp_path)
    text = f'{before}[representative]\nurl = "https://h:8470"\nca_file = "{authority.ca_file}"\n'
    config.write_text(text)
    result = run(config, "list")
    assert result.exit_code == Exit.CONFIGURATION
    assert "no [representative] on this machine" in result.stderr

    def verdict() -> doctor.Verdict:
        return next(one.verdict for one in doctor.offline(load(config)) if one.check == "representative")

    assert verdict() is doctor.Verdict.OK
    authority.ca_file.write_text("none")
    assert verdict() is doctor.Verdict.FAILED
