"""The auditor: recomputes a ledger's raw blocks and holds them against the sealed books.

Decides whether a run is verified: only where nothing at all differs. Shares no code with the gateway, the peer or the
contract; it knows their formats from the documents (Fabric's wire format, docs/contract.md).

In the order of the flow: protobuf, blocks, identity (what the bytes say and who signed), verdict, state, replay (which
transactions hold), rights, prices, trades, ownership (whether what they wrote is right), totals, facts, books,
resets, standby, boundaries (whether it is what really flowed), report.
"""
