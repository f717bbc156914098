"""The station's rules, pure: an event comes in, a new state and a list of effects go out.

In the order of the flow: `events` (what happened) -> `session` (plug in) -> `metering` (measure) -> `control`
(setpoint) -> `market` (prices, slices) -> `trade` (lines) -> `settlement` (the life of a submission) -> `effects`
(what to do). `station` holds the state and dispatches. No clock, socket, disk, logger, float or random number here.
"""
