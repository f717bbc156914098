"""The consortium's other roles, each a small client of the ledger.

The map: `port` what they need of it (`patience` waits out what passes) · `schedule` when they act · `profiles` sun and load ·
`tariff` the dated file · `oracle` `producer` `industry` `desk` `representative` the roles (`seat`: a place at the market,
`accounts`: what every member's representative does) · `exchange` tokens for won and back (`exchange_book` its memory, `bank`
what it asks of one) · `offers` a member's own, by hand · `members` the representative's store (`persons`, `vault`, `logins`) · `office` what
stations and pages ask of it, here (`member_accounts`: balance, history, exchange, offers); `office_server`, `office_words`, `remote_office`, `remote_station` the same over a network;
`office_settings` its file · `settings` `consortium`
`runner` all of them in one process.
"""
