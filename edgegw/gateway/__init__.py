"""Connects core and adapters: `loop` (step, journal, perform), `inbox` (waiting events), `row_codec` (rows as JSON)."""
