"""Draws QR codes of URLs for pages and terminals. The caller always shows the URL as text beside the code.

Source: ISO/IEC 18004 (quiet zone of four modules in print; error correction level M).
"""

import io

import segno


def qr_svg(text: str) -> str:
    """Return the code as inline SVG of class `qr`, without size and style attributes, hidden from screen readers."""
    picture = _code(text).svg_inline(border=4, svgclass="qr", lineclass=None, omitsize=True)
    return picture.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def qr_terminal(text: str) -> str:
    """Return the code as lines of block characters; two modules of quiet zone, the terminal's margin adds the rest."""
    out = io.StringIO()
    _code(text).terminal(out, compact=True, border=2)
    return out.getvalue().rstrip("\n")


def _code(text: str) -> segno.QRCode:
    return segno.make(text, micro=False, error="m")
