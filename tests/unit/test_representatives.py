"""Representatives for trying out: a file that can be used as it is written, and people who can log in."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgegw.commissioning.representatives import RepresentativeFiles, adopted, founded
from edgegw.common.errors import ConfigError
from edgegw.config.schema import read_secret
from edgegw.demo import consortium_setup, documents
from edgegw.demo.documents import Places
from edgegw.ports.representative import Login
from edgegw.representative.members import MemberStatus
from edgegw.representative.person_fields import Person
from edgegw.representative.service import RepresentativeService
from edgegw.representative.settings import load_representative
from tests.support.participants_host import MONDAY_S, MemoryPeer, StepClock
from tests.support.representative_world import PASSWORD, SOURCE

PERSON = Person(login="sun", name="Sun", contact="sun@example.org", language="ko", kind="PRODUCER")


def place_of(folder: Path, msp_id: str = "ProducerMSP") -> RepresentativeFiles:
    places = Places(root=folder, configs=folder)
    return documents.representative_files(
        places, msp_id, endpoint="127.0.0.1:7051", cutoff_s=60, web_port=8081
    )


def test_the_file_can_be_used_as_it_is_written(tmp_path: Path) -> None:
    """The file has pages, exchange, ledger, store and key, and is private; writing it again keeps the key."""
    place = place_of(tmp_path)
    founded(place)
    key = read_secret(place.key_file)
    founded(replace(place, title="Sun", cutoff_s=None))
    assert read_secret(place.key_file) == key
    settings = load_representative(place.config)
    assert settings.web is not None
    assert settings.exchange is not None
    assert (settings.web.port, settings.web.title) == (8081, "Sun")
    assert settings.representative.store == tmp_path / "producer-members.db"
    assert settings.ledger.identity == tmp_path / "peer" / "crypto" / "ProducerMSP" / "representative"
    assert settings.exchange.identity == tmp_path / "peer" / "crypto" / "EVUserMSP" / "exchange"
    assert {one.stat().st_mode & 0o777 for one in (place.config, place.key_file)} == {0o600}
    founded(place)
    assert load_representative(place.config).ledger.cutoff_s == 60


@pytest.mark.parametrize("msp_id", ["ProducerMSP", "IndustryMSP"])
async def test_who_plays_can_log_in(tmp_path: Path, msp_id: str) -> None:
    """Under the enrolment that the participants sign up: member, commitment and tag are the store's, once and again."""
    place = place_of(tmp_path, msp_id)
    enrolment = consortium_setup.played(place, PASSWORD)
    assert consortium_setup.played(place, PASSWORD) == enrolment
    peer = MemoryPeer(StepClock(MONDAY_S))
    service = RepresentativeService(
        place.store, read_secret(place.key_file), peer.port(msp_id, "representative")
    )
    login = consortium_setup.PLAYERS[msp_id].login
    opened = await service.log_in(login, PASSWORD, source=SOURCE)
    assert isinstance(opened, Login)
    profile = await service.who(opened.token)
    assert profile is not None
    assert (profile.member_id, profile.kind) == (enrolment.member_id, enrolment.kind)
    kept = await service.export(profile.member_id)
    assert (kept["commitment"], kept["dup_tag"]) == (enrolment.commitment, enrolment.dup_tag)
    assert kept["status"] == MemberStatus.ACTIVE
    await service.close()


async def test_a_members_store_is_where_parties_come_from(tmp_path: Path) -> None:
    """The run's producer is whom its representative knows; without one it is a stranger, as before."""
    (tmp_path / "members.key").write_text("ab" * 32)
    producer = consortium_setup.played(place_of(tmp_path), PASSWORD)
    async with consortium_setup.member_store(Places(root=tmp_path, configs=tmp_path)) as store:
        parties = consortium_setup.enter(store, (), producer=producer)
    assert parties.producer == producer
    assert (parties.industry.kind, parties.industry != producer) == ("INDUSTRY", True)


@pytest.mark.parametrize(
    ("person", "password", "fault"),
    [
        (PERSON, "short", "WEAK_PASSWORD"),
        (replace(PERSON, contact="nowhere"), PASSWORD, "BAD_FIELD contact"),
        (replace(PERSON, kind="INDUSTRY"), PASSWORD, "no members of the kind INDUSTRY"),
        (PERSON, "another long password", "DUPLICATE_MEMBER"),
        (replace(PERSON, login="moon"), PASSWORD, "DUPLICATE_MEMBER"),
        (replace(PERSON, contact="moon@example.org"), PASSWORD, "LOGIN_TAKEN"),
    ],
)
def test_who_cannot_be_entered(tmp_path: Path, person: Person, password: str, fault: str) -> None:
    """If a member cannot be entered, the reason is reported without the password."""
    place = place_of(tmp_path)
    founded(place)
    adopted(place, PERSON, PASSWORD)
    with pytest.raises(ConfigError, match=fault) as caught:
        adopted(place, person, password)
    assert password not in str(caught.value)
