"""The Protocols between packages, with their values.

`gateway` what the gateway needs of its adapters · `representative` what stations and pages request of the representative
and the ledger · `receipts` a member's sessions in the station's journal · `station_health` the condition of the station.
"""
