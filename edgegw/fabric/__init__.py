"""The Hyperledger Fabric wire format as pure functions, without socket, file, clock or randomness.

`identity` holds certificates and signatures, `trust` the organisations' roots, `policy` signature policies, `rwset`
read-write sets, `transaction` proposals, endorsements and envelopes, `block` blocks and their hash chain, `wire` the
protobuf encoding, `proto` the generated messages.
"""
