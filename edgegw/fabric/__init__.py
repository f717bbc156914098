"""The ledger's protocol as pure functions: messages in, messages out, no socket, file, clock or chance.

`identity` (who signs, and whether a signature holds), `policy` (who must have signed), `rwset` (what a
transaction read and wrote), `transaction` (proposal, endorsement, envelope), `block` (hash chain).
Source: the Hyperledger Fabric wire format.
"""
