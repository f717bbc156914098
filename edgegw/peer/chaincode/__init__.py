"""The contract as an external chaincode service of Fabric peers (CCaaS): the peer connects, the contract answers.

A call goes: `server` (gRPC, TLS) -> `session` (one stream; its calls in worker threads) -> `protocol` (what each
message means and when it may be sent, pure) -> the contract over `stub`, whose reads and writes are requests to the
peer -> back. Beside it: `package` (the file that tells a peer where this service is).
"""
