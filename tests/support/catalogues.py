"""Extract the pages' texts from templates and sources, and compile the catalogues: `python -m tests.support.catalogues`."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from edgegw.web.catalogues import LOCALES

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "edgegw" / "web"
_WRITTEN = datetime(
    2026, 1, 1, tzinfo=UTC
)  # a compiled catalogue has a date: a fixed one makes builds reproducible
_KEYWORDS = {"_": None, "gettext": None, "N_": None, "word": None}


def used() -> Iterator[tuple[str, str]]:
    """Yield every text that the pages translate, with its file."""
    for path in sorted([*WEB.rglob("*.html"), *WEB.rglob("*.py")]):
        how = "jinja2.ext:babel_extract" if path.suffix == ".html" else "python"
        with path.open("rb") as source:
            for _, text, _, _ in extract(how, source, keywords=_KEYWORDS, options={"silent": "false"}):
                assert isinstance(text, str), (path, text)
                yield text, path.relative_to(ROOT).as_posix()


def catalogue(path: Path) -> Catalog:
    """Return the catalogue of a source file."""
    with path.open("rb") as source:
        found = read_po(source, locale=path.parts[-3])
    found.creation_date = found.revision_date = _WRITTEN
    return found


def sources() -> list[Path]:
    """Return the source files of all catalogues."""
    return sorted(LOCALES.rglob("*.po"))


def compiled(path: Path) -> bytes:
    """Return the compiled form of a source file."""
    out = io.BytesIO()
    write_mo(out, catalogue(path))
    return out.getvalue()


def known(language: str) -> dict[str, str]:
    """Return all translations of a language, from all domains."""
    return {
        str(message.id): str(message.string)
        for path in sources()
        if path.parts[-3] == language
        for message in catalogue(path)
        if message.id
    }


def placeholders(text: str) -> set[str]:
    """Return the names of a text's placeholders, as in %(kwh)s or {kwh}."""
    return set(re.findall(r"%\(\w+\)[sd]|\{\w+\}", text))


if __name__ == "__main__":
    for one in sources():
        one.with_suffix(".mo").write_bytes(compiled(one))
        print(one.relative_to(ROOT))
