"""Load gettext catalogues, one domain for each area, and choose the language of a visitor.

Decides the language; never formats numbers (`formats`). Message ids are English, so the English catalogues hold only what
differs. Compiled catalogues are committed beside their sources; a test compares them.
"""

import gettext
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from edgegw.ports.representative import Language

LOCALES = Path(__file__).parent / "locales"
LANGUAGES: tuple[Language, ...] = ("ko", "en")
DEFAULT: Language = "ko"


@cache
def catalogue(language: Language) -> gettext.NullTranslations:
    """Return all domains of a language as one catalogue; a text that is in none stays English."""
    whole = gettext.NullTranslations()
    for file in sorted((LOCALES / language / "LC_MESSAGES").glob("*.mo")):
        with file.open("rb") as source:
            part = gettext.GNUTranslations(source)
        part.add_fallback(whole)
        whole = part
    return whole


def chosen(wishes: Iterable[str | None], accepted: str) -> Language:
    """Return the first supported language of `wishes`, else the best of Accept-Language, else Korean."""
    for wish in wishes:
        for language in LANGUAGES:
            if wish == language:
                return language
    weighed = sorted(_weighed(accepted), reverse=True)
    return next((language for _, _, language in weighed), DEFAULT)


def _weighed(accepted: str) -> Iterable[tuple[int, int, Language]]:
    """Yield (weight in thousandths, negated position, language) of each supported language in Accept-Language."""
    for place, part in enumerate(accepted[:256].split(",")):
        tag, _, weight = part.partition(";")
        for language in LANGUAGES:
            if tag.strip().lower().partition("-")[0] == language:
                yield _thousandths(weight), -place, language


def _thousandths(weight: str) -> int:
    """Return the weight `q=0.8` as 800; 0 if it cannot be read."""
    name, _, text = weight.strip().partition("=")
    if not name:
        return 1000
    whole, _, part = text.partition(".")
    digits = f"{whole or 0}{part[:3]:0<3}"
    return int(digits) if digits.isascii() and digits.isdecimal() else 0
