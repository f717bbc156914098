"""Export Prometheus metrics, computed from the station's current state on each scrape.

Decides names and units (base units: joules, seconds, watts, ratios; docs/metrics.md lists them all). Labels are EVSE,
meter, charger, part, direction and codes from closed lists, never a driver, a transaction or a card. The only module
that imports prometheus_client.
Source: Prometheus naming practice (energy in joules, power as watts, counters end in _total).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edgegw import __version__
from edgegw.common.trade_terms import PRODUCTS
from edgegw.common.units import SECOND_NS, interval_of
from edgegw.core.market import key
from edgegw.ports.station_health import Signs, assess

CONTENT_TYPE = CONTENT_TYPE_LATEST
JOULES_PER_WH = 3600
_LEVELS = ("ok", "degraded", "down")
_SOC_BP = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counters of the adapters, in addition to the station's own state."""

    ocpp: Mapping[str, int] = field(default_factory=dict)
    polls: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # meter -> done, lost
    inbox_waiting: int = 0
    inbox_dropped: int = 0
    mqtt_published: int = 0
    mqtt_dropped: int = 0
    lag_s: Mapping[str, float] = field(default_factory=dict)  # quantile -> seconds


class Metrics:
    """The station's metrics; `render` may be called from any thread, as it reads immutable values."""

    def __init__(self, signs: Callable[[], Signs], counts: Callable[[], Counts]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_StationCollector(signs, counts))
        ProcessCollector(registry=self._registry)

    def render(self) -> bytes:
        """Return all metrics in Prometheus text format."""
        return generate_latest(self._registry)


