"""The OCPP edge: chargers connect to us, speak 1.6, 2.0.1 or 2.1, and become core events.

Who comes in: `listener` (sockets and handshakes; `tls` below them), `door` (path, network, profile; `security` knows the
passwords), `refusals` (why not, told seldom enough), `strangers` and `waiting` (who is not configured).
In the order of a message's way: `connection` (one charger's socket), `dialogue` (which CALL is answered how), `rpc`
(which CALL an answer belongs to; `strict_json` reads), `schemas` (is it as the standard says), `masking` (no card's number
is kept), `repeats` (the same message with other content), `ocpp16` and `ocpp2` (payload to event, effect to payload; with
`shared`, `extract`, `flaws`, `timestamps`, `profiles`, `wire`), `commands` (what is sent first), `port` (what the gateway
sees). Nothing here decides about energy, money or who may charge.
"""
