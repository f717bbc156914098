"""`edgegw demo`: a station day over real sockets, then its settlement.

`plan` (sessions become EVSEs, cars and refusals; pure) -> `documents` (what each process is told; pure) -> `processes`
(children that never outlive us) -> `opening` (the consortium before the day) -> `stage` (the order of it all) -> `view`
(while it runs) -> `books` (what the station remembers) -> `closing` (what the ledger and the auditor say) -> `functions`
(which of the contract's seven had to be used) -> `report` (do meters, ledger and witness agree?). Beside the day: `open_house` (another plan, for visitors by page) -> `hosting` (it is served).
"""
