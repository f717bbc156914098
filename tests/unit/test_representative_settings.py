"""The representative's own file: every key is in the example, every fault is told at once."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from edgegw.common.errors import ConfigError
from edgegw.representative.settings import (
    PagesConfig,
    RepresentativeSettings,
    load_representative,
)

EXAMPLE = Path(__file__).parents[2] / "configs" / "representative.toml"


def keys(model: type[BaseModel], table: str = "") -> Iterator[tuple[str, str]]:
    """(table, key) of every leaf."""
    for name, field in model.model_fields.items():
        inner = [
            one
            for one in (field.annotation, *get_args(field.annotation))  # a table may be left out
            if isinstance(one, type) and issubclass(one, BaseModel)
        ]
        if inner:
            yield from keys(inner[0], name)
        else:
            yield table, name


def shown() -> set[tuple[str, str]]:
    """(table, key) of the example, commented ones included."""
    found, table = set(), ""
    for line in EXAMPLE.read_text().splitlines():
        bare = line.removeprefix("# ")
        if header := re.match(r"\[([a-z]+)\]", bare):
            table = header[1]
        elif key := re.match(r"([a-z_]+) = ", bare):
            found.add((table, key[1]))
    return found


def test_every_key_is_in_the_example() -> None:
    """configs/representative.toml has every key and no other, and is valid as it is."""
    assert set(keys(RepresentativeSettings)) == shown()
    settings = load_representative(EXAMPLE)
    assert settings.representative.store == EXAMPLE.parent.parent / "var" / "members.db"


def test_commented_keys_show_their_defaults(tmp_path: Path) -> None:
    """A commented key with a default shows that one."""
    settings = load_representative(EXAMPLE)
    lines = EXAMPLE.read_text().splitlines()
    for table, key, text in (
        ("listen", "host", '"127.0.0.1"'),
        ("listen", "port", "8470"),
        ("ledger", "endpoint", '"127.0.0.1:7051"'),
        ("ledger", "channel", '"energych"'),
        ("ledger", "cutoff_s", "300"),
        ("log", "level", '"info"'),
    ):
        assert any(line.startswith(f"# {key} = {text}") for line in lines), key
        assert str(getattr(getattr(settings, table), key)) == text.strip('"')


def test_commented_tables_can_be_used_as_they_stand(tmp_path: Path) -> None:
    """The pages' and the exchange's tables without their # are taken, with what the code has by itself where a key has one."""
    text = EXAMPLE.read_text()
    begin, end = text.index("# [web]"), text.index("[log]")
    tables = re.sub("(?m)^# ", "", text[begin:end])
    path = tmp_path / "representative.toml"
    path.write_text(text[:begin] + tables + text[end:])
    settings = load_representative(path)
    assert settings.web is not None
    assert settings.exchange is not None
    assert (settings.web.title, settings.exchange.bank) == ("Solar cooperative", "simulated")
    own = PagesConfig()
    for key in ("host", "port", "time_zone", "geohash", "presence_required", "screens"):
        assert getattr(settings.web, key) == getattr(own, key), key
    assert settings.exchange.fee_bp == type(settings.exchange).model_fields["fee_bp"].default


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[web]\ncertificate = "a.pem"', "web: set both certificate and key_file, or neither"),
        ('[web]\ngeohash = "Seoul"', "web.geohash"),
        ('[exchange]\nidentity = "e"', "exchange.store: is required"),
        ('[exchange]\nidentity = "e"\nstore = "s"\nbank = "real"', "exchange.bank"),
    ],
)
def test_faults_of_the_pages_and_the_exchange(tmp_path: Path, text: str, fault: str) -> None:
    """Each at its table and key."""
    path = tmp_path / "representative.toml"
    path.write_text(f"{EXAMPLE.read_text()}\n{text}\n")
    with pytest.raises(ConfigError, match=fault):
        load_representative(path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('host = "0.0.0.0"', "listen: 0.0.0.0 is not a loopback address: needs certificate and key_file"),
        ('certificate = "a.pem"', "listen: certificate and key_file go together"),
        ("prot = 1", "listen.prot: unknown key (did you mean port?)"),
        ("port = 70000", "listen.port: Input should be less than or equal to 65535, not 70000"),
    ],
)
def test_a_fault_is_told_at_its_line(tmp_path: Path, text: str, fault: str) -> None:
    """No TLS beyond this machine, unknown keys, values out of bounds: file, line, key and reason."""
    path = tmp_path / "representative.toml"
    path.write_text(EXAMPLE.read_text().replace("[listen]", f"[listen]\n{text}"))
    with pytest.raises(ConfigError) as caught:
        load_representative(path)
    assert [re.sub(r"^.*?:\d+: ", "", one) for one in caught.value.faults] == [fault]


def test_whom_it_serves_must_be_said(tmp_path: Path) -> None:
    """No list, an empty one, and a file that is no TOML or not there."""
    path = tmp_path / "representative.toml"
    for new in ("", "gateways = []"):
        path.write_text(EXAMPLE.read_text().replace('gateways = ["gateway1"]', new))
        with pytest.raises(ConfigError, match="gateways"):
            load_representative(path)
    path.write_text("[")
    with pytest.raises(ConfigError):
        load_representative(path)
    path.unlink()
    with pytest.raises(ConfigError):
        load_representative(path)
