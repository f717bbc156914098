"""OCPP server: accepts chargers that speak 1.6, 2.0.1 or 2.1 and translates their messages to core events.

- Admission: `listener` (WebSocket servers and handshakes), `tls` (certificates and cipher suites), `socket_limits`,
  `admission` (path, network, security profile), `basic_authentication` (passwords), `rejection_log`, `pending_chargers` and
  `pending_dialogue` (chargers that are not configured).
- A message in: `connection` (one charger's socket), `dialogue` (the answer to each CALL), `rpc` (framing and correlation),
  `strict_json`, `schemas` (the standard's JSON schemas), `masking` (idTokens become hashes), `duplicates` (repeated billing
  messages), `ocpp16` and `ocpp2` (payload to event) with `common_messages`, `meter_values`, `timestamps`, `json_values` and
  `violations`.
- A command out: `charger_port` (what the gateway sees), `command_queue` (priorities), `ocpp16` and `ocpp2_commands` (effect
  to payload), `charging_profiles`, `send_queue`.
- Shared: `versions` (one table row per version), `call_types`, `settings`.

Nothing here decides about energy, money or who may charge.
"""
