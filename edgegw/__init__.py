"""edgegw: the station-side gateway of a consortium that trades vehicle energy in tokens.

The flow, in order: a charger speaks (`chargers`), a meter counts (`meters`), the core decides (`core`: session,
metering, control, market, trade, settlement), the journal remembers (`store`), the ledger's client endorses, submits
and asks for the commit (`ledger`, over `fabric`), the contract (`contract`) rules, hosted by a peer (`peer`).
`gateway` is the one loop between core and adapters; `app` wires everything from `config`; `cli` starts it.
"""

__version__ = "0.1.0"
