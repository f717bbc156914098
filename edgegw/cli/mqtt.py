"""`edgegw mqtt`: test the MQTT broker, and print the station's messages."""

import asyncio
import json
from typing import TYPE_CHECKING

import click

from edgegw.cli.console import EdgegwGroup, Ended, Exit, config_option, json_option, show
from edgegw.common.stop_signals import run_until_stopped
from edgegw.config.schema import Config

if TYPE_CHECKING:
    from edgegw.telemetry.settings import PublisherSettings

_EXITS = {
    "EGW-6002": Exit.UNAVAILABLE,
    "EGW-6003": Exit.NOT_ALLOWED,
    "EGW-6004": Exit.CONFIGURATION,
}
_SHOWN_MAX = 4_000
_TOPIC_MAX = 200


@click.group(cls=EdgegwGroup)
def mqtt() -> None:
    """Test the MQTT broker of [mqtt]."""


@mqtt.command()
@config_option
@json_option
def test(config: Config, *, as_json: bool) -> None:
    """Publish a probe and show the broker's answer."""
    from edgegw.telemetry.probe import BrokerError, probe

    settings = _settings(config)
    try:
        heard = asyncio.run(probe(settings))
    except BrokerError as fault:
        raise _ended(fault) from fault
    broker = settings.broker
    show(
        {
            "broker": f"{broker.host}:{broker.port}",
            "tls": broker.tls is not None,
            "topic": f"{settings.root}/probe",
            "taken": True,
            "listeners": heard,
        },
        as_json=as_json,
    )
    if not heard:
        click.echo(
            f"no client subscribes to {settings.root}/probe; Home Assistant does not need to", err=True
        )


@mqtt.command()
@config_option
@json_option
def watch(config: Config, *, as_json: bool) -> None:
    """Print the messages of the station until Ctrl-C."""
    from edgegw.telemetry.probe import BrokerError

    try:
        asyncio.run(run_until_stopped(_print_all(_settings(config), as_json=as_json)))
    except BrokerError as fault:
        raise _ended(fault) from fault


async def _print_all(settings: "PublisherSettings", *, as_json: bool) -> None:
    from edgegw.common.sanitize import harmless
    from edgegw.telemetry.link import Arrived
    from edgegw.telemetry.probe import listen

    async for happening in listen(settings):
        if not isinstance(happening, Arrived):
            click.echo(f"listening to {settings.root}/# until Ctrl-C", err=True)
            continue
        payload = harmless(happening.payload.decode("utf-8", "replace"), length_max=_SHOWN_MAX)
        topic = harmless(happening.topic, length_max=_TOPIC_MAX)
        line = json.dumps({"topic": topic, "payload": payload}) if as_json else f"{topic} {payload}"
        click.echo(line)


def _settings(config: Config) -> "PublisherSettings":
    from edgegw.telemetry.settings import publisher_settings

    if config.mqtt is None:
        raise Ended("the configuration has no [mqtt]; configs/edgegw.toml shows one", Exit.CONFIGURATION)
    return publisher_settings(config, config.mqtt)


def _ended(fault: Exception) -> Ended:
    code = getattr(fault, "code", "")
    hint = getattr(fault, "hint", "")
    return Ended(f"{fault}\n{hint}".strip(), _EXITS[code])
