"""The Modbus edge: from a meter's registers to exact readings.

`profile` (a register map as data) -> `decode` (words to mWh, pure) -> `schedule` (when to read, pure) -> `line` (one
connection, every answer verified) -> `bus` (the one task that owns it) -> `port` (all buses of a station). `reading` is
what leaves this room. `adopt` is the control command after a planned swap.
"""
