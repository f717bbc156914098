"""Publish the station's state over MQTT and receive a grid price for display. Nothing here moves energy or money.

`topics` and `discovery` turn state into messages (both pure); `publisher` queues, sends or drops them; `link` is the
connection and the only module that imports paho; `price` validates a received grid price; `settings` reads `[mqtt]`;
`probe` serves `edgegw mqtt`. Source: docs/mqtt.md.
"""
