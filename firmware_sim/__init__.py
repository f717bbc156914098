"""Simulate a charging station (chargers, meters, cars) for any gateway, and record independently what flowed.

It imports nothing of the system under test. The modules, in the order of the flow:

- `scenario`, `sessions`, `plans`: read a scenario file or recorded sessions into plans of EVSEs, visits and faults;
- `world`: the simulated clock and the seeded random streams;
- `ev`, `plant`: the physics of the car's battery and of the EVSE;
- `profiles`, `charger`, `visit`: charging profiles, the charger's state machine, a visit and its transaction;
- `ocpp_client`, `ocpp16_client`, `ocpp2_client`, `ocpp2_calls`, `point`: the OCPP connection and each version's messages;
- `meter`, `modbus_server`: the meter's registers and the Modbus TCP server that answers with them;
- `faults`: faults that the scenario schedules;
- `evse_rig`, `station`: the parts of one EVSE, and the station that runs all of them;
- `sealed_books`: the true energy of the run, sealed with a hash;
- `audit`: recomputes a ledger's blocks and compares them with the sealed books;
- `places`: finds the register maps that a command may name; `__main__`: the command line.
"""

__version__ = "0.1.0"
