"""The representative's own file: every key is in the example, every fault is told at once."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from edgegw.errors import ConfigError
from edgegw.participants.office_settings import OfficeSettings, load_office

EXAMPLE = Path(__file__).parents[2] / "configs" / "representative.toml"


def keys(model: type[BaseModel], table: str = "") -> Iterator[tuple[str, str]]:
    """(table, key) of every leaf."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, name)
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
    """configs/representative.toml shows every key there is, and no other; as it stands it can be used."""
    assert set(keys(OfficeSettings)) == shown()
    settings = load_office(EXAMPLE)
    assert settings.representative.store == EXAMPLE.parent.parent / "var" / "members.db"


def test_commented_keys_show_their_defaults(tmp_path: Path) -> None:
    """A commented key with a default shows that one."""
    settings = load_office(EXAMPLE)
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


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('host = "0.0.0.0"', "listen: 0.0.0.0 is not this machine alone: needs certificate and key_file"),
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
        load_office(path)
    assert [re.sub(r"^.*?:\d+: ", "", one) for one in caught.value.faults] == [fault]


def test_whom_it_serves_must_be_said(tmp_path: Path) -> None:
    """No list, an empty one, and a file that is no TOML or not there."""
    path = tmp_path / "representative.toml"
    for new in ("", "gateways = []"):
        path.write_text(EXAMPLE.read_text().replace('gateways = ["gateway1"]', new))
        with pytest.raises(ConfigError, match="gateways"):
            load_office(path)
    path.write_text("[")
    with pytest.raises(ConfigError):
        load_office(path)
    path.unlink()
    with pytest.raises(ConfigError):
        load_office(path)
