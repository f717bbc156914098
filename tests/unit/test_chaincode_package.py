"""The chaincode package: the same bytes for the same input, and in it what a peer reads."""

import gzip
import hashlib
import io
import json
import stat
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import main
from edgegw.cli.console import Exit
from edgegw.peer.chaincode.package import Package, Trust, UnfitPackageError, build
from tests.support.certificates import Authority

TRUST = Trust(root_certificate="ROOT", client_certificate="CERT", client_key="KEY", server_name="cc.example")
GOLDEN = "edgegw_1:d51a73e8d899e5bcb2467c163ef4b6502c1a94d6f259de55f38a243ff836549f"


def unpack(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        found = {}
        for entry in tar:
            assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")
            assert entry.isreg()
            file = tar.extractfile(entry)
            assert file is not None
            found[entry.name] = file.read()
    return found


def connection(package: Package) -> dict[str, object]:
    outer = unpack(package.content)
    assert set(outer) == {"metadata.json", "code.tar.gz"}
    inner = unpack(outer["code.tar.gz"])
    assert set(inner) == {"connection.json"}
    found: dict[str, object] = json.loads(inner["connection.json"])
    return found


def test_the_same_input_gives_the_same_bytes() -> None:
    """Two builds are equal; the id is label and hash; another address is another package."""
    first = build(address="127.0.0.1:9999", label="edgegw_1", trust=TRUST)
    assert first == build(address="127.0.0.1:9999", label="edgegw_1", trust=TRUST)
    assert first.package_id == f"edgegw_1:{hashlib.sha256(first.content).hexdigest()}"
    assert first != build(address="127.0.0.1:9998", label="edgegw_1", trust=TRUST)


def test_the_bytes_are_known() -> None:
    """The id of a given input never changes: two machines, years apart, agree."""
    assert build(address="127.0.0.1:9999", label="edgegw_1").package_id == GOLDEN


def test_nothing_in_it_is_compressed() -> None:
    """Any gzip reader reads it, and its content is stored uncompressed, so that no zlib version changes the bytes."""
    package = build(address="h:1", label="a")
    assert gzip.decompress(package.content)[257:262] == b"ustar"
    assert b'{"label":"a","type":"ccaas"}' in package.content


def test_a_long_certificate_spans_stored_blocks() -> None:
    """A package beyond 64 KiB is read as well."""
    long = "x" * 200_000
    assert (
        connection(build(address="h:1", label="a", trust=Trust(root_certificate=long)))["root_cert"] == long
    )


@pytest.mark.parametrize(
    ("trust", "secured"),
    [
        (None, {"tls_required": False}),
        (Trust(root_certificate="ROOT"), {"tls_required": True, "root_cert": "ROOT"}),
        (
            TRUST,
            {
                "tls_required": True,
                "root_cert": "ROOT",
                "client_auth_required": True,
                "client_cert": "CERT",
                "client_key": "KEY",
                "domain": "cc.example",
            },
        ),
    ],
)
def test_what_the_peer_reads(trust: Trust | None, secured: dict[str, object]) -> None:
    """Address, time-out and trust are in connection.json under Fabric's names."""
    found = connection(build(address="10.0.0.7:9999", label="a", trust=trust))
    assert found == {"address": "10.0.0.7:9999", "dial_timeout": "10s", **secured}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"label": "a:b"}, "label"),
        ({"label": ""}, "label"),
        ({"label": "_a"}, "label"),
        ({"address": "9999"}, "HOST:PORT"),
        ({"address": "h:0"}, "HOST:PORT"),
        ({"address": "h:65536"}, "HOST:PORT"),
        ({"trust": Trust(root_certificate="R", client_certificate="C")}, "go together"),
        ({"trust": Trust(root_certificate="R", client_key="K")}, "go together"),
        ({"trust": Trust(root_certificate="R", server_name="n")}, "mutual TLS"),
    ],
)
def test_what_no_package_can_be_made_of(changes: dict[str, object], complaint: str) -> None:
    """Each unfit input is refused in words that say what to change."""
    good: dict[str, object] = {"address": "h:1", "label": "a"}
    with pytest.raises(UnfitPackageError, match=complaint):
        build(**{**good, **changes})  # type: ignore[arg-type]  # a table of bad input


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["chaincode", *map(str, args)])


def test_the_command_prints_the_id(tmp_path: Path) -> None:
    """`package` writes the file and prints its id, as text or as JSON; a key in it makes it its owner's only."""
    out = tmp_path / "edgegw.tar.gz"
    ended = run("package", "--address", "127.0.0.1:9999", "--label", "edgegw_1", out)
    assert (ended.exit_code, ended.output.strip()) == (0, GOLDEN)
    assert hashlib.sha256(out.read_bytes()).hexdigest() == GOLDEN.partition(":")[2]
    pair = Authority(tmp_path).issue("peer")
    secured = (
        "--tls-ca",
        tmp_path / "ca.pem",
        "--client-cert",
        pair.certificate,
        "--client-key",
        pair.key_file,
    )
    ended = run("package", "--address", "h:1", "--label", "edgegw_1", *secured, "--json", out)
    assert ended.exit_code == 0, ended.output
    assert (
        json.loads(ended.output)["package_id"].partition(":")[2]
        == hashlib.sha256(out.read_bytes()).hexdigest()
    )
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_the_commands_refuse_in_words(tmp_path: Path) -> None:
    """Options that make no sense together end with 2, files that cannot be used with 78."""
    where = ("package", "--address", "h:1", "--label", "a")
    assert run(*where, "--server-name", "n", tmp_path / "o").exit_code == Exit.USAGE
    assert run("package", "--address", "h", "--label", "a", tmp_path / "o").exit_code == Exit.USAGE
    (tmp_path / "no.pem").write_bytes(b"\xff")
    assert run(*where, "--tls-ca", tmp_path / "no.pem", tmp_path / "o").exit_code == Exit.CONFIGURATION
    assert run(*where, tmp_path / "none" / "o").exit_code == Exit.CONFIGURATION
    serve = ("serve", "--package-id", "a:1", "--address")
    assert run(*serve, "0.0.0.0:0").exit_code == Exit.CONFIGURATION
    assert run(*serve, "127.0.0.1:0", "--client-ca", tmp_path / "no.pem").exit_code == Exit.USAGE
    assert run(*serve, "127.0.0.1:0", "--tls-cert", tmp_path / "no.pem").exit_code == Exit.USAGE
    assert run(*serve, "127.0.0.1:0", "--contract", "nowhere:at_all").exit_code == Exit.USAGE
