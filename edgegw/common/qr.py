"""QR codes of addresses, for pages and for terminals. The address itself is always shown as text beside its code.

Source: ISO/IEC 18004 (quiet zone of four modules in print; error correction level M).
"""

import io

import segno


def qr_svg(text: str) -> str:
    """The code as inline SVG of class `qr`, without size, style attributes or meaning for screen readers."""
    picture = _code(text).svg_inline(border=4, svgclass="qr", lineclass=None, omitsize=True)
    return picture.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def qr_terminal(text: str) -> str:
    """The code as lines of block characters; a terminal's own margin is part of its quiet zone."""
    out = io.StringIO()
    _code(text).terminal(out, compact=True, border=2)
    return out.getvalue().rstrip("\n")


def _code(text: str) -> segno.QRCode:
    return segno.make(text, micro=False, error="m")
