"""Text from outside, a charger, meter or broker, as it may be shown: it can do nothing to a terminal, a log or a table.

Decides the form only: what is not printable is escaped as Python writes it, and a length can be bounded.
"""


def harmless(text: str, *, length_max: int | None = None) -> str:
    """Printable text; one that is longer than `length_max`, before or after escaping, ends with an ellipsis."""
    taken = text if length_max is None else text[:length_max]
    safe = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in taken
    )
    if length_max is None or (len(text) <= length_max and len(safe) <= length_max):
        return safe
    return f"{safe[: length_max - 1]}…"
