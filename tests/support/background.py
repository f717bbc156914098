"""Start commands as a shell without job control starts background jobs: with SIGINT ignored and standard input closed."""


def in_background(*command: str) -> tuple[str, ...]:
    """Return a command line that executes `command` in the same process, with SIGINT ignored and no standard input."""
    return ("sh", "-c", "trap '' INT; exec \"$@\" <&-", "sh", *command)
