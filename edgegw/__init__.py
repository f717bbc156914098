"""edgegw: the station-side gateway of a consortium that trades vehicle energy in tokens.

The flow, in order. A charger speaks (`chargers`), a meter counts (`meters`), what they say waits (`inbox`) for the one
loop (`gateway`); there the core decides (`core`: session, metering, control, market, trade, settlement), the journal
remembers (`store`, whose rows `rows` words), and only then effects go out through `ports`. The ledger's client endorses,
submits and asks for the commit (`ledger`, over the protocol in `fabric`); the contract (`contract`) rules, hosted by a
peer (`peer`); the consortium's other roles (`participants`) are clients of the same ledger. What goes on is told to an
MQTT broker (`telemetry`), and shown to drivers and operators on pages (`web`).

Around the flow: `cli` starts what is asked for, `commissioning` makes what a station needs before its first day
(configuration, keys, certificates, a sandbox, a charger's part), `app` builds the `daemon` (what runs, reloads, tells of
itself, and hosts processes as its children) from `config` (whose files `config_parts` joins and whose faults
`config_faults` words), `demo` plays a whole station day, `devnet` is
a Hyperledger Fabric network on this machine. `clock` is real or accelerated time, `database` how SQLite files
are kept, `ops` what an operator sees (logs, metrics, health, watchdog), `condition` judges the station's parts;
`diagnosis` tries what can be tried, `bundle` packs it for whoever helps.
What everybody may use: `common` (throttles, password hashes, QR codes), `units` (integer quantities), `canonical` (one text for one value), `pseudonyms` (people as
strings that say nothing), `office` (what a station asks of the
representative and of the ledger for a driver), `receipts` (what its own journal tells a driver), `csv_text` (both for a
spreadsheet), `errors` (every fault, by what to do next), `remedies` (every refusal a user meets, by its
code), `harmless` (text from outside, as it may be shown), `seldom` (how often
the same is told), `common` (leaves of all rooms), `places` (where the files that edgegw brings along stand).
"""

import os

# gRPC's own work at a fork kills the child before its exec when a channel is busy (grpc/grpc issue 43055). Nothing here
# forks without exec, so it is off; set before anything can import grpc, and whoever needs it may set it otherwise.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

__version__ = "0.1.0"
