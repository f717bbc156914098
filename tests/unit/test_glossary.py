"""Words of the pages and error codes: each message keeps to docs/glossary.md, in English and in Korean."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from edgegw.common.error_codes import REMEDIES
from tests.support import catalogues

GLOSSARY = catalogues.ROOT / "docs" / "glossary.md"
LINES_MAX = 120  # two printed pages
NO_KOREAN = "–"  # noqa: RUF001 - the dash of an empty cell

# Forms of a term in English messages; a term without an entry has itself and its plural.
FORMS: Mapping[str, tuple[str, ...]] = {
    "approve": ("approve", "approved", "approval"),
    "buy": ("buy", "buys", "bought", "buying", "buyer"),
    "charge": ("charge", "charges", "charged", "charging"),
    "charge and sell automatically": ("charge and sell automatically", "automatic charging and selling"),
    "commit": ("commit", "committed"),
    "discharge": ("discharge", "discharges", "discharged", "discharging"),
    "endorse": ("endorsed", "endorsement"),
    "exchange": ("exchange", "exchanged"),
    "generated": ("generated", "generates", "generation"),
    "hash": ("hash", "hashes"),
    "hold": ("hold", "holds", "held"),
    "ledger transaction": ("ledger transaction", "transaction"),
    "meter reading": ("meter reading", "meter readings", "reading", "readings"),
    "offer": ("offer", "offers", "offered"),
    "order": ("order", "orders", "ordered"),
    "refuse": ("refuse", "refuses", "refused", "refusals"),
    "reject": ("reject", "rejected"),
    "sell": ("sell", "sells", "sold", "selling", "sale"),
    "trade": ("trade", "trades", "traded", "untraded"),
}

# A term's other Korean: (term, English message or part of it, Korean, reason).
EXCEPTIONS = (
    ("energy", "", "전력", "as a traded good the Electricity Business Act says 전력 (전력거래, 전력시장)"),
    ("token", "id token", "인증 정보", "OCPP's idToken is no token of the ledger"),
    ("order", "Out of order", "고장", "an idiom, not an order"),
)


def rows(heading: str) -> Iterator[tuple[str, ...]]:
    """The cells of each row of the table whose first column has this heading."""
    within = False
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split("|")) if line.startswith("|") else ()
        within = bool(cells) and (within or cells[0] == heading)
        if within and cells[0] != heading and not cells[0].startswith("---"):
            yield cells


def korean_terms() -> dict[str, str]:
    """Each term that has a Korean word."""
    return {cells[0]: cells[3] for cells in rows("term") if cells[3] != NO_KOREAN}


def messages() -> Iterator[tuple[str, str]]:
    """Each message of the Korean catalogues, with its translation."""
    for source in catalogues.sources():
        if "ko" in source.parts:
            for message in catalogues.catalogue(source):
                if message.id:
                    yield str(message.id), str(message.string)


def occurring(text: str, terms: Mapping[str, str]) -> set[str]:
    """Terms that occur in an English message as words; a longer term hides the shorter ones inside it."""
    forms = {form: term for term in terms for form in FORMS.get(term, (term, f"{term}s"))}
    longest_first = sorted(forms, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})(?![\w-])", re.IGNORECASE)
    bare = re.sub(r"%\(\w+\)[sd]|\{\w+\}|edgegw [a-z]+( [a-z]+)?|--[a-z-]+", " ", text)
    by_form = {form.lower(): term for form, term in forms.items()}
    return {by_form[found.lower()] for found in pattern.findall(bare)}


def test_messages_use_the_korean_terms() -> None:
    """If a message has a term of the glossary, its translation has the term's Korean, or is a listed exception."""
    terms = korean_terms()
    astray = [
        (term, text, korean)
        for text, korean in messages()
        for term in occurring(text, terms)
        if terms[term] not in korean
        and not any(term == one and part in text and other in korean for one, part, other, _ in EXCEPTIONS)
    ]
    assert astray == []


def test_each_exception_is_needed() -> None:
    """An exception that no message uses is gone."""
    terms = korean_terms()
    for term, part, other, reason in EXCEPTIONS:
        assert reason
        assert any(
            part in text and other in korean and terms[term] not in korean and term in occurring(text, terms)
            for text, korean in messages()
        ), term


def test_words_that_are_not_used_occur_nowhere() -> None:
    """No message, no translation and no error code contains a word that the glossary replaces."""
    texts = [text for pair in messages() for text in pair]
    texts += [text for one in REMEDIES.values() for text in (one.problem, one.remedy)]
    found = [
        (cells[0], text)
        for cells in rows("word")
        for text in texts
        if re.search(rf"(?<![가-힣\w]){re.escape(cells[0])}", text, re.IGNORECASE)
    ]
    assert found == []


def test_one_term_for_one_thing() -> None:
    """No term has two rows, and no Korean word is used for two terms."""
    terms = Counter(cells[0] for cells in rows("term"))
    korean = Counter(korean_terms().values())
    assert [word for words in (terms, korean) for word, count in words.items() if count > 1] == []


def test_a_message_has_one_translation() -> None:
    """A message that two catalogues hold has the same Korean in both: pages see one merged catalogue."""
    found: dict[str, set[str]] = {}
    for text, korean in messages():
        found.setdefault(text, set()).add(korean)
    assert {text: known for text, known in found.items() if len(known) > 1} == {}


def test_the_glossary_is_two_pages() -> None:
    """Every row is whole, and the page stays short."""
    assert len(GLOSSARY.read_text(encoding="utf-8").splitlines()) <= LINES_MAX
    assert {len(cells) for cells in rows("term")} == {5}
    assert {len(cells) for cells in rows("word")} == {3}
    assert all(all(cells) for cells in (*rows("term"), *rows("word")))
