"""What a running station is besides its adapters and its core: built by `app`, told by signals and the control socket.

The map: `wiring` what each room is told of the configuration · `running` all parts together: what they tell, reload, drain ·
`reload` which changes hold at once (pure) · `status` the present as JSON · `certificates` when they end · `charger_commands`
what the control socket answers about chargers · `operator_desk` the daemon as the operator's pages see it · `pages` both
servers · `estimates` what prices are expected · `representation` where the drivers' representative is, `counter` its exchange · `served` page
servers of any process · `office_process` a representative as a process of its own, `office_pages` its pages · `hosted` processes that are the daemon's children. Nothing here decides
about energy, money or who may charge.
"""
