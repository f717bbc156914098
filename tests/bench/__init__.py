"""Measure what a gateway costs, beside what it is compared with (docs/benchmarks.md).

- `__main__`: the command line; each `bench_*` module measures one subject;
- `figures`, `rounds`: the format of a figure, and how sides are compared;
- `processes`, `daemon`, `ledger_world`: child processes, a real daemon and a peer with its ledger;
- `ocpp_servers`, `ocpp_load`, `ocpp_messages`: OCPP servers, and the chargers that load them;
- `modbus_meters`, `web_phones`: meters to read, and phones that watch pages.
"""
