"""Opens standard input, output and error on the null device where the parent process closed them.

Otherwise the next socket or file gets descriptor 0, 1 or 2: libuv refuses to close such a descriptor, and a child process
inherits it.
"""

import os
import sys


def open_standard_streams() -> None:
    """Open every closed standard stream; standard input then reads as empty, so that a prompt ends its command."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, open until the end
