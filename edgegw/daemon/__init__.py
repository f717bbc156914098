"""Runs the station: `app` builds it, signals and the control socket control it.

`running` the daemon: health, commands, reload, drain · `wiring` settings of each package from the configuration · `reload`
which changes apply without a restart (pure) · `status` the state as JSON · `certificates` when they expire ·
`charger_commands` the control socket's commands about chargers · `operator_service` the daemon as the operator's pages see
it · `pages` the drivers' and the operator's page servers · `page_servers` page servers of any process · `price_estimates`
expected prices · `representative_link` how the station reaches its representative · `currency_exchange_factory` the exchange of a
representative in this process · `representative_process` a representative as a process of its own · `representative_pages`
its pages · `child_processes` the processes that the daemon hosts. Nothing here decides about energy, money or who may charge.
"""
