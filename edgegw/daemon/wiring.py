"""Derives the settings of core, chargers and meters from the configuration.

Decides how configuration keys become settings. Reads secrets and meter profiles; never starts anything.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping

from edgegw.chargers.settings import ChargerSettings, ListenerSettings, StationSettings, TlsSettings
from edgegw.common.clock import StationClock
from edgegw.common.units import SECOND_NS
from edgegw.config.schema import Config, OcppConfig, read_secret
from edgegw.core.metering import MeterAccount
from edgegw.core.state import EvseSettings, Settings, Station
from edgegw.core.station import new_station
from edgegw.meters.meter_port import BUS_REAL_S, MeterSettings
from edgegw.meters.profile import Profile, named_profile
from edgegw.ops.logs import log_event


def fresh_station(config: Config, clock: StationClock) -> Station:
    """Return the initial state of a station with this configuration; raises ConfigError."""
    secret = read_secret(config.station.key_file)
    return new_station(station_settings(config, clock, secret), accounts(config, secret))


def station_settings(config: Config, clock: StationClock, secret: bytes) -> Settings:
    """Return the settings of the core; `secret` is the station's key."""
    evses = {
        evse.id: EvseSettings(
            evse_id=evse.id,
            charger_id=charger.id,
            meter_id=evse.meter,
            rated_w=evse.rated_w,
            discharge_w=evse.discharge_w if charger.dialect != "none" or charger.version == "2.1" else 0,
            standby_w=evse.standby_w,
        )
        for charger in config.chargers
        for evse in charger.evses
    }
    return Settings(
        station_id=config.station.id,
        zone=config.station.zone,
        gateway_id=config.ledger.gateway_id,
        evses=evses,
        meter_evse={evse.meter_id: evse.evse_id for evse in evses.values()},
        nonce_key=hmac.digest(secret, b"nonce", "sha256"),
        start_answer_s=config.session.start_answer_s,
        start_expiry_ns=config.session.start_expiry_s * SECOND_NS,
        hold_wh=config.session.hold_wh,
        hold_limit_mtok_per_kwh=config.session.price_mtok_per_kwh_max,
        site_w_max=config.station.site_w_max,
        guard_ns=max(config.sale.guard_s * SECOND_NS, round(1.5 * BUS_REAL_S * clock.speed) * SECOND_NS),
        cutoff_ns=config.ledger.cutoff_s * SECOND_NS,
        report_lead_ns=max(config.sale.report_lead_s, round(0.7 * clock.speed)) * SECOND_NS,
        stale_ns=max(config.settlement.stale_meter_s, 2 * clock.speed) * SECOND_NS,
        lines_max=config.settlement.lines_per_submission,
    )


def accounts(config: Config, secret: bytes) -> Mapping[str, MeterAccount]:
    """Return a new account for each meter; its reference on the ledger is an HMAC, so that it does not reveal the meter's id."""
    rated = {
        evse.meter: evse.rated_w + evse.discharge_w for charger in config.chargers for evse in charger.evses
    }
    profiles = _profiles(config)
    return {
        meter.id: MeterAccount(
            meter_id=meter.id,
            meter_ref=hmac.digest(secret, f"meter:{meter.id}".encode(), "sha256").hex()[:32],
            power_w_max=rated.get(meter.id, 400_000),
            step_mwh=profiles[meter.profile].import_.lsb_mwh,
        )
        for meter in config.meters
    }


def charger_settings(config: Config, hash_token: Callable[[str], str]) -> StationSettings:
    """Return the settings of the OCPP adapter; `hash_token` hashes idTokens as the representative does."""
    return StationSettings(
        listener=_listener_settings(config.ocpp),
        chargers=tuple(
            ChargerSettings(
                charger_id=charger.id,
                password_hash=charger.password_hash,
                evses={evse.number: evse.id for evse in charger.evses},
                dialect=charger.dialect,
                version=charger.version,
            )
            for charger in config.chargers
        ),
        hash_token=hash_token,
        fresh_transaction_id=lambda: 1 + secrets.randbelow(2**31 - 2),
        fresh_message_id=lambda: secrets.token_hex(8),
        sample_interval_s=config.ocpp.sample_interval_s,
        log=log_event,
    )


def _listener_settings(ocpp: OcppConfig) -> ListenerSettings:
    tls: TlsSettings | None = None
    if ocpp.tls is not None:
        tls = TlsSettings(
            port=ocpp.tls.port,
            certificate=ocpp.tls.certificate,
            key_file=ocpp.tls.key_file,
            rsa_certificate=ocpp.tls.rsa_certificate,
            rsa_key_file=ocpp.tls.rsa_key_file,
        )
    return ListenerSettings(
        host=ocpp.host,
        port=ocpp.port,
        default_version=ocpp.default_version,
        plaintext_networks=ocpp.plaintext_networks,
        accept_unknown=ocpp.accept_unknown,
        tls=tls,
    )


def meter_settings(config: Config) -> list[MeterSettings]:
    """Return the settings of the Modbus adapter."""
    profiles = _profiles(config)
    return [
        MeterSettings(
            meter_id=meter.id,
            profile=profiles[meter.profile],
            host=meter.host,
            port=meter.port,
            unit_id=meter.unit,
            poll_s=meter.poll_s,
            swapped=meter.swapped,
        )
        for meter in config.meters
    ]


def _profiles(config: Config) -> Mapping[str, Profile]:
    """Load each meter profile once, also where several meters use it."""
    return {name: named_profile(name) for name in {meter.profile for meter in config.meters}}
