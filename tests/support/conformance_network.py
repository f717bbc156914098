"""Define the network of the ledger's conformance suite, and implement it with the embedded peer.

A network lives as long as the test run, because real ones start slowly: tests use fresh keys and do not assume an empty
ledger. It runs two contracts: the one of `tests/support/toy_contract.py`, and edgegw's.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from edgegw.commissioning.enrolment import Wanted, request
from edgegw.fabric.identity import Identity
from edgegw.fabric.trust import Roots
from edgegw.ledger import LedgerClient
from edgegw.ledger.client import Patience
from edgegw.ledger.grpc_wire import Connection
from edgegw.ledger.identity import Signer, load_signer, load_trust
from edgegw.ledger.keys import signer_of
from edgegw.peer import membership
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
TOY = "tests.support.toy_contract:invoke"
MARKET = "edgegw.contract:invoke"
ORGANISATIONS = ("EVUserMSP", "IndustryMSP", "ProducerMSP")
PATIENCE = Patience(pause_s=0.02, status_s=10, endorse_s=20, submit_s=20, undecided_s=30)


@dataclass(frozen=True, kw_only=True)
class Way:
    """The endpoint, channel and chaincode name of one contract on a network."""

    endpoints: tuple[str, ...]
    channel: str
    chaincode: str
    tls: bytes | None = None
    tls_name: str | None = None


class LedgerNetwork(Protocol):
    """Three organisations, whose CA keys are available so that any identity can be issued."""

    @property
    def toy(self) -> Way:
        """The toy contract, with the endorsement policy two of three."""
        ...

    @property
    def market(self) -> Way:
        """Edgegw's contract, configured."""
        ...

    @property
    def roots(self) -> Roots:
        """The organisations' root certificates."""
        ...

    def signer(self, member: str) -> Signer:
        """Return an identity by `MSP/name`: EVUserMSP's gateway1 and admin, and each organisation's representative."""
        ...

    def issue(self, folder: Path, *, lasts: timedelta) -> Signer:
        """Issue a new gateway identity of EVUserMSP, with a certificate of this lifetime."""
        ...


GATEWAY = "EVUserMSP/gateway1"


def client_of(
    network: LedgerNetwork, way: Way | None = None, *, signer: Signer | None = None, **more: Any
) -> LedgerClient:
    """Return a client of the toy contract as the gateway, unless another `way` or `signer` is given."""
    way = way or network.toy
    return LedgerClient(
        way.endpoints,
        signer or network.signer(GATEWAY),
        network.roots,
        **{
            "channel": way.channel,
            "chaincode": way.chaincode,
            "tls": way.tls,
            "tls_name": way.tls_name,
            "patience": PATIENCE,
        }
        | more,
    )


def connection_of(network: LedgerNetwork) -> Connection:
    """Return a connection to the toy contract's peer."""
    way = network.toy
    return Connection(way.endpoints[0], tls=way.tls, tls_name=way.tls_name)


def fresh(name: str = "k") -> str:
    """Return a key that was not used before."""
    return f"{name}-{uuid.uuid4().hex}"


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Two embedded peers, one per contract, with the same organisations."""

    data: Path
    endpoints: Mapping[str, str]
    roots: Roots = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "roots", load_trust(self.crypto / "trust.json"))

    @property
    def crypto(self) -> Path:
        """The organisations' files."""
        return self.data / "toy" / "crypto"

    @property
    def toy(self) -> Way:
        """See LedgerNetwork."""
        return self._way("toy")

    @property
    def market(self) -> Way:
        """See LedgerNetwork."""
        return self._way("market")

    def _way(self, name: str) -> Way:
        return Way(endpoints=(self.endpoints[name],), channel="energych", chaincode="token")

    def signer(self, member: str) -> Signer:
        """See LedgerNetwork."""
        return load_signer(self.crypto / member)

    def issue(self, folder: Path, *, lasts: timedelta) -> Signer:
        """See LedgerNetwork."""
        wanted = Wanted(folder=folder / "EVUserMSP" / "fresh", role="gateway", gateway="fresh")
        asked = request(wanted).read_bytes()
        pem = membership.sign_request(self.crypto, "EVUserMSP", asked, lasts=lasts)
        return signer_of(wanted.folder, Identity(msp_id="EVUserMSP", certificate_pem=pem))


@contextmanager
def embedded(data: Path) -> Iterator[Embedded]:
    """Run the embedded network."""
    membership.found(data / "toy" / "crypto")
    (data / "market").mkdir()
    (data / "market" / "crypto").symlink_to(data / "toy" / "crypto")
    with ExitStack() as stack:
        endpoints = {
            name: stack.enter_context(_peer(data / name, contract))
            for name, contract in (("toy", TOY), ("market", MARKET))
        }
        yield Embedded(data=data, endpoints=endpoints)


@contextmanager
def _peer(data: Path, contract: str) -> Iterator[str]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edgegw.peer", "--data", str(data)),
            *("--contract", contract, "--batch-timeout-ms", "20"),
        ],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["listening"]
    finally:
        process.terminate()
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 0
