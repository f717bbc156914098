"""The representative as a separate process, on the ledger of a station whose daemon uses it."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edgegw.commissioning.addresses import free_port
from edgegw.common.member_terms import MemberTerms
from edgegw.config.schema import Config, load
from edgegw.ledger.client_factory import open_client
from edgegw.ledger.identity import load_signer
from edgegw.ports.representative import Card, Login, Profile, RepresentativeError
from edgegw.representative.client import RepresentativeClient, ServerConnection
from tests.integration.test_service import installed
from tests.support.background import in_background
from tests.support.certificates import Authority
from tests.support.patience import PATIENCE_S, until
from tests.support.representative_world import PASSWORD, SOURCE, form
from tests.support.station import ROOT, daemon


def rewritten(config: Path, port: int, ca_file: Path) -> None:
    """A station's file with its representative elsewhere."""
    before, _, after = config.read_text().partition("[representative]")
    _, mark, rest = after.partition("\n[")
    table = f'[representative]\nurl = "https://127.0.0.1:{port}"\nca_file = "{ca_file}"\n'
    config.write_text(before + table + mark + rest)


def settings_of(folder: Path, config: Config, *, port: int) -> Path:
    """The representative's file, on the station's own peer, with TLS."""
    pair = Authority(folder).issue("server")
    crypto = config.ledger.trust_file.parent
    path = folder / "representative.toml"
    path.write_text(
        f"""
[representative]
store = "office/members.db"
key_file = "members.key"
zone = "KR-SEOUL"
gateways = ["gateway1"]
[listen]
port = {port}
certificate = "{pair.certificate}"
key_file = "{pair.key_file}"
[ledger]
identity = "{crypto}/EVUserMSP/representative"
trust_file = "{crypto}/trust.json"
endpoint = "{config.ledger.endpoint}"
[log]
format = "json"
"""
    )
    return path


@asynccontextmanager
async def running(settings: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`edgegw representative` as a background job until SIGINT, which must end it with status 0."""
    process = await asyncio.create_subprocess_exec(
        *in_background(sys.executable, "-m", "edgegw.cli", "representative", "--config", str(settings)),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        lines = (await asyncio.wait_for(process.stderr.read(), PATIENCE_S)).decode().splitlines()
        assert json.loads(lines[-1])["event"] == "office.stopped"
        assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def configured(config: Path) -> None:
    """The channel's constants, by the admin of the station's own network."""
    place = load(config).ledger
    async with open_client(place, identity=place.identity.with_name("admin")) as admin:
        await admin.execute("Configure", {"channel": "energych"})


async def test_a_station_and_its_representative_are_two_processes(tmp_path: Path) -> None:
    """A driver who signs up through the interface is on the real peer's ledger, and the daemon knows the card soon after."""
    config = await installed(tmp_path)
    port = free_port()
    settings = settings_of(tmp_path, load(config), port=port)
    rewritten(config, port, tmp_path / "ca.pem")
    station = load(config)
    cache = station.station.data_dir / "cards.json"
    async with daemon(config) as gateway:
        await gateway.says("representative.lost")
        await configured(config)
        async with running(settings):
            await gateway.says("representative.reached")
            way = ServerConnection(
                f"https://127.0.0.1:{port}", load_signer(station.ledger.identity), ca_file=tmp_path / "ca.pem"
            )
            representative = RepresentativeClient(way)
            profile = await representative.sign_up(form())
            assert isinstance(profile, Profile), profile
            assert isinstance(await representative.log_in("jimin", PASSWORD, source=SOURCE), Login)
            terms = MemberTerms(member_id=profile.member_id)
            card = await representative.link_card(profile.member_id, "04A2B3C4", label="", terms=terms)
            assert isinstance(card, Card)
            await until(lambda: cache.exists() and profile.member_id in cache.read_text())
            assert (await representative.balance(profile.member_id)).available_mtok == 0
            assert [entry.type for entry in (await representative.history(profile.member_id)).entries] == [
                "member.signed"
            ]
        with pytest.raises(RepresentativeError):
            await representative.notices()


async def test_a_representative_that_cannot_begin_says_why(tmp_path: Path) -> None:
    """A file with a fault, an identity that is not there: status 78 and the line or the place, and nothing is served."""
    path = tmp_path / "representative.toml"
    path.write_text((ROOT / "configs" / "representative.toml").read_text().replace("store =", "stor ="))
    for said in ("stor: unknown key (did you mean store?)", "EVUserMSP/representative"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edgegw.cli", "representative", "--config", str(path)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert process.returncode == 78, errors.decode()
        assert said in errors.decode()
        path.write_text((ROOT / "configs" / "representative.toml").read_text())
