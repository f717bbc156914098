"""A simulated charging station that anybody's gateway can be aimed at, and an independent witness of what flowed.

It imports nothing of the system under test. In the order of the flow:
`scenario` and `sessions` read who comes (`plans`); `world` holds clock and chance; `ev` and `plant` are the physics;
`profiles` and `charger` decide what the charger does, `visit` holds what a car's visit came to; `ocpp_client` carries it, as
`ocpp16_client` and `ocpp2_client` word it; `meter` and `modbus_server` show the registers; `faults` disturb; `post` and
`station` put all together; `sealed_books` keep the truth. `places` knows the register maps that may be named.
"""

__version__ = "0.1.0"
