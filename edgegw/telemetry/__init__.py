"""MQTT edge: what goes on is told to a broker, and a grid price may come back. Nothing here moves energy or money.

The flow: the station's state becomes messages (`topics`, `discovery`, both pure), the `publisher` decides which of them
waits, goes out or is dropped, and `link` is the connection, the only file that knows paho. A `price` that comes in is
judged and kept for people to look at. `probe` serves `edgegw mqtt`. See docs/mqtt.md.
"""
