"""What the daemon says of itself, in the reader's language: conditions, remedies, phases, remarks.

Decides words only. The daemon speaks English; each sentence of `condition` and `remedies` that a page shows has its pattern or
its entry in `sentences`. One that is not known stays as it is, so that nothing is ever hidden.
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
    """A part's condition in words; `detail` is the device's own or the daemon's, and stays as it is."""

    part: str
    level: Level
    level_word: str
    reason: str
    detail: str
    hint: str
    since_ns: int


def said(text: str, word: Word) -> str:
    """A sentence in the reader's language, as far as it is known."""
    for pattern, sentence in PATTERNS:
        match = pattern.fullmatch(text)
        if match is not None:
            filled = {name: _names(value or "", word) for name, value in match.groupdict().items()}
            return word(sentence) % filled
    return word(text)


def part_said(part: Part, word: Word) -> Said:
    """One part's condition."""
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
    """A code with what is wrong and what to do; a code that is not ours alone."""
    known = REMEDIES.get(code)
    return code if known is None else f"{code} {word(known.problem)}: {word(known.remedy)}"


def short(member_id: str) -> str:
    """A pseudonym, cut so that it tells nothing of who is behind it and still two of them can be told apart."""
    return f"{member_id[:6]}…" if len(member_id) > 6 else member_id


def _names(text: str, word: Word) -> str:
    """A list of names that was cut: "A, B, C and 4 more"."""
    cut = re.fullmatch(r"(.*) and (\d+) more", text)
    return text if cut is None else word("%(names)s and %(count)s more") % {"names": cut[1], "count": cut[2]}
