"""edgegw: the station-side gateway of a consortium that trades vehicle energy in tokens.

A charger speaks (`chargers`), a meter counts (`meters`); what they say waits (`inbox`) for the one loop (`gateway`). There
the core decides (`core`), the journal stores (`store`), and only then effects leave through `ports`: answers and setpoints to
chargers, transactions to the ledger (`ledger`, over `fabric`), whose contract (`contract`) a peer hosts (`peer`). The
consortium's other roles (`participants`) are clients of the same ledger. Brokers and people watch (`telemetry`, `web`). `app`
puts the parts together for the `daemon`; `cli` is what people start. The map of all rooms: DESIGN.md, Rooms.
"""

import os

# gRPC's own work at a fork kills the child before its exec when a channel is busy (grpc/grpc issue 43055). Nothing here
# forks without exec, so it is off; set before anything can import grpc, and whoever needs it may set it otherwise.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

__version__ = "0.1.0"
