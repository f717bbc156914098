"""The operator's own pages, on a port of their own and with a password of their own; no driver's login counts here.

The map: `desk` what the pages ask and may do (port and values) · `login` the one password and who is in · `area` all routes ·
`overview`, `chargers`, `approving`, `running` (meters, sessions, outbox, prices, refusals), `notices` the pages · `wording` what
the daemon says of itself, in the reader's language. Decides what an operator sees; never what energy costs or who may charge.
"""
