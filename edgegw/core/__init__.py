"""The station's rules, pure: an event comes in, a new state and a list of effects go out.

In the order of the flow: `events` (what happened) -> `placing` (a driver's order: `orders`, their rows in `order_book`),
`authorizing` (a card) -> `session` (`starting`, `ending`; `sale` within it; `internal_events` move both on) -> `readings`
and `metering` (measure; `trouble` is what keeps a meter from being used) -> `aims` (what an order wants), `outlook` (prices
ahead), `planning` and `sale_plan` -> `control` (setpoint) -> `market` (prices, slices; `schedule` says when) -> `trade`
(lines) -> `outbox` (what waits for the ledger) and `settlement` (the life of one submission; `submission_rows` stores it)
-> `effects` (what to do). `station` is the door, `state` the frozen rows, `turn` one step in the making, on the
copy-on-write `table`s. To be looked at, without a step: `quote` (what an order would cost) and `live` (what an EVSE does).
No clock, socket, disk, logger, float or random number here.
"""
