"""The station's journal in SQLite: `journal` writes, `chain` proves, `reader` reads beside it, `migrations` is the schema."""
