"""Standard input, output and error that the parent process closed are opened on the null device.

Otherwise the next socket or file takes the number of one of them: libuv refuses to close such a descriptor, and a child
process would inherit it.
"""

import os
import sys


def open_standard_streams() -> None:
    """Open what is closed; such an input reads as empty, so that a question ends its command."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, open until the end
