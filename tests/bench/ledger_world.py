"""Run a ledger for benchmarks: an embedded peer in a separate process, with the records that a first trade needs."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edgegw.common.bundled_files import configs
from edgegw.common.clock import StationClock
from edgegw.ledger import LedgerClient
from edgegw.ledger.identity import load_signer, load_trust
from edgegw.participants.oracle import Oracle
from edgegw.participants.tariff_file import read_tariff
from edgegw.representative.posting_schedule import Schedule
from tests.bench.processes import Part

ZONE, STATION, GATEWAY = "KR-SEOUL", "bench", "gateway1"
DEPOSIT_MTOK = 2_000_000_000


@dataclass(frozen=True, slots=True)
class LedgerWorld:
    """The peer's files and endpoint."""

    data: Path
    endpoint: str

    @contextlib.asynccontextmanager
    async def client(self, member: str) -> AsyncIterator[LedgerClient]:
        """Open a client with an identity, `MSP/name`."""
        crypto = self.data / "crypto"
        signer, roots = load_signer(crypto / member), load_trust(crypto / "trust.json")
        async with LedgerClient(
            self.endpoint, signer, roots, channel="energych", chaincode="token"
        ) as client:
            yield client

    async def found(self, drivers: int) -> list[str]:
        """Write constants, tariff, station, gateway, and drivers with tokens; return the drivers' ids."""
        async with self.client("EVUserMSP/admin") as admin:
            await admin.execute("Configure", {"channel": "energych", "cutoffS": 300})
        await self._post_tariff()
        names = [f"driver{number}" for number in range(drivers)]
        async with self.client("EVUserMSP/representative") as representative:
            signing = [self._sign_up(representative, name, "EV") for name in names]
            await asyncio.gather(*signing, self._sign_up(representative, "supplier", "SUPPLIER"))
            station = {"stationId": STATION, "zone": ZONE, "geohash": "wydm6", "evses": 200}
            await representative.execute("RegisterStation", {**station, "products": ["CHARGE"]})
            gateway = {"gatewayId": GATEWAY, "certificateSha256": self._certificate_sha256()}
            await representative.execute("RegisterGateway", {**gateway, "stations": [STATION]})
        async with self.client("EVUserMSP/exchange") as desk:
            minted = [self._mint(desk, name) for name in names]
            await asyncio.gather(*minted)
        return names

    async def _post_tariff(self) -> None:
        tariff = read_tariff(configs() / "tariffs" / "kr-2026-06-summer.toml")
        async with self.client("ProducerMSP/oracle") as ledger:
            oracle = Oracle(
                ledger=ledger, tariff=tariff, zone=ZONE, utc_offset_s=tariff.utc_offset_s,
                schedule=Schedule(clock=StationClock(), cutoff_s=300, end_s=10**11),
            )  # fmt: skip
            await oracle.post_tariff(int(time.time()) // 900 * 900 - 86_400)

    async def _sign_up(self, ledger: LedgerClient, member_id: str, kind: str) -> None:
        digests = {name: hashlib.sha256(f"{name} {member_id}".encode()).hexdigest() for name in ("c", "d")}
        terms = {"memberId": member_id, "kind": kind, "commitment": digests["c"], "dupTag": digests["d"]}
        await ledger.execute("SignUp", terms)

    async def _mint(self, desk: LedgerClient, member_id: str) -> None:
        deposit = {"memberId": member_id, "amount": str(DEPOSIT_MTOK), "depositRef": f"d:{member_id}"}
        await desk.execute("Mint", deposit)

    def _certificate_sha256(self) -> str:
        pem = (self.data / "crypto" / "EVUserMSP" / GATEWAY / "cert.pem").read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def peer_arguments(data: Path) -> tuple[str, ...]:
    """Return the arguments with which the daemon starts the peer."""
    return ("edgegw.peer", "--data", str(data), "--listen", "127.0.0.1:0")


def world_of(peer: Part, data: Path) -> LedgerWorld:
    """Return the world of a started peer."""
    return LedgerWorld(data, str(peer.hear()["listening"]))
