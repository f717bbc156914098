"""Modules that every package may use; none of them knows the station, the ledger or the market.

Values and formats: `units` · `canonical_json` · `member_terms` · `trade_terms` · `validation_codes` · `pseudonyms` · `sanitize` · `qr`.
Faults: `errors` (exceptions) · `error_codes` (codes with remedies).
Time and limits: `clock` · `throttle` · `rate_limited_log` · `connections` (bounds of an HTTP server).
Files and processes: `sqlite` · `private_files` · `passwords` · `bundled_files` · `standard_streams` · `stop_signals`.
"""
