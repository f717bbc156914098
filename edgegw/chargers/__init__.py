"""The OCPP edge: chargers connect to us, speak 1.6, 2.0.1 or 2.1, and become core events.

In the order of a message's way: `listener` (sockets, who may in), `connection` (one charger's socket), `rpc` (which
CALL an answer belongs to), `schemas` (is it as the standard says), `masking` (no card's number is kept), `ocpp16` and
`ocpp2` (payload to event, effect to payload; with `shared`, `extract`, `timestamps`, `profiles`, `wire`), `commands`
(what is sent first), `port` (what the gateway sees). Nothing here decides about energy, money or who may charge.
"""
