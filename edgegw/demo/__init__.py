"""Run `edgegw demo`: a station day over real sockets, then its settlement.

The modules, in the order of the flow:

- `run`: one run from an empty folder to its settlement;
- `plan`: maps recorded sessions to EVSEs, cars and refusals (pure);
- `documents`: the scenario, configuration and settings of each process (pure);
- `processes`: child processes that end with their parent;
- `consortium_setup`: members, cards and the channel's constants before the day;
- `orchestrator`: starts, watches and ends the parts in order;
- `live_view`: the live table and the printed settlement;
- `books`: sums and facts from the station's journal;
- `closing`: totals and raw blocks from the ledger, and the auditor's verdict;
- `functions`: which of the contract's functions a run must use;
- `report`: compares meters, ledger and witness.

`interactive` plans a station for visitors who use its pages, and `hosting` serves it.
"""
