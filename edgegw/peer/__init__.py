"""The embedded peer: a development network of three organisations in one process with one SQLite file.

A call goes: `server` (gRPC) -> `endorse` (check, simulate, sign) -> back to the client, which signs ->
`server` -> `chain` (order, cut) -> `validate` -> `store` (one commit a block) -> `world` -> events.
Beside it: `membership` (certificates), `audit` (recompute everything, export), `faults` (test switches).
"""
