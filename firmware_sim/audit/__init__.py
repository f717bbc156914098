"""Audit a run: recompute a ledger's raw blocks and compare them with the sealed books.

A run is verified only if nothing differs. The auditor shares no code with the gateway, the peer or the contract; it
implements their formats from the documents (Fabric's wire format, docs/contract.md).

The modules, in the order of the flow:

- `protobuf`, `blocks`, `identity`: decode blocks and transactions, and verify signatures;
- `verdict`, `state`, `replay`: validate the transactions and replay the valid ones;
- `rights`, `prices`, `trades`, `ownership`, `totals`: check what they wrote;
- `facts`, `books`, `resets`, `standby`, `boundaries`: compare with the station's facts and the sealed books;
- `finding`, `report`: collect the differences, and return the verdict.
"""
