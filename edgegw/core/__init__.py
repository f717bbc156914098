"""The station's rules as pure functions: an event comes in, a new state and a list of effects go out.

- In and out: `station` (`step`, the entry point), `events`, `internal_events`, `effects`, `correlation` (keys of calls, timers
  and queries).
- State: `state` (frozen rows), `table` (copy-on-write), `step_context` (one step's working view), `restore_reconcile`.
- Orders: `orders`, `order_intake` (accept or refuse), `driver_orders` (their rows), `order_control` (what an order wants now).
- Sessions: `authorization`, `session` (transition table), `session_start`, `session_end`, `session_summary`, `answer_cache`
  (answers to repeats), `evidence` (what chargers report beside the bill), `sale` (how a car comes to sell).
- Metering: `readings`, `metering` (registers to segments), `meter_condition` (faults).
- Power: `forecast` (prices ahead), `planning` and `sale_plan` (plans), `control` (setpoints).
- Market and ledger: `schedule` (timetable of an interval), `market` (prices, slices), `line_allocation` (segments to trade
  lines), `trade_lines`, `ledger_replies`, `submission` (states of one submission), `submission_rows` (its stored form).
- Views, without a step: `quote` (what an order would cost), `evse_status` (what an EVSE does).

No clock, socket, disk, logger, float or random number is used here.
"""
