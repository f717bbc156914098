"""Creates what a station needs before it runs: configuration, secrets, certificates, identities, approved chargers.

`install` everything that `edgegw init` creates · `site` the configuration as tables · `toml` tables as commented text ·
`files` secrets, modes and owners · `authority` the station's certificate authority · `enrolment` a ledger identity ·
`addresses` URLs and ports of this machine · `approval` a charger's part of the configuration · `market` settings of the
other organisations, and a sandbox's members · `representatives` representative processes for trials.
"""
