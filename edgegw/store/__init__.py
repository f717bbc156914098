"""The station's storage in SQLite.

`journal` writes facts and state rows, `hash_chain` verifies them, `journal_reader` and `receipts` read beside the
running gateway, `migrations` holds the schema, `backups` copies and restores the journal. `security_profiles` is a
separate small database.
"""
