"""Commands as a shell without job control starts its background jobs: SIGINT ignored, and here standard input closed too."""


def in_background(*command: str) -> tuple[str, ...]:
    """The same command, in the same process id, with SIGINT ignored and no standard input."""
    return ("sh", "-c", "trap '' INT; exec \"$@\" <&-", "sh", *command)
