"""edgegw: the station-side gateway of a consortium that trades vehicle energy in tokens. DESIGN.md holds the map.

A charger speaks OCPP (`chargers`), a meter answers Modbus (`meters`); the loop (`gateway`) steps the pure rules (`core`),
commits to the journal (`store`) and performs effects through `ports`. `ledger` submits trades over the Fabric Gateway
protocol (`fabric`) to a `peer` that hosts the token `contract`; the other roles are `participants`, the organisation's
members are with its `representative`. `telemetry` publishes to MQTT, `web` serves pages, `ops` shows health and metrics.
`cli` starts what is asked for: `commissioning` before the first day, `app` builds the `daemon` from `config`,
`diagnostics` when something is wrong, `demo` a whole day, `devnet` a Fabric network. Leaves for every room: `common`.
"""

import os

# gRPC's own work at a fork kills the child before its exec when a channel is busy (grpc/grpc issue 43055). Nothing here
# forks without exec, so it is off; set before anything can import grpc, and whoever needs it may set it otherwise.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

__version__ = "0.1.0"
