"""The contract as an external chaincode service (CCaaS), to which Fabric peers connect.

A call passes `server` (gRPC, TLS) -> `session` (one stream, its calls in worker threads) -> `protocol` (the shim
protocol's state machine, pure) -> the contract with `stub`, which turns reads and writes into requests to the peer.
`package` builds the chaincode package, which gives a peer the service's address.
"""
