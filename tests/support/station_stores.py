"""A station's folder with one of every store, for tests of backups: filled day by day, told from its content."""

from pathlib import Path

from click.testing import CliRunner, Result

from edgegw.cli import main
from edgegw.config.schema import load
from edgegw.daemon.backup_stores import stores_of
from edgegw.representative.exchange_store import ExchangeRecord, ExchangeState, ExchangeStore
from edgegw.representative.logins import Entered, LoginStore
from edgegw.representative.person_fields import Person
from edgegw.store.bundles import Stores
from edgegw.store.security_profiles import ChargerProfiles
from tests.unit.test_store_backups import CONFIG, numbers, write

STATION_KEY, MEMBERS_KEY = bytes(range(32)), bytes(range(100, 132))
BESIDE = """
[representative]
store = "var/members.db"
key_file = "members.key"
identity = "crypto/EVUserMSP/representative"

[exchange]
identity = "crypto/EVUserMSP/exchange"
store = "money/exchange.db"

[operator]
password_file = "operator.password"
"""
ELSEWHERE = """
[representative]
url = "https://office.example:8470"
"""


class Home:
    """A station's folder with all its stores in it; `state` tells what is in them."""

    def __init__(self, folder: Path, more: str = BESIDE) -> None:
        self.folder = folder
        self.config = folder / "edgegw.toml"
        self.config.write_text(CONFIG + more)
        for name, key in (("station.key", STATION_KEY), ("members.key", MEMBERS_KEY)):
            (folder / name).write_text(key.hex())
            (folder / name).chmod(0o600)

    @property
    def stores(self) -> Stores:
        """As the configuration and the key files are now."""
        return stores_of(load(self.config), config_path=self.config)

    def fill(self, day: int) -> None:
        """One more of everything."""
        for folder in ("var", "money"):
            (self.folder / folder).mkdir(exist_ok=True)
        write(self.folder / "var" / "station.db", 1)
        members = self.members()
        member = enter(members, day)
        members.close()
        exchange = ExchangeStore(self.folder / "money" / "exchange.db")
        exchange.put(deal(member, day))
        exchange.close()
        ChargerProfiles(self.folder / "var" / "chargers.db").raise_to("CP-1", day)
        (self.folder / "operator.password").write_text(f"$argon2id$of day {day}\n")
        (self.folder / "operator.password").chmod(0o600)

    def members(self) -> LoginStore:
        """The members' store, opened."""
        return LoginStore(self.folder / "var" / "members.db", MEMBERS_KEY)

    def leave_log(self, number: int) -> None:
        """One more member, who is only in the log, as a killed process leaves it."""
        path = self.folder / "var" / "members.db"
        members, other = self.members(), self.members()
        enter(other, number)
        left = {name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-wal")}
        other.close()
        members.close()
        for name, content in left.items():
            path.with_name(name).write_bytes(content)

    def state(self) -> dict[str, object]:
        """What is in every store."""
        exchange = ExchangeStore(self.folder / "money" / "exchange.db")
        members = self.members()
        people = [members.profile(one.member_id) for one in members.members()]
        try:
            return {
                "facts": len(numbers(self.folder / "var" / "station.db")),
                "names": sorted(person.name for person in people if person),
                "deals": [one.quote_id for one in exchange.unfinished()],
                "password": (self.folder / "operator.password").read_text(),
            }
        finally:
            exchange.close()
            members.close()

    def run(self, *arguments: str) -> Result:
        """`edgegw db` with this configuration."""
        return CliRunner().invoke(main, ["db", *arguments, "--config", str(self.config)])

    def files(self) -> dict[str, bytes]:
        """Every file by its place, but locks and the empty logs that a reader of a closed database leaves."""
        return {
            str(file.relative_to(self.folder)): file.read_bytes()
            for file in self.folder.rglob("*")
            if file.is_file() and not file.name.endswith((".lock", "-shm"))
            if not file.name.endswith("-wal") or file.stat().st_size
        }


def enter(members: LoginStore, number: int) -> str:
    """Enter Ann with a number; gives the member's id."""
    person = Person(
        login=f"ann{number}", name=f"Ann {number}", contact=f"a{number}@example.org", language="en", kind="EV"
    )
    entered = members.enter(person, "$argon2id$")
    assert isinstance(entered, Entered)
    return entered.enrolment.member_id


def names(path: Path) -> set[str]:
    """The persons in a store that was set aside, with its log if that lies beside it."""
    members = LoginStore(path, MEMBERS_KEY)
    people = [members.profile(one.member_id) for one in members.members()]
    members.close()
    return {person.name for person in people if person}


def deal(member_id: str, number: int) -> ExchangeRecord:
    """An exchange of a member that is paid and not done."""
    return ExchangeRecord(
        quote_id=f"q{number}", member_id=member_id, buys=True, tokens_mtok=1, won=1, fee_won=0,
        won_per_token_milli=1, expires_ns=1, state=ExchangeState.PAID,
    )  # fmt: skip
