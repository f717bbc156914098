"""Publish a station over MQTT until the process is killed: `python -m tests.support.mqtt_station PORT`."""

import asyncio
import sys

from edgegw.telemetry.publisher import Publisher
from edgegw.telemetry.settings import BrokerSettings, PublisherSettings
from tests.support.core_bench import Bench
from tests.support.gateway_fakes import FakeClock


async def main(port: int) -> None:
    """Publish the station of `core_bench`."""
    settings = PublisherSettings(broker=BrokerSettings(host="127.0.0.1", port=port), station_id="ST")
    station = Bench().station
    await Publisher(settings, clock=FakeClock(), log=lambda *_: None).run(lambda: station)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
