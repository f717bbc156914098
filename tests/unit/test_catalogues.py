"""Every text of the pages has a Korean translation, and the compiled catalogues match their sources."""

from pathlib import Path

import pytest

from tests.support import catalogues


def test_every_text_has_its_korean() -> None:
    """A text of a page or template without a Korean translation is reported, with its file."""
    korean = catalogues.known("ko")
    missing = {text: where for text, where in catalogues.used() if not korean.get(text)}
    assert missing == {}


def test_no_translation_is_left_over() -> None:
    """A catalogue has only texts that pages use."""
    said = {text for text, _ in catalogues.used()}
    assert set(catalogues.known("ko")) - said == set()


def test_translations_fill_in_the_same_names() -> None:
    """A translation names the same placeholders as its text."""
    for text, translated in [*catalogues.known("ko").items(), *catalogues.known("en").items()]:
        if translated:
            assert catalogues.placeholders(text) == catalogues.placeholders(translated), text


@pytest.mark.parametrize("path", catalogues.sources(), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_compiled_catalogue_is_its_source(path: object) -> None:
    """`python -m tests.support.catalogues` would change nothing."""
    assert isinstance(path, Path)
    assert path.with_suffix(".mo").read_bytes() == catalogues.compiled(path)
