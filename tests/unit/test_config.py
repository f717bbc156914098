"""The configuration: every fault at once, each at its line; nothing unknown, nothing inline that is secret."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from edgegw.common.errors import ConfigError
from edgegw.config.faults import Location, line_numbers
from edgegw.config.schema import (
    Config,
    MqttConfig,
    OperatorConfig,
    WebConfig,
    load,
    read_secret,
)

MQTT_DEFAULTS = {"host", "port", "topic_prefix", "discovery_prefix"}
EXAMPLE = Path(__file__).parents[2] / "configs" / "edgegw.toml"

GOOD = """\
[station]
id = "S-1"
zone = "KR-SEOUL"
data_dir = "var"
key_file = "/etc/edgegw/station.key"

[ledger]
gateway_id = "gw-1"
identity = "EVUserMSP/gateway"
trust_file = "trust.json"

[[chargers]]
id = "CP-1"
password_hash = "$argon2id$x"

[[chargers.evses]]
number = 1
id = "E-1"
meter = "M-1"
rated_w = 11000

[[chargers]]
id = "CP-2"
password_hash = "$argon2id$second"

[[chargers.evses]]
number = 1
id = "E-2"
meter = "M-2"
rated_w = 22000
discharge_w = 10000

[[meters]]
id = "M-1"
profile = "abb-b23"

[[meters]]
id = "M-2"
profile = "abb-b23"
poll_s = 30
"""


TLS = '[ocpp.tls]\nport = {port}\ncertificate = "a.pem"\nkey_file = "a.key"\n\n'


def faults_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "edgegw.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [fault.removeprefix(f"{path}:") for fault in caught.value.faults]


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def test_a_good_file_is_one_frozen_tree(tmp_path: Path) -> None:
    """Values, defaults and paths that start at the file's folder; the tree cannot be changed."""
    path = tmp_path / "edgegw.toml"
    path.write_text(GOOD)
    config = load(path)
    assert config.chargers[1].evses[0].discharge_w == 10_000
    assert config.chargers[0].evses[0].standby_w == 5
    assert [meter.poll_s for meter in config.meters] == [60, 30]
    assert config.journal_path == tmp_path / "var" / "station.db"
    assert config.station.key_file == Path("/etc/edgegw/station.key")
    assert config.ocpp.host == "127.0.0.1"
    with pytest.raises(ValidationError):
        config.ocpp.port = 1


def test_a_representative_is_beside_the_gateway_or_elsewhere(tmp_path: Path) -> None:
    """Exactly one of the two forms; anything between is one fault at the table, which says what is missing."""
    beside = {"store": "m.db", "key_file": "m.key", "identity": "EVUserMSP/representative"}
    elsewhere = {"url": "https://members.example:8470", "ca_file": "ca.pem"}

    def text(**keys: str) -> str:
        return GOOD + "[representative]\n" + "".join(f'{name} = "{value}"\n' for name, value in keys.items())

    path = tmp_path / "edgegw.toml"
    for keys, is_own in ((beside, True), (elsewhere, False), ({"url": "http://127.0.0.1:8470"}, False)):
        path.write_text(text(**keys))
        config = load(path)
        assert (config.own_representative is not None) == is_own
        assert config.representative is not None
        assert config.representative.url == keys.get("url")
    line = line_of(text(), "[representative]")
    for keys, fault in (
        (beside | elsewhere, "set either store, key_file and identity, or url and ca_file"),
        ({"ca_file": "ca.pem"}, "ca_file needs url"),
        ({"store": "m.db"}, "needs key_file and identity; or url, if the representative runs elsewhere"),
        ({}, "needs store and key_file and identity; or url, if the representative runs elsewhere"),
    ):
        assert faults_of(tmp_path, text(**keys)) == [f"{line}: representative: {fault}"]
    assert len(faults_of(tmp_path, text(url="https://members.example/path"))) == 1


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    """Unknown, missing, mistyped, out of range and dangling, in one list, each at its line."""
    text = (
        GOOD.replace("discharge_w = 10000", "dischargew = 10000")
        .replace("poll_s = 30", "poll_s = 0")
        .replace('zone = "KR-SEOUL"\n', "")
        .replace("rated_w = 22000", 'rated_w = "22000"')
        .replace('meter = "M-2"', 'meter = "M-9"')
        .replace('id = "CP-2"', 'id = "CP-1"')
        .replace('identity = "EVUserMSP/gateway"\n', "")
    )
    found = faults_of(tmp_path, text)
    expected = {
        f"{line_of(text, 'dischargew')}: chargers[1].evses[0].dischargew: unknown key (did you mean discharge_w?)",
        f"{line_of(text, 'poll_s')}: meters[1].poll_s: Input should be greater than or equal to 1, not 0",
        "1: station.zone: is required",
        f"{line_of(text, '22000')}: chargers[1].evses[0].rated_w: Input should be a valid integer, not '22000'",
        f"{line_of(text, 'M-9')}: chargers[1].evses[0].meter: no [[meters]] has the id 'M-9'",
        f"{line_of(text, 'CP-1')}: chargers[0].id: charger 'CP-1' is named more than once",
        f"{line_of(text, 'second') - 1}: chargers[1].id: charger 'CP-1' is named more than once",
        f"{line_of(text, '[ledger]')}: ledger.identity: is required",
    }
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "M-2"', 'id = "M-1"', "meter 'M-1' is named more than once"),
        ('meter = "M-2"', 'meter = "M-1"', "meter 'M-1' bills another EVSE already"),
        ('id = "E-2"', 'id = "E-1"', "EVSE 'E-1' is named more than once"),
        ('"$argon2id$second"', '"secret"', "String should match pattern"),
        ("rated_w = 22000", "rated_w = 22000.0", "valid integer"),
        ("rated_w = 22000", "rated_w = true", "valid integer"),
        ("[station]", "[statoin]", "did you mean station?"),
        ("[[meters]]", "[[meter]]", "did you mean meters?"),
        ('id = "CP-2"', 'id = "CP 2"', "String should match pattern"),
        ("[ledger]", TLS.format(port=8887) + "[ledger]", "ocpp.tls.port: 8887 is ocpp.port already"),
    ],
)
def test_a_single_fault_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Each kind of fault is found and said in words."""
    assert any(message in fault for fault in faults_of(tmp_path, GOOD.replace(old, new)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "station = 3\n",
        "chargers = 7\nmeters = [1]\n",
        "[chargers]\nid = 1\n",
        "[[chargers]]\nevses = 1\n",
    ],
)
def test_a_tree_of_any_shape_is_answered_with_faults(tmp_path: Path, text: str) -> None:
    """A file that is valid TOML and nothing else never ends in another exception than ConfigError."""
    assert faults_of(tmp_path, text)


def test_unreadable_files_are_configuration_faults(tmp_path: Path) -> None:
    """Broken syntax names its line; an absent or binary file names itself."""
    assert faults_of(tmp_path, "[station]\nid == 1\n")[0].startswith("2:5: ")
    assert faults_of(tmp_path, '[station]\nid = "a')[0].startswith("2:1: ")
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "binary.toml")


def test_a_register_map_of_one_s_own_is_a_path_like_any_other(tmp_path: Path) -> None:
    """A path starts at the configuration file's folder, wherever the daemon was started; bundled names stay names."""
    text = GOOD.replace('profile = "abb-b23"\n\n', 'profile = "own/map.json"\n\n', 1)
    place = tmp_path / "edgegw.toml"
    place.write_text(text)
    assert [meter.profile for meter in load(place).meters] == [str(tmp_path / "own/map.json"), "abb-b23"]


