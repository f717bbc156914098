"""What a station needs before its first day, and what lets a charger in: made once, by commands, never by the daemon.

The map: `install` all of `edgegw init` · `site` the configuration as tables · `toml` tables as commented text · `files`
secrets, modes and owners · `authority` the station's own certificates · `addresses` how chargers reach this machine ·
`market` the other organisations' settings, and a sandbox's members · `approval` a charger's part of the configuration.
"""
