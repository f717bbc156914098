"""The organisation's representative: members, logins, cards, personal data and currency exchange; as library, server and client.

Requests: `service` and `member_accounts` (in this process) · `server`, `client` and `json_codec` (over HTTPS) ·
`station_client` (card links and load reports of a station) · `settings` (the file of a representative process).
Store: `members` · `logins` · `person_fields` (normal forms and limits) · `encryption`.
Ledger: `ledger_port` · `ledger_accounts` · `ledger_role` (loads, stations, gateways) · `posting_schedule` · `standing_offers`.
Exchange: `currency_exchange` · `exchange_store` · `token_issuance` (Mint, Burn) · `payment_provider`.
"""