def test_lines_of_nested_tables() -> None:
    """A key is found in its own element of an array of tables, however deep."""
    lines = line_numbers(
        "[[a]]\nx = 1\n[[a.b]]\ny = 1\n[[a.b]]\ny = 2\n[[a]]\n[[a.b]]\ny = 3 # [c]\n[d.e]\nz = 1\n"
    )
    wanted: dict[Location, int] = {
        ("a", 0, "x"): 2,
        ("a", 0, "b", 0, "y"): 4,
        ("a", 0, "b", 1, "y"): 6,
        ("a", 1, "b", 0, "y"): 9,
        ("d", "e", "z"): 11,
    }
    assert {key: lines[key] for key in wanted} == wanted


def test_secrets_are_private_hexadecimal_files(tmp_path: Path) -> None:
    """A secret that others can read, or that is not 32 bytes of hex, is refused with what to do."""
    path = tmp_path / "station.key"
    path.write_text("ab" * 32 + "\n")
    path.chmod(0o600)
    assert read_secret(path) == b"\xab" * 32
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_secret(path)
    path.chmod(0o600)
    path.write_text("ab" * 31)
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        read_secret(path)
    with pytest.raises(ConfigError, match="No such file"):
        read_secret(tmp_path / "absent.key")


def test_the_example_shows_the_defaults() -> None:
    """A commented key of the example shows the default, if there is one."""
    example = load(EXAMPLE)
    text = EXAMPLE.read_text()
    shown = tomllib.loads(
        "\n".join(line.removeprefix("# ") for line in text.splitlines() if " = " in line or "[" in line[:4])
    )
    pages = {name: shown[name] for name in ("web", "operator")}
    for table, key in (
        (shown["station"], "site_w_max"),
        (shown["station"], "run_dir"),
        (shown["ocpp"], "public_host"),
        (shown["ledger"], "tls_ca_file"),
        (shown["ledger"], "tls_name"),
        (shown["ocpp"], "tls"),
        (shown["chargers"][0], "version"),
        (shown, "sandbox"),
        (shown["representative"], "url"),
        (shown["representative"], "ca_file"),
        (shown, "exchange"),
        (shown, "web"),
        (shown, "operator"),
    ):
        table[key] = None  # an example: absent unless it is set
    for table, model in ((pages["web"], WebConfig), (pages["operator"], OperatorConfig)):
        examples = {"names", "public_host", "certificate", "key_file", "title", "password_file"}
        kept = {key: value for key, value in table.items() if key not in examples}
        needed = {"password_file": "x"} if model is OperatorConfig else {}
        read = model.model_validate(kept | needed)
        defaults = {key: known.default for key, known in model.model_fields.items() if key not in examples}
        assert {key: getattr(read, key) for key in kept} == defaults
    mqtt = {key: value for key, value in shown.pop("mqtt").items() if key in MQTT_DEFAULTS}
    assert mqtt == MqttConfig().model_dump(include=MQTT_DEFAULTS)
    assert dict(
        leaves(Config.model_validate(shown, context={"folder": EXAMPLE.absolute().parent}).model_dump())
    ) == dict(leaves(example.model_dump()))


def leaves(node: object, *, at: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, at=f"{at}.{key}")
    elif isinstance(node, tuple) and node and isinstance(node[0], dict):
        for index, value in enumerate(node):
            yield from leaves(value, at=f"{at}[{index}]")
    else:
        yield at, node
