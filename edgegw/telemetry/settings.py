"""Build the MQTT settings from the configuration: broker, topic names, and secrets read from their files.

Decides which settings of a broker must be given together. Reads the password and CA files; raises ConfigError.
"""

import ssl
from dataclasses import dataclass, field

from edgegw.common.errors import ConfigError
from edgegw.config.schema import Config, MqttConfig, read_password
from edgegw.telemetry.topics import topic_root


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """The broker's address and connection settings; `tls` None is plain text."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    keepalive_s: int = 30
    retry_s_max: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherSettings:
    """The settings of a publisher: the broker and the station's topics."""

    broker: BrokerSettings
    station_id: str
    topic_prefix: str = "edgegw"
    discovery_prefix: str = "homeassistant"  # empty: no discovery
    price_topic: str | None = None

    @property
    def root(self) -> str:
        """The first levels of all topics of this station."""
        return topic_root(self.topic_prefix, self.station_id)


def publisher_settings(config: Config, mqtt: MqttConfig) -> PublisherSettings:
    """Return the settings of `[mqtt]` with the secrets read; raise ConfigError."""
    if mqtt.password_file is not None and mqtt.username is None:
        raise ConfigError(("mqtt.password_file: needs mqtt.username",))
    return PublisherSettings(
        broker=BrokerSettings(
            host=_host(mqtt),
            port=mqtt.port,
            username=mqtt.username,
            password=None if mqtt.password_file is None else read_password(mqtt.password_file),
            tls=_tls(mqtt),
        ),
        station_id=config.station.id,
        topic_prefix=mqtt.topic_prefix,
        discovery_prefix=mqtt.discovery_prefix,
        price_topic=mqtt.price_topic,
    )


def _host(mqtt: MqttConfig) -> str:
    """Return the host if it is a valid name; the link resolves it for each connection."""
    try:
        mqtt.host.encode("idna")
    except UnicodeError as fault:
        raise ConfigError((f"mqtt.host: {mqtt.host!r} is not a host name",)) from fault
    if not mqtt.host:
        raise ConfigError(("mqtt.host: is empty",))
    return mqtt.host


def _tls(mqtt: MqttConfig) -> ssl.SSLContext | None:
    if mqtt.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(mqtt.ca_file))
    except OSError as fault:  # SSLError is one
        reason = fault.strerror or "no certificate in PEM in it"
        raise ConfigError((f"mqtt.ca_file: {mqtt.ca_file}: {reason}",)) from fault
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
