"""Translate the daemon's English sentences to the reader's language: health, remedies, phases, remarks.

Decides words only. Each sentence of `ports.station_health` and `common.error_codes` that a page shows has a pattern or an
entry in `daemon_messages`. An unknown sentence is shown as it is, so that nothing is hidden.
"""

import re
from dataclasses import dataclass

from edgegw.common.error_codes import REMEDIES
from edgegw.ports.station_health import Level, Part
from edgegw.web.operator.daemon_messages import N_, PATTERNS
from edgegw.web.pages import Word

LEVELS = {Level.DOWN: N_("Fault"), Level.DEGRADED: N_("Needs attention"), Level.OK: N_("OK")}
PHASES = {
    "vacant": N_("free"),
    "starting": N_("waits for its hold"),
    "active": N_("in a session"),
    "stopping": N_("refused, stopping"),
}
_CODE = re.compile(r"(EGW-\d{4}) ?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The health of a part in words; `detail` comes from the device or daemon and is not translated."""

    part: str
    level: Level
    level_word: str
    reason: str
    detail: str
    hint: str
    since_ns: int


def said(text: str, word: Word) -> str:
    """Translate a sentence of the daemon; return it unchanged if it is unknown."""
    for pattern, sentence in PATTERNS:
        match = pattern.fullmatch(text)
        if match is not None:
            filled = {name: _names(value or "", word) for name, value in match.groupdict().items()}
            return word(sentence) % filled
    return word(text)


def part_said(part: Part, word: Word) -> Said:
    """Translate the health of one part; an error code is replaced by its problem and remedy."""
    reason, detail, hint = said(part.reason, word), "", part.hint
    if (coded := _CODE.fullmatch(part.reason)) and coded[1] in REMEDIES:
        known = REMEDIES[coded[1]]
        reason, detail = f"{coded[1]} {word(known.problem)}", coded[2] if coded[2] != known.problem else ""
        hint = word(known.remedy).replace(" ID", f" {part.part.removeprefix('meter ')}")
    elif (coded := _CODE.fullmatch(hint)) and coded[1] in REMEDIES:
        hint = explained(coded[1], word)
    else:
        hint = said(hint, word)
    return Said(
        part=said(part.part, word),
        level=part.level,
        level_word=word(LEVELS[part.level]),
        reason=reason,
        detail=detail,
        hint=hint,
        since_ns=part.since_ns,
    )


def explained(code: str, word: Word) -> str:
    """Return an error code with problem and remedy; an unknown code alone."""
    known = REMEDIES.get(code)
    return code if known is None else f"{code} {word(known.problem)}: {word(known.remedy)}"


def short(member_id: str) -> str:
    """Shorten a member id to six characters: enough to tell two apart, not enough to identify a member."""
    return f"{member_id[:6]}…" if len(member_id) > 6 else member_id


def _names(text: str, word: Word) -> str:
    """Translate the end of a shortened list of names: "A, B, C and 4 more"."""
    cut = re.fullmatch(r"(.*) and (\d+) more", text)
    return text if cut is None else word("%(names)s and %(count)s more") % {"names": cut[1], "count": cut[2]}
