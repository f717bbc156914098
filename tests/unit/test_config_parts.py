"""The configuration's parts: further chargers and meters in separate files, each fault reported at its own file and line."""

from pathlib import Path

import pytest

from edgegw.common.errors import ConfigError
from edgegw.config.schema import load

MAIN = """\
[station]
id = "S-1"
zone = "KR-SEOUL"
data_dir = "var"
key_file = "station.key"

[ledger]
gateway_id = "gw-1"
identity = "EVUserMSP/gateway"
trust_file = "trust.json"

[[meters]]
id = "M-1"
profile = "abb-b23"
"""
CHARGER = """\
[[chargers]]
id = "{number}"
password_hash = "$argon2id$x"

[[chargers.evses]]
number = 1
id = "E-{number}"
meter = "M-{number}"
rated_w = 11000

[[meters]]
id = "M-{number}"
profile = "abb-b23"
"""


def written(tmp_path: Path, **parts: str) -> Path:
    (tmp_path / "conf.d").mkdir()
    for name, text in parts.items():
        (tmp_path / "conf.d" / f"{name}.toml").write_text(text)
    path = tmp_path / "edgegw.toml"
    path.write_text(MAIN)
    return path


def test_parts_add_chargers_and_meters_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Tables in conf.d count as if they followed the main file, in the order of the files' names."""
    path = written(tmp_path, b=CHARGER.format(number=3), a=CHARGER.format(number=2))
    config = load(path)
    assert [charger.id for charger in config.chargers] == ["2", "3"]
    assert [meter.id for meter in config.meters] == ["M-1", "M-2", "M-3"]


def test_a_fault_is_told_at_the_file_and_line_it_stands_in(tmp_path: Path) -> None:
    """An index of the merged list is mapped to its own file and counted from there."""
    wrong = CHARGER.format(number=3).replace("rated_w", "rated_watts")
    path = written(tmp_path, a=CHARGER.format(number=2), b=wrong)
    with pytest.raises(ConfigError) as refused:
        load(path)
    place = tmp_path / "conf.d" / "b.toml"
    assert refused.value.faults == (
        f"{place}:5: chargers[0].evses[0].rated_w: is required",
        f"{place}:9: chargers[0].evses[0].rated_watts: unknown key (did you mean rated_w?)",
    )


def test_other_tables_stand_in_the_main_file_only(tmp_path: Path) -> None:
    """Two places for one value would leave people guessing which one holds."""
    path = written(tmp_path, a='[station]\nid = "other"\n')
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert refused.value.faults == (
        f"{tmp_path / 'conf.d' / 'a.toml'}:1: station: belongs in edgegw.toml; here only: chargers, meters",
    )


def test_a_syntax_fault_names_line_column_and_the_line(tmp_path: Path) -> None:
    """A syntax fault says where it is, what was expected, and the line itself."""
    path = written(tmp_path)
    path.write_text('[station]\nid "S-1"\n')
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert refused.value.faults == (
        f"{path}:2:4: Expected '=' after a key in a key/value pair; line: id \"S-1\"",
    )
