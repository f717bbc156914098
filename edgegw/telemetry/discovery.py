"""Build Home Assistant's MQTT discovery message: one retained message for the whole station.

Decides entities and their ids: two energy counters per EVSE, both total_increasing; no prices, because they are in
tokens. Source: Home Assistant, MQTT discovery (device discovery), sensor and binary_sensor device classes.
"""

import json
import re
from typing import Final

from edgegw import __version__
from edgegw.core.state import Station
from edgegw.telemetry.topics import Message, evse_topic

HOME_ASSISTANT_BIRTH: Final = b"online"


def birth_topic(discovery_prefix: str) -> str:
    """Return the topic on which Home Assistant publishes `online` at its start, to receive all messages again."""
    return f"{discovery_prefix.strip('/')}/status"


def discovery_message(station: Station, root: str, discovery_prefix: str) -> Message:
    """Return the station as one device with the entities of all its EVSEs."""
    station_id = station.settings.station_id
    body = {
        "dev": {
            "ids": [f"edgegw_{object_part(station_id)}"],
            "name": station_id,
            "mf": "edgegw",
            "mdl": "V2G gateway",
            "sw": __version__,
        },
        "o": {"name": "edgegw", "sw": __version__},
        "cmps": {
            f"{part}__{what}": {"unique_id": f"edgegw_{part}__{what}", **entity}
            for evse_id in sorted(station.evses)
            for part in (f"{object_part(station_id)}__{object_part(evse_id)}",)
            for what, entity in _entities(evse_id, root).items()
        },
        "availability_topic": f"{root}/availability",
        "qos": 1,
    }
    return Message(
        topic=f"{discovery_prefix.strip('/')}/device/edgegw_{object_part(station_id)}/config",
        payload=json.dumps(body, separators=(",", ":")),
        retain=True,
    )


def object_part(name: str) -> str:
    """Encode a name in [A-Za-z0-9_-], injectively: any other character, and _, becomes _ and its bytes in hex.

    The result never contains two underscores in a row, so these can separate two names.
    """
    return re.sub(r"[^A-Za-z0-9-]", lambda found: "".join(f"_{byte:02X}" for byte in found[0].encode()), name)


def _entities(evse_id: str, root: str) -> dict[str, dict[str, object]]:
    def entity(platform: str, name: str, template: str, **more: object) -> dict[str, object]:
        return {
            "p": platform,
            "name": f"{evse_id} {name}",
            "state_topic": f"{evse_topic(root, evse_id)}/state",
            "value_template": template,
            **more,
        }

    energy = {
        "device_class": "energy",
        "state_class": "total_increasing",
        "unit_of_measurement": "kWh",
        "suggested_display_precision": 2,
    }
    return {
        "import": entity("sensor", "energy charged", "{{ value_json.energy_import_kwh }}", **energy),
        "export": entity("sensor", "energy discharged", "{{ value_json.energy_export_kwh }}", **energy),
        "power": entity(
            "sensor",
            "power",
            "{{ value_json.power_w }}",
            device_class="power",
            state_class="measurement",
            unit_of_measurement="W",
        ),
        "soc": entity(
            "sensor",
            "battery",
            "{{ value_json.soc_pct }}",
            device_class="battery",
            state_class="measurement",
            unit_of_measurement="%",
        ),
        "plug": entity(
            "binary_sensor",
            "plug",
            "{{ 'ON' if value_json.plugged else 'OFF' }}",
            device_class="plug",
        ),
        "state": entity("sensor", "state", "{{ value_json.state }}"),
    }
