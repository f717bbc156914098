"""Documents say what there is: every configuration key, command, event name and refusal; the commands shown exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from edgegw.cli import main
from edgegw.common.error_codes import REMEDIES
from edgegw.config.faults import known_keys
from edgegw.config.schema import Config
from edgegw.ops.logs import EVENTS

ROOT = Path(__file__).parents[2]
LOGGING = {"log", "log_event"}
EXAMPLE = (ROOT / "configs" / "edgegw.toml").read_text()


def config_keys(model: type[BaseModel], *, table: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """(table, key) of every leaf of the configuration."""
    for name, field in model.model_fields.items():
        inner = next(iter(re.findall(r"edgegw\.config\.schema\.(\w+)", str(field.annotation))), None)
        if inner is None:
            yield ".".join(table), name
        else:
            nested = getattr(__import__("edgegw.config.schema", fromlist=[inner]), inner)
            yield from config_keys(nested, table=(*table, name))


def documented_keys() -> set[tuple[str, str]]:
    """(table, key) of the example, commented ones included."""
    found, table = set(), ""
    for line in EXAMPLE.splitlines():
        bare = line.removeprefix("# ")
        if header := re.match(r"\[+([a-z_.]+)\]+", bare):
            table = header[1]
        elif key := re.match(r"([a-z0-9_]+) = ", bare):
            found.add((table, key[1]))
    return found


def commands(command: click.Command, *, path: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, path=f"{path} {name}")
    else:
        yield path


def test_every_configuration_key_is_in_the_example() -> None:
    """configs/edgegw.toml shows every key there is, and no other."""
    assert set(config_keys(Config)) == documented_keys()
    assert "station" in known_keys(Config, ())


def test_every_command_is_documented() -> None:
    """docs/cli.md has a heading line for every command, and none for a command that is gone."""
    text = (ROOT / "docs" / "cli.md").read_text()
    documented = set(re.findall(r"^- `(edgegw [a-z ]+?)(?: [A-Z\[<-].*?)?`", text, re.MULTILINE))
    assert documented == set(commands(main, path="edgegw"))


def test_every_event_name_is_documented() -> None:
    """docs/events.md explains each event name of ops.logs, and no other."""
    text = (ROOT / "docs" / "events.md").read_text()
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE)) == EVENTS


def logged_names(source: str) -> set[str]:
    """Every text that some source passes as the name of an event."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    logging = [call for call in calls if getattr(call.func, "attr", getattr(call.func, "id", "")) in LOGGING]
    inner = [node for call in logging for node in ast.walk(call.args[0])]
    return {node.value for node in inner if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_the_list_of_events_is_what_the_code_logs() -> None:
    """A name that the code logs is in EVENTS, and every name of EVENTS is logged somewhere."""
    logged = {path: logged_names(path.read_text()) for path in (ROOT / "edgegw").rglob("*.py")}
    assert set().union(*logged.values()) == EVENTS


@pytest.mark.parametrize("document", ["README.md", "DESIGN.md", "CONTRIBUTING.md", "docs/cli.md"])
def test_commands_in_documents_exist(document: str) -> None:
    """Every `make` target and `edgegw` command that a document shows exists."""
    text = (ROOT / document).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert (
        set(re.findall(r"`make ([a-z-]+)", text))
        | set(re.findall(r"^\$? ?make ([a-z-]+)", text, re.MULTILINE))
        <= targets
    )
    shown = re.findall(r"`(?:\.venv/bin/)?edgegw ([a-z]+)", text)
    shown += re.findall(r"^\$? ?(?:\.venv/bin/)?edgegw ([a-z]+)", text, re.MULTILINE)  # in fenced blocks
    assert set(shown) <= set(main.commands)


def test_every_nightly_test_has_its_reason() -> None:
    """CONTRIBUTING.md lists each file with the marker `nightly` and why, and no other."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    marked = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"pytest\.mark\.nightly\b", path.read_text()) and path != Path(__file__)
    }
    assert set(re.findall(r"^\| `(tests/\S+)` \| \S", text, re.MULTILINE)) == marked


def test_every_refusal_is_documented() -> None:
    """docs/errors.md has a row for each code of remedies, with its own words, and no other."""
    text = (ROOT / "docs" / "errors.md").read_text()
    rows = re.findall(r"^\| `(EGW-\d{4})` \| (.+?) \| (.+) \|$", text, re.MULTILINE)
    known = {code: (one.problem, one.remedy) for code, one in REMEDIES.items()}
    assert {code: (problem.replace("\\|", "|"), remedy) for code, problem, remedy in rows} == known


def test_where_names_thirty_files_that_exist() -> None:
    """docs/where.md lists thirty behaviours, each with a file of this repository."""
    rows = re.findall(
        r"^\| (\d+) \| .+ \| `([\w/.]+)` \|$", (ROOT / "docs" / "where.md").read_text(), re.MULTILINE
    )
    assert [int(number) for number, _ in rows] == list(range(1, 31))
    assert [file for _, file in rows if not (ROOT / file).is_file()] == []
