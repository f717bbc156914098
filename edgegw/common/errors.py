"""The exceptions of edgegw; each class says how the program reacts. A refusal (of a card, of a trade) is a value, not an exception.

EdgegwError
  ConfigError        the configuration is invalid: exit 78 with every fault as file:line: key: message
  JournalError       the journal cannot be read or written: stop
  DeviceError        a charger or meter is unreachable or violates its protocol: count it and retry
  LedgerError        the ledger cannot be used; subclasses in `ledger`: refused, mismatch, unavailable, clock, identity
  AddressTakenError  a server cannot bind its address: report the configuration key
"""

import os


class EdgegwError(Exception):
    """Base class of all exceptions; `hint` is an instruction for the operator."""

    hint: str = ""


class ConfigError(EdgegwError):
    """The configuration is invalid; `faults` lists every fault."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class JournalError(EdgegwError):
    """The journal, or another database, cannot be read or written: nothing may be answered or sold."""


class DeviceError(EdgegwError):
    """A device is unreachable or violates its protocol."""


class LedgerError(EdgegwError):
    """The ledger cannot be reached, or does not accept a request."""


class AddressTakenError(EdgegwError):
    """A server cannot bind its address: `keys` names the configuration keys, `place` the address."""

    def __init__(self, keys: str, place: str, error: OSError) -> None:
        number = error.errno or 0  # getaddrinfo's numbers are negative; its strerror is a text already
        super().__init__(f"{keys}: {place}: {os.strerror(number) if number > 0 else error.strerror or error}")
        self.hint = (
            f"find the program that uses it (ss -ltnp), or change {keys} to an address of this machine"
        )


def leaves(fault: BaseException) -> list[BaseException]:
    """Return the exceptions inside a group, at any depth; for an exception that is no group, a list of itself."""
    if isinstance(fault, BaseExceptionGroup):
        return [leaf for inner in fault.exceptions for leaf in leaves(inner)]
    return [fault]
