"""Every sentence of the daemon on the operator's pages has a translation, in both languages."""

import ast
import re
from pathlib import Path

import pytest

from edgegw.commissioning import addresses
from edgegw.common.error_codes import REMEDIES
from edgegw.config.schema import OcppConfig, TlsConfig
from edgegw.ports import station_health
from edgegw.ports.station_health import Level, Part
from edgegw.web.catalogues import catalogue
from edgegw.web.operator.daemon_messages import HINTS, PATTERNS
from edgegw.web.operator.translations import explained, part_said, said, short

KOREAN = catalogue("ko").gettext
ENGLISH = catalogue("en").gettext
FILLED = "7"
HANGUL = re.compile("[가-힣]")


def sentences(*keywords: str) -> set[str]:
    """Every text that `station_health` gives a part by these keywords, with figures filled in."""
    tree = ast.parse(Path(station_health.__file__).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = [word.value for call in calls for word in call.keywords if word.arg in keywords]
    names = {name.id for value in given for name in ast.walk(value) if isinstance(name, ast.Name)}
    assigned = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in names
    ]
    found: set[str] = set()
    for value in (*given, *assigned):
        for branch in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
            found |= {text for text in [_text(branch)] if text}
    return found


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [one.value if isinstance(one, ast.Constant) else FILLED for one in node.values]
        return "".join(map(str, parts))
    return ""


# Not sentences: figures alone, a code with its remedy (which is looked up by its code), and commands.
OTHERS = {
    "7",
    "7: 7",
    "7 7",
    "7 7: 7",
    "edgegw charger list",
    "edgegw meter read ID",
    "edgegw mqtt test",
    "7: the disk is almost full",
}


@pytest.mark.parametrize("text", sorted(sentences("reason", "hint", "part") - OTHERS))
def test_every_sentence_of_a_condition_is_known(text: str) -> None:
    """Every sentence of `station_health` has a Korean translation, and is unchanged in English."""
    assert HANGUL.search(said(text, KOREAN)) or text == "mqtt", text
    assert said(text, ENGLISH) == text


def test_the_sentences_are_found() -> None:
    """The list that is checked is what condition.py says, not an empty one."""
    assert {
        "operational",
        "7 connected",
        "not read yet: 7",
        "no connection to the broker",
        station_health.NTP_HINT,
    } <= sentences("reason", "hint") | {station_health.NTP_HINT}
    assert HANGUL.search(said(station_health.NTP_HINT, KOREAN))


@pytest.mark.parametrize("code", [code for code in REMEDIES if re.match("EGW-(10|11|20)", code)])
def test_what_is_refused_at_the_door_and_at_meters_is_told_in_korean(code: str) -> None:
    """Each code that these pages show, with what to do."""
    known = REMEDIES[code]
    assert HANGUL.search(KOREAN(known.problem))
    assert HANGUL.search(KOREAN(known.remedy))
    assert explained(code, ENGLISH) == f"{code} {known.problem}: {known.remedy}"


def test_a_full_disk_is_told_in_every_form() -> None:
    """The sentence of a full disk is translated with the free space, and without it if that is unknown."""
    for text in (
        "4 % free: the station refuses new sessions",
        "12 % free: the disk is almost full",
        "40 % free",
    ):
        assert HANGUL.search(said(text, KOREAN))
        assert said(text, ENGLISH) == text


def test_an_address_has_its_remark_in_korean() -> None:
    """An address's remark is translated, with and without TLS."""
    ocpp = OcppConfig(tls=TlsConfig(certificate=Path("a"), key_file=Path("b")))
    for place in addresses.charger_urls(ocpp):
        assert HANGUL.search(said(place.remark, KOREAN))
        assert said(place.remark, ENGLISH) == place.remark


def test_what_is_not_known_stays_as_it_is() -> None:
    """A sentence of tomorrow is shown in English, never hidden; a list that was cut says how much."""
    part = Part(part="new", level=Level.DOWN, reason="something else", hint="do that")
    told = part_said(part, KOREAN)
    assert (told.part, told.reason, told.hint) == ("new", "something else", "do that")
    cut = said("9 of 9 not connected: A, B, C and 6 more", KOREAN)
    assert "A, B, C 외 6" in cut
    assert explained("EGW-9999", KOREAN) == "EGW-9999"


def test_a_pseudonym_is_cut() -> None:
    """Six characters, and that there were more."""
    assert (short("0123456789"), short("012345"), short("")) == ("012345…", "012345", "")


def test_no_pattern_hides_another() -> None:
    """Each pattern is met by its own English sentence before any other."""
    for number, (_, sentence) in enumerate(PATTERNS):
        text = re.sub(r"%\(\w+\)s", FILLED, sentence).replace("%%", "%")
        first = next(index for index, (pattern, _) in enumerate(PATTERNS) if pattern.fullmatch(text))
        assert first == number, sentence
    assert len(set(HINTS)) == len(HINTS)
