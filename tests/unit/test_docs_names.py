"""Names in the documents lead to something that exists, so that no rename leaves one behind.

A code span of DESIGN.md or CONTRIBUTING.md is one of these; what follows none of the forms is words (a command, a formula,
a frame) and is not looked at:

- dotted code: `core.session.TRANSITIONS` from a room or module of edgegw on, or from `edgegw`, `firmware_sim` or `tests` on;
  it is imported, and each further name is an attribute. A method or a field of a dataclass is one too;
- another dotted name of a closed list: a configuration key, the name of a log event, or a file by its suffix;
- a path: with a `/` in it; from the checkout's root, from `edgegw/` or from `tests/` on, `*` for any name;
- a bare name: a room or module, a name or a word of the sources of edgegw and firmware_sim, a configuration table, a
  dependency, a module or builtin of Python, a make target, or a file in the checkout's root.

So write the room in front (`core.control.replan`, not `control.replan`), and end a path with its suffix or a `/`.
"""

import ast
import builtins
import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import tests.support
from edgegw.config.schema import Config
from edgegw.ops.logs import EVENTS
from tests.unit.test_docs import config_keys

ROOT = Path(__file__).parents[2]
EDGEGW = ROOT / "edgegw"
DOCUMENTS = ["DESIGN.md", "CONTRIBUTING.md"]
TOP = ("edgegw", "firmware_sim", "tests")
SUFFIXES = ("db", "json", "lock", "md", "po", "mo", "proto", "py", "pyi", "toml", "txt")
NOT_PATHS = frozenset({"sdr-share/1", "mmr/1"})  # names of price formulas
GENERATED = ("build/", ".venv/")  # there after a run only

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_BARE = re.compile(r"[A-Za-z_]\w*")
_PATH = re.compile(r"[\w.*-]+(/[\w.*-]+)*/?")
_CITED = re.compile(
    r"\b(?:HOUS[E]|LEDGE[R])\b"
    r"|\b(?:market|metering|ocpp|fabric|reliability|experience|trust|style|acceleration) (?:reference|study)\b"
    r"|\breference (?:§ ?)?[0-9]"
    r"|\b(?:of|in) the reference\b",
)


def rooms() -> frozenset[str]:
    """Packages and modules directly in edgegw."""
    found = {path.name.removesuffix(".py") for path in EDGEGW.iterdir() if is_code(path)}
    return frozenset(found - {"__init__"})


def is_code(path: Path) -> bool:
    """True for a module or a package."""
    return path.suffix == ".py" or (path / "__init__.py").exists()


def prose(text: str) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text: str) -> set[str]:
    """All code spans of a document's prose."""
    return set(re.findall(r"`([^`\n]+)`", prose(text)))


@cache
def words() -> frozenset[str]:
    """Every name, and every text that is one word, in the sources of edgegw and firmware_sim."""
    found: set[str] = set()
    for folder in (EDGEGW, ROOT / "firmware_sim"):
        for path in folder.rglob("*.py"):
            found.add(path.stem)
            found.update(words_of(ast.parse(path.read_text())))
    return frozenset(found)


def words_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name
            case ast.Constant(value=str(text)) if _BARE.fullmatch(text):
                yield text


@cache
def other_words() -> frozenset[str]:
    """Bare names that are no code of ours: dependencies, make targets, files, configuration tables."""
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    files = [path.name for path in ROOT.iterdir()]
    tables = [part for table, _ in config_keys(Config) for part in table.split(".")]
    return frozenset([*(name.replace("-", "_") for name in locked), *targets, *files, *tables])


def leads_to_code(dotted: str) -> bool:
    """Import as far as there are modules, then follow attributes."""
    first, *rest = dotted.split(".")
    found: object
    names = [first, *rest] if first in TOP else ["edgegw", first, *rest]
    if first not in TOP and first not in rooms():
        return False
    found = importlib.import_module(names[0])
    for position, name in enumerate(names[1:], start=1):
        if isinstance(found, ModuleType) and not hasattr(found, name):
            try:
                found = importlib.import_module(".".join(names[: position + 1]))
            except ModuleNotFoundError:
                return False
        elif hasattr(found, name):
            found = getattr(found, name)
        else:
            return name in getattr(found, "__dataclass_fields__", {})
    return True


def is_known_otherwise(dotted: str) -> bool:
    """A dotted name that is no code: configuration key, log event, file."""
    keys = {f"{table}.{key}" for table, key in config_keys(Config)}
    return dotted in keys or dotted in EVENTS or dotted.rsplit(".", 1)[1] in SUFFIXES


