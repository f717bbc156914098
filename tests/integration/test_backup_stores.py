"""A bundle of all stores beside the real daemon, and back: members, exchange and journal are those of the backup."""

from pathlib import Path

from edgegw.commissioning.addresses import free_port
from edgegw.config.schema import read_secret
from edgegw.representative.members import MemberStatus, MemberStore
from tests.support.station import daemon, edgegw


def statuses(folder: Path) -> dict[str, MemberStatus]:
    store = MemberStore(folder / "var" / "members.db", read_secret(folder / "members.key"))
    try:
        return {one.member_id: one.status for one in store.members()}
    finally:
        store.close()


async def test_a_station_goes_on_from_a_bundle(tmp_path: Path) -> None:
    """Made beside the daemon, refused while it runs, put back when it is gone; it reconciles, and its members are there.

    A member who left after the backup is in the store again, and leaves again.
    """
    told = ("--config", str(tmp_path / "edgegw.toml"))
    await edgegw(
        *("init", "--sandbox", "--yes", "--dir", str(tmp_path), "--station-id", "S-1", "--no-qr"),
        *("--ocpp-port", str(free_port()), "--tls-port", str(free_port()), "--health-port", "0"),
        *("--web-port", str(free_port()), "--operator-port", str(free_port())),
        *("--peer", f"127.0.0.1:{free_port()}"),
    )
    await edgegw("operator", "password", "--generate", *told)
    async with daemon(tmp_path / "edgegw.toml") as first:
        await first.says("participants.started")
        stays = (await edgegw("member", "add", "--identity", "Stays", *told))["member_id"]
        leaves = (await edgegw("member", "add", "--identity", "Leaves", *told))["member_id"]
        made = await edgegw("db", "backup", *told)
        assert {"station.db", "members.db", "exchange.db", "operator.password"} <= set(made["stores"])
        await edgegw("member", "leave", leaves, *told)
        later = (await edgegw("member", "add", "--identity", "Later", *told))["member_id"]
        assert "EGW-5003" in await edgegw("db", "restore", "--yes", made["backup"], *told, status=75)
    now = statuses(tmp_path)
    assert (now[leaves], now[later]) == (MemberStatus.LEFT, MemberStatus.ACTIVE)
    restored = await edgegw("db", "restore", "--yes", made["backup"], *told)
    now = statuses(tmp_path)
    assert (now[stays], now[leaves], later in now) == (MemberStatus.ACTIVE, MemberStatus.ACTIVE, False)
    async with daemon(tmp_path / "edgegw.toml") as again:
        (note,) = await again.says("journal.restored")
        assert note["source"] == Path(restored["restored"]).name
        await again.says("participants.started")
        await edgegw("member", "leave", leaves, *told)
        assert statuses(tmp_path)[leaves] is MemberStatus.LEFT
