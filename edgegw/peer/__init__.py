"""The contract's two hosts: the embedded peer, and `chaincode`, a chaincode service for Hyperledger Fabric peers.

The embedded peer is a development network of three organisations in one process with one SQLite file.

A call passes `server` (gRPC) -> `gateway` -> `endorse` (check, simulate, sign) and returns to the client, which signs;
then `server` -> `gateway` -> `chain` (order, cut blocks) -> `validate` -> `store` (one commit per block) ->
`world_state`, and events to the clients.
`membership` issues certificates, `audit` recomputes and exports blocks, `status_errors` words refusals as Fabric does,
`faults` injects faults for tests.
Both hosts share `invocation` (the contract's view of identity and arguments) and `listen_address`.
"""