def leads_to_file(path: str) -> bool:
    """From the root, from edgegw/ or from tests/ on."""
    return any(any(base.glob(path.rstrip("/"))) for base in (ROOT, EDGEGW, ROOT / "tests"))


def dangling(span: str) -> bool:
    """Whether a code span has one of the forms and leads nowhere."""
    name = re.sub(r"\(.*\)$", "", span)
    if span.startswith(("/", *GENERATED)) or span in NOT_PATHS:
        return False
    if _BARE.fullmatch(name):
        return name not in words() | other_words() | rooms() | sys.stdlib_module_names | set(
            dir(builtins)
        ) | set(TOP)
    if _DOTTED.fullmatch(name):
        return not (leads_to_code(name) or is_known_otherwise(name))
    return "/" in span and _PATH.fullmatch(span) is not None and not leads_to_file(span)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_name_in_a_document_exists(document: str) -> None:
    """Each code span that has the form of a name or path leads to one."""
    assert sorted(filter(dangling, spans((ROOT / document).read_text()))) == []


@pytest.mark.parametrize(
    "span", ["core.nowhere.step", "core.station.nothing", "Nowhere", "edgegw/nowhere.py", "nowhere.step"]
)
def test_a_name_that_leads_nowhere_is_found(span: str) -> None:
    """The check fails on a name that is gone."""
    assert dangling(span)


@pytest.mark.parametrize(
    "span",
    ["core.station.step", "core.state.Evse.ending", "ledger.endpoint", "chargers/", "meter.recovered", "a b"],
)
def test_a_name_that_exists_is_no_finding(span: str) -> None:
    """Code, a field, a configuration key, a folder, an event's name and plain words pass."""
    assert not dangling(span)


def test_the_map_names_every_room() -> None:
    """DESIGN.md has one map, which names each package and module directly in edgegw once, and no others."""
    block = re.search(
        r"^```\nedgegw/\n(.*?)^```$", (ROOT / "DESIGN.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert block is not None
    drawn = [
        name.removesuffix("/").removesuffix(".py")
        for left in re.findall(r"^  (\S+(?: \S+)*)  ", block[1], re.MULTILINE)
        for name in left.split()
    ]
    assert sorted(drawn) == sorted(rooms())


def test_the_map_of_the_support_modules_names_each_of_them() -> None:
    """The docstring of tests.support has one line for each of its modules, and for nothing else."""
    modules = [path.stem for path in (ROOT / "tests" / "support").glob("*.py") if path.stem != "__init__"]
    named = re.findall(r"^- `(\w+)`: \S", tests.support.__doc__ or "", re.MULTILINE)
    assert sorted(named) == sorted(modules)


def texts() -> Iterator[tuple[Path, str]]:
    """Every source and document of the checkout, with its text."""
    folders = [*TOP, "configs", "docs", "deb", "systemd"]
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    kinds = {".py", ".md", ".toml", ".html", ".po", ".json", ".sh", ".service", ".proto"}
    for path in [*ROOT.glob("*"), *paths]:
        if path.is_file() and (path.suffix in kinds or path.name in {"Makefile", ".importlinter"}):
            yield path.relative_to(ROOT), path.read_text()


def test_no_file_cites_what_a_reader_cannot_open() -> None:
    """A source is a public standard, a public document or a page of docs/, never a paper outside of the checkout."""
    found = [f"{path}: {match[0]}" for path, text in texts() for match in _CITED.finditer(text)]
    assert found == []


def test_every_page_that_is_cited_exists() -> None:
    """`docs/NAME.md` in a source or document is a page of docs/."""
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    cited = {(str(path), page) for path, text in texts() for page in re.findall(r"docs/([a-z]+\.md)", text)}
    assert {(path, page) for path, page in cited if page not in pages} == set()


def test_every_link_between_documents_leads_somewhere() -> None:
    """A relative link of a document names a file of the checkout."""
    broken = [
        f"{path}: {target}"
        for path, text in texts()
        if path.suffix == ".md"
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", prose(text))
        if not (ROOT / path.parent / target).exists()
    ]
    assert broken == []


def test_the_house_has_at_most_27_rooms() -> None:
    """Rooms are the packages and modules directly in edgegw, and the simulator."""
    assert len(rooms()) + 1 <= 27
