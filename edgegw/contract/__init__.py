"""The token contract: pure, deterministic, hosted unchanged by the embedded peer and by a Fabric chaincode service.

The map: `functions` is the way in (dispatch, roles); `stub` what a host provides; `world` the view of one call;
`shapes` arguments and records to canonical JSON; `records` and `keys` the world state; `codes` the closed lists.
Rules: `configuration` `members` `accounts` `positions` (held) `audit` · `tariffs` `periods` `prices` (formulas)
`pricing` · `registry` `metering` `energy` · `offers` `slices` `holds` ·
`trades` `transfers` (both on `deals` and `settlement`). Interface: docs/contract.md.
"""

from edgegw.contract.codes import Code
from edgegw.contract.functions import FUNCTIONS, invoke
from edgegw.contract.stub import Creator, Response, Stub

__all__ = ["FUNCTIONS", "Code", "Creator", "Response", "Stub", "invoke"]
