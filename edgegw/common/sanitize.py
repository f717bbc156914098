"""Makes text from a charger, meter or broker safe to show in a terminal, a log or a table.

Escapes unprintable characters as Python does, and limits the length. Never judges the content.
"""


def harmless(text: str, *, length_max: int | None = None) -> str:
    """Return printable text; where it is longer than `length_max`, before or after escaping, it ends with an ellipsis."""
    taken = text if length_max is None else text[:length_max]
    safe = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in taken
    )
    if length_max is None or (len(text) <= length_max and len(safe) <= length_max):
        return safe
    return f"{safe[: length_max - 1]}…"
