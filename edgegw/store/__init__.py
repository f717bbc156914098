"""What the station remembers in SQLite.

The map: `journal` writes, `chain` proves, `reader` reads beside it, `migrations` is the schema, `copies` backs it up and puts it
back; `charger_profiles` is a small file of its own beside it.
"""
