"""The other roles of the consortium, each a client of the ledger.

`oracle` posts tariff and floors · `producer` and `industry` trade (`market_client`: loads and offers) · `consortium` builds
these roles, the exchange desk and the representatives · `runner` runs them in one process · `settings` its file ·
`tariff_file` and `load_profiles` the published data · `retrying_ledger` repeats calls during temporary faults.
"""
