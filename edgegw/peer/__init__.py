"""The contract's two hosts: the embedded peer here, and `chaincode`, a service for Hyperledger Fabric's own peers.

The embedded peer is a development network of three organisations in one process with one SQLite file.

A call goes: `server` (gRPC) -> `endorse` (check, simulate, sign) -> back to the client, which signs ->
`server` -> `chain` (order, cut) -> `validate` -> `store` (one commit a block) -> `world` -> events.
Beside it: `membership` (certificates), `audit` (recompute everything, export), `faults` (test switches).
Both hosts share `call` (what the contract sees of an identity and its arguments) and `listening` (where a server may).
"""
