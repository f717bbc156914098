"""The configuration: its schema, its files, and its faults with file, line and key."""
