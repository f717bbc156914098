"""Every fault edgegw raises, by what to do next. An answer (a refused card, a contract's refusal) is never here.

EdgegwError
  ConfigError        exit 78: every fault of the file, each as file:line: key: message
  JournalError       we cannot remember: stop
  DeviceError        a charger or meter is out of reach or breaks its protocol: count it, try again
  LedgerError        see ledger: refused, mismatch, unavailable, clock, identity
  AddressTakenError  a port or address of ours: free it, or change the key that names it
"""

import os


class EdgegwError(Exception):
    """Root of all faults; `hint` says what the operator can do."""

    hint: str = ""


class ConfigError(EdgegwError):
    """The configuration cannot be used; `faults` lists all of them."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class JournalError(EdgegwError):
    """The journal cannot be written: nothing may be answered or sold."""


class DeviceError(EdgegwError):
    """A device is out of reach or broke its protocol."""


class LedgerError(EdgegwError):
    """The ledger could not be asked or did not take what was sent."""


class AddressTakenError(EdgegwError):
    """A server cannot listen where the configuration says."""

    def __init__(self, keys: str, place: str, error: OSError) -> None:
        number = error.errno or 0  # a resolver's numbers are negative, and in words already
        super().__init__(f"{keys}: {place}: {os.strerror(number) if number > 0 else error.strerror or error}")
        self.hint = (
            f"find the program that uses it (ss -ltnp), or change {keys} to an address of this machine"
        )


def leaves(fault: BaseException) -> list[BaseException]:
    """The faults inside a group, however deep; any other fault is its own only leaf."""
    if isinstance(fault, BaseExceptionGroup):
        return [leaf for inner in fault.exceptions for leaf in leaves(inner)]
    return [fault]
