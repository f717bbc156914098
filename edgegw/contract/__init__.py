"""The token contract: pure and deterministic, run unchanged by the embedded peer and by a Fabric chaincode service.

`functions` is the entry point (dispatch table, roles); `stub` is what a host provides; `call_state` holds the state of
one call; `codec` converts arguments and records to canonical JSON and back; `records` and `keys` define the world
state; `codes` lists the refusal codes, reasons, roles and organisations.
Rules: `configuration`; `members` `accounts` `positions` `audit`; `tariffs` `periods` `intervals` `price_formula`
`price_records`; `registry` `metering` `energy`; `offers` `slices` `holds`; `trades` and `transfers`, both built on
`trade_checks` and `settlement`.
Source: docs/contract.md.
"""

from edgegw.contract.codes import Code
from edgegw.contract.functions import FUNCTIONS, invoke
from edgegw.contract.stub import Creator, Response, Stub

__all__ = ["FUNCTIONS", "Code", "Creator", "Response", "Stub", "invoke"]
