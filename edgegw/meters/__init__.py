"""Read energy meters over Modbus and turn their registers into exact readings.

`profile` loads register maps; `decode` converts words to mWh (pure); `poll_schedule` decides when to read (pure);
`modbus_connection` verifies every response; `bus` is the task that owns a connection; `meter_port` runs all buses of a
station; `reading` defines the results; `adopt` is the control command after a planned replacement.
For commissioning: `register_dump` reads all registers once, `diagnose` checks wiring and profile, `scan` finds meters;
`meter_status` summarises a meter's state.
"""
