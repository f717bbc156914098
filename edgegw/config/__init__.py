"""Reads and checks the configuration: `schema` (keys, defaults, limits) · `files` (joining `conf.d`) · `faults` (file:line)."""
