"""The operator's pages, on a port and with a password of their own; a driver's login is not valid here.

The map: `operator_port` port of the running station and its values · `login` password and logins · `area` all routes ·
`operator_context` what every page shares · `overview` alarms and figures · `chargers` lists, rejection, addresses ·
`charger_approval` the approval form · `activity` meters, sessions, outbox, prices · `notices` notices to drivers ·
`translations` the daemon's sentences in the reader's language · `daemon_messages` these sentences, for the catalogues.
Decides what an operator sees; never what energy costs or who may charge.
"""