class _StationCollector(Collector):
    def __init__(self, signs: Callable[[], Signs], counts: Callable[[], Counts]) -> None:
        self._signs = signs
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics from the current state."""
        signs, counts = self._signs(), self._counts()
        yield _gauge("edgegw_build_info", "Version of this edgegw.", ("version",), rows=[((__version__,), 1)])
        yield from _evses(signs)
        yield from _energy(signs)
        yield from _ledger(signs)
        yield from _health(signs)
        yield from _edges(signs, counts)

    def describe(self) -> list[Metric]:
        """Return nothing, because the station may not exist yet at registration."""
        return []


Labels = tuple[str, ...]
Rows = Sequence[tuple[Labels, float]]


def _gauge(name: str, text: str, labels: Labels, *, rows: Rows) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        metric.add_metric(values, value)
    return metric


def _counter(name: str, text: str, labels: Labels, *, rows: Rows) -> Metric:
    metric = CounterMetricFamily(name, text, labels=labels)
    for values, value in rows:
        metric.add_metric(values, value)
    return metric


def _evses(signs: Signs) -> Iterator[Metric]:
    station = signs.station
    settings = station.settings.evses
    read = [
        (evse_id, account)
        for evse_id, evse in settings.items()
        if (account := station.meters[evse.meter_id]).last is not None
    ]
    for direction in ("imported", "exported"):
        rows = [
            ((evse_id,), _registers(account, direction) * JOULES_PER_WH // 1000) for evse_id, account in read
        ]
        text = f"Energy {direction} by the meter's cumulative register; kWh a day: increase(x[1d]) / 3.6e6."
        yield _counter(f"edgegw_evse_energy_{direction}_joules", text, ("evse",), rows=rows)
    yield _gauge(
        "edgegw_evse_power_watts",
        "Power by the meter; charging positive, discharging negative.",
        ("evse",),
        rows=[((evse_id,), account.power_w) for evse_id, account in read],
    )
    yield _gauge(
        "edgegw_ev_state_of_charge_ratio",
        "State of charge that the car reported.",
        ("evse",),
        rows=[
            ((evse.evse_id,), evse.session.soc_bp / _SOC_BP)
            for evse in station.evses.values()
            if evse.session is not None and evse.session.soc_bp is not None
        ],
    )
    yield _gauge(
        "edgegw_evse_phase",
        "1 for the phase that the EVSE is in.",
        ("evse", "phase"),
        rows=[((evse.evse_id, evse.phase.value), 1) for evse in station.evses.values()],
    )
    yield _gauge(
        "edgegw_evse_online",
        "1 when the EVSE's charger is connected.",
        ("evse", "charger"),
        rows=[
            ((evse.evse_id, settings[evse.evse_id].charger_id), int(evse.online))
            for evse in station.evses.values()
        ],
    )


def _registers(account: object, direction: str) -> int:
    last = getattr(account, "last", None)
    assert last is not None
    mwh: int = last.import_mwh if direction == "imported" else last.export_mwh
    return mwh


def _energy(signs: Signs) -> Iterator[Metric]:
    tally = signs.station.tally["all"]
    yield _counter("edgegw_sessions", "Sessions begun.", (), rows=[((), tally.sessions)])
    yield _counter("edgegw_trades", "Trades on the ledger.", (), rows=[((), tally.trades)])
    yield _counter(
        "edgegw_traded_energy_joules",
        "Energy traded: bought at a market price, bought at retail, sold from a car.",
        ("kind",),
        rows=[
            (("market",), tally.market_wh * JOULES_PER_WH),
            (("retail",), tally.retail_wh * JOULES_PER_WH),
            (("sold",), tally.sold_wh * JOULES_PER_WH),
        ],
    )
    yield _counter(
        "edgegw_retail_energy_joules",
        "Energy sold at retail, by reason.",
        ("reason",),
        rows=[((reason,), wh * JOULES_PER_WH) for reason, wh in tally.retail_reasons.items()],
    )
    yield _counter(
        "edgegw_untraded_energy_joules",
        "Energy metered and not traded, by direction and code.",
        ("direction", "code"),
        rows=[
            ((direction, code), wh * JOULES_PER_WH)
            for name, wh in tally.untraded.items()
            for direction, _, code in [name.partition(":")]
        ],
    )
    yield _counter(
        "edgegw_session_refusals",
        "Starts refused, by code.",
        ("code",),
        rows=[((code,), count) for code, count in tally.refused.items()],
    )


def _ledger(signs: Signs) -> Iterator[Metric]:
    station = signs.station
    yield _gauge(
        "edgegw_outbox_depth",
        "Lines and submissions waiting for the ledger.",
        ("what",),
        rows=[(("lines",), len(station.lines)), (("submissions",), len(station.submissions))],
    )
    oldest = min((line.interval for line in station.lines.values()), default=None)
    yield _gauge(
        "edgegw_outbox_oldest_seconds",
        "Age of the oldest interval whose trade is not on the ledger.",
        (),
        rows=[((), 0 if oldest is None else max(0, signs.now_ns // SECOND_NS - oldest))],
    )
    yield _gauge("edgegw_holds_open", "Holds not yet released.", (), rows=[((), len(station.holds))])
    yield _gauge(
        "edgegw_slices_open", "Reserved slices not yet returned.", (), rows=[((), len(station.slices))]
    )
    interval = interval_of(signs.now_ns)
    found = [(product, station.prices.get(key(product, interval))) for product in PRODUCTS]
    yield _gauge(
        "edgegw_price_tokens_per_kwh",
        "Fixed market price of the current quarter hour; absent if there is none.",
        ("product",),
        rows=[
            ((product,), price.price_mtok_per_kwh / 1000)
            for product, price in found
            if price is not None and price.price_mtok_per_kwh is not None
        ],
    )
    yield _gauge(
        "edgegw_ledger_block",
        "Newest block whose events were seen.",
        (),
        rows=[((), station.tally["all"].event_block)],
    )


def _health(signs: Signs) -> Iterator[Metric]:
    parts = assess(signs)
    yield _gauge(
        "edgegw_part_level",
        "Condition of a part: 0 ok, 1 degraded, 2 down.",
        ("part",),
        rows=[((part.part,), _LEVELS.index(part.level.value)) for part in parts],
    )
    yield _gauge(
        "edgegw_clock_synchronized",
        "1 when the clock is synchronised by NTP.",
        (),
        rows=[((), signs.clock_synchronized)],
    )
    if signs.storage_free_bp is not None:
        free = [((), signs.storage_free_bp / 10_000)]
        yield _gauge("edgegw_storage_free_ratio", "Free share of the data folder's disk.", (), rows=free)
    yield _gauge(
        "edgegw_certificate_expiry_seconds",
        "Seconds until a certificate ends.",
        ("certificate",),
        rows=[
            ((name,), (life.end_ns - signs.now_ns) / SECOND_NS) for name, life in signs.certificates.items()
        ],
    )


def _edges(signs: Signs, counts: Counts) -> Iterator[Metric]:
    yield _counter(
        "edgegw_ocpp_messages",
        "OCPP messages, and tolerated faults, by kind.",
        ("kind",),
        rows=[((kind,), count) for kind, count in sorted(counts.ocpp.items())],
    )
    yield _gauge(
        "edgegw_ocpp_waiting_chargers", "Unknown chargers that wait.", (), rows=[((), len(signs.waiting))]
    )
    yield _counter(
        "edgegw_meter_reads",
        "Scheduled polls done.",
        ("meter",),
        rows=[((meter,), done) for meter, (done, _) in counts.polls.items()],
    )
    yield _counter(
        "edgegw_meter_read_errors",
        "Scheduled polls lost.",
        ("meter",),
        rows=[((meter,), lost) for meter, (_, lost) in counts.polls.items()],
    )
    quarantined = [((meter_id,), one.quarantined) for meter_id, one in signs.station.meters.items()]
    yield _counter(
        "edgegw_meter_readings_quarantined",
        "Readings quarantined as implausible.",
        ("meter",),
        rows=quarantined,
    )
    if signs.mqtt_connected is not None:
        yield _gauge(
            "edgegw_mqtt_connected", "1 when the broker is connected.", (), rows=[((), signs.mqtt_connected)]
        )
        yield _counter(
            "edgegw_mqtt_published", "Messages the broker accepted.", (), rows=[((), counts.mqtt_published)]
        )
        yield _counter("edgegw_mqtt_dropped", "Messages dropped.", (), rows=[((), counts.mqtt_dropped)])
    yield _gauge(
        "edgegw_inbox_waiting", "Events that wait for the core.", (), rows=[((), counts.inbox_waiting)]
    )
    yield _counter(
        "edgegw_inbox_dropped", "Readings dropped by a full inbox.", (), rows=[((), counts.inbox_dropped)]
    )
    lag = [((quantile,), seconds) for quantile, seconds in counts.lag_s.items()]
    yield _gauge(
        "edgegw_loop_lag_seconds",
        "How late the event loop ran, over the latest probes.",
        ("quantile",),
        rows=lag,
    )
