"""The development network's certificates and files, start-up refusals, fault switches."""

import json
import stat
from pathlib import Path

import pytest

from edgegw.common.errors import ConfigError
from edgegw.fabric.identity import parse_identity
from edgegw.ledger.identity import load_signer, load_trust
from edgegw.peer import membership
from edgegw.peer.faults import Faults
from edgegw.peer.listen_address import StartRefusedError
from edgegw.peer.membership import Enrolment
from edgegw.peer.server import Options, serve
from tests.support import toy_contract
from tests.support.peer_network import Network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return Network(tmp_path_factory.mktemp("network"))


def test_first_start_makes_three_organisations(network: Network) -> None:
    """Two peers each and the agreed clients with their roles; roots in the trust file."""
    members = {
        f"{path.parent.parent.name}/{path.parent.name}": load_signer(path.parent).identity
        for path in network.crypto.glob("*/*/cert.pem")
        if path.parent.name != "ca"
    }
    roles = {name: identity.attributes.get("edgegw.role") for name, identity in members.items()}
    peers = {f"{msp}/peer{n}": None for msp in membership.ORGANISATIONS for n in (0, 1)}
    assert roles == peers | {
        "EVUserMSP/gateway1": "gateway",
        "EVUserMSP/representative": "representative",
        "EVUserMSP/exchange": "exchange",
        "EVUserMSP/auditor": "auditor",
        "EVUserMSP/admin": "admin",
        "ProducerMSP/representative": "representative",
        "ProducerMSP/oracle": "oracle",
        "ProducerMSP/admin": "admin",
        "IndustryMSP/representative": "representative",
        "IndustryMSP/admin": "admin",
    }
    trust = load_trust(network.crypto / "trust.json")
    assert trust.msp_ids == set(membership.ORGANISATIONS)
    assert all(trust.issued(identity) for identity in members.values())


def test_keys_are_for_their_owner_only(network: Network) -> None:
    """Every key file has mode 0600, and no key is in the trust file."""
    keys = list(network.crypto.glob("*/*/key.pem"))
    assert len(keys) == 19
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    assert "PRIVATE" not in (network.crypto / "trust.json").read_text()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    """The client refuses it and says what to do; its owner's own narrower mode is good."""
    network = Network(tmp_path)
    folder = network.crypto / "EVUserMSP" / "gateway1"
    key = folder / "key.pem"
    key.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}, expected 0600: chmod 600"):
        load_signer(folder)
    key.chmod(0o400)
    assert load_signer(folder).identity.msp_id == "EVUserMSP"


def test_what_is_no_identity_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    """Missing, foreign or damaged files are named; starting again would not mend them."""
    network = Network(tmp_path)
    folder = network.crypto / "EVUserMSP" / "gateway1"
    key, trust = folder / "key.pem", network.crypto / "trust.json"
    key.write_bytes((network.crypto / "EVUserMSP" / "admin" / "key.pem").read_bytes())
    with pytest.raises(ConfigError, match="gateway1: private key and certificate do not belong together"):
        load_signer(folder)
    key.unlink()
    with pytest.raises(ConfigError, match=r"key\.pem: No such file"):
        load_signer(folder)
    for text in ("hello", "[]", '{"M": 1}', '{"M": "x"}'):
        trust.write_text(text)
        with pytest.raises(ConfigError, match=r"trust\.json: expected a JSON object"):
            load_trust(trust)
    trust.unlink()
    with pytest.raises(ConfigError, match=r"trust\.json: No such file"):
        load_trust(trust)


def test_a_second_start_changes_nothing(network: Network) -> None:
    """Certificates are made once."""
    before = {path: path.read_bytes() for path in network.crypto.rglob("*.pem")}
    membership.found(network.crypto)
    assert {path: path.read_bytes() for path in network.crypto.rglob("*.pem")} == before


def test_a_start_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    """Files that an interrupted start left out are created; complete ones are kept, a key without certificate is replaced."""
    first = Network(tmp_path)
    kept = first.signer("EVUserMSP/gateway1").identity
    (first.crypto / "trust.json").unlink()
    (first.crypto / "IndustryMSP" / "admin" / "cert.pem").unlink()
    again = Network(tmp_path)
    assert again.signer("EVUserMSP/gateway1").identity == kept
    assert again.rules.roots.issued(again.signer("IndustryMSP/admin").identity)


def test_further_members_are_enrolled_once(network: Network) -> None:
    """`MSP:NAME:ROLE[:GATEWAY]` gives key and certificate; again, the same."""
    folder = membership.enrol(network.crypto, Enrolment.parse("EVUserMSP:gateway2:gateway:gateway2"))
    identity = load_signer(folder).identity
    assert identity.attributes == {"edgegw.role": "gateway", "edgegw.gateway": "gateway2"}
    assert network.rules.roots.issued(parse_identity(identity.serialized))
    again = membership.enrol(network.crypto, Enrolment.parse("EVUserMSP:gateway2:gateway:gateway2"))
    assert load_signer(again).identity == identity


@pytest.mark.parametrize("text", ["", "EVUserMSP:x", "EVUserMSP::gateway", "a:b:c:d:e"])
def test_enrolments_are_read_strictly(text: str) -> None:
    """A part too few, too many or empty is refused."""
    with pytest.raises(ValueError, match="expected MSP:NAME:ROLE"):
        Enrolment.parse(text)


@pytest.mark.parametrize("name", ["..", "ca", "a/b", "."])
def test_a_name_stays_in_its_folder(network: Network, name: str) -> None:
    """No enrolment writes over the authority or outside of its organisation."""
    with pytest.raises(ValueError, match="cannot name a member"):
        membership.enrol(network.crypto, Enrolment(msp_id="EVUserMSP", name=name, role="auditor"))


@pytest.mark.parametrize(
    ("listen", "says"),
    [
        ("0.0.0.0:0", "beyond loopback"),
        ("[::]:0", "beyond loopback"),
        ("here", "HOST:PORT"),
        ("a.example:1", "beyond"),
    ],
)
async def test_no_open_port_without_tls(network: Network, listen: str, says: str) -> None:
    """Only loopback is served without TLS; any other address is refused before a port is opened."""
    options = Options(data=network.data, contract=toy_contract.invoke, listen=listen)
    with pytest.raises(StartRefusedError, match=says):
        await serve(options, lambda _: None)


def test_switches_count_down_and_stay_on_when_negative() -> None:
    """N misbehaves n times, a negative number always, 0 never."""
    faults = Faults.parse(json.dumps({"forget": 2, "mismatch": -1}))
    assert [faults.take("forget") for _ in range(3)] == [True, True, False]
    assert [faults.take("mismatch") for _ in range(3)] == [True] * 3
    assert not faults.take("delay")
    faults.replace(Faults(delay=1, delay_ms=5))
    assert json.loads(faults.as_json()) == {
        "forget": 0,
        "mismatch": 0,
        "unavailable": 0,
        "unavailable_after": 0,
        "delay": 1,
        "delay_ms": 5,
    }


@pytest.mark.parametrize("text", ["[]", '{"forgt": 1}', '{"forget": true}', '{"forget": "1"}', "{"])
def test_switches_are_read_strictly(text: str) -> None:
    """A misspelt or mistyped switch is an error, not silence."""
    with pytest.raises(ValueError, match=r"."):
        Faults.parse(text)
