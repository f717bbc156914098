"""Register stations, gateways and meters, and find stations by geohash.

Decides who may register what. A new gateway or meter needs an endorsement of all three organisations (guard keys).
Source: docs/contract.md, Functions; docs/ledger.md, Who takes part.
"""

from dataclasses import dataclass
from typing import Literal

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import (
    Bookmark,
    Count,
    Digest,
    Epoch,
    Geohash,
    Ident,
    PageSize,
    Product,
    RegisterWh,
    TradedWh,
    values,
)
from edgegw.contract.codes import EV_MSP, GATEWAY, Code, Refusal
from edgegw.contract.members import require_msp
from edgegw.contract.metering import generated_key, traded_key
from edgegw.contract.records import Meter, Register


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterStation:
    """Arguments of `RegisterStation`; `evses` is the number of EVSEs."""

    station_id: Ident
    zone: Ident
    geohash: Geohash
    evses: Count
    products: tuple[Product, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StationRecord(RegisterStation):
    """A station as registered."""

    request: Digest
    msp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterGateway:
    """Arguments of `RegisterGateway`."""

    gateway_id: Ident
    certificate_sha256: Digest
    stations: tuple[Ident, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRecord(RegisterGateway):
    """A gateway as registered."""

    request: Digest
    msp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterMeter:
    """Arguments of `RegisterMeter`; the registers are the meter's readings when its epoch begins."""

    meter_ref: Ident
    epoch: Epoch
    zone: Ident
    kind: Literal["EVSE", "PLANT"]
    import_wh: RegisterWh
    export_wh: RegisterWh
    rated_w: TradedWh
    gateway_id: Ident | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationQuery:
    """Arguments of `FindStations`; without a product, it finds stations for either."""

    geohash: Geohash
    product: Product | None = None
    page_size: PageSize = 50
    bookmark: Bookmark = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationPage:
    """Result of `FindStations`, by geohash (finer ones first) and id; an empty bookmark marks the last page."""

    stations: tuple[StationRecord, ...]
    bookmark: Bookmark


def register_station(ledger: CallState, args: RegisterStation) -> StationRecord:
    """Register a station with its approximate location."""
    key = keys.key("st", args.station_id)
    stored = ledger.read(StationRecord, key)
    if stored is not None:
        ledger.repeated(stored, Code.ID_CONFLICT)
        return stored
    station = StationRecord(**values(args), request=ledger.request, msp=ledger.creator.msp_id)
    ledger.write(key, station)
    ledger.mark(keys.key("geo", args.geohash, args.station_id))
    return station


def register_gateway(ledger: CallState, args: RegisterGateway) -> GatewayRecord:
    """Register a gateway of the EV users' organisation."""
    require_msp(ledger, EV_MSP)
    key = keys.key("gw", args.gateway_id)
    stored = ledger.read(GatewayRecord, key)
    if stored is not None:
        ledger.repeated(stored, Code.ID_CONFLICT)
        return stored
    gateway = GatewayRecord(**values(args), request=ledger.request, msp=ledger.creator.msp_id)
    ledger.guard("gateway")
    ledger.write(key, gateway)
    return gateway


def register_meter(ledger: CallState, args: RegisterMeter) -> Meter:
    """Register a metering point with its initial registers; an EVSE's meter belongs to a registered gateway."""
    if ledger.creator.role == GATEWAY and args.gateway_id != ledger.creator.gateway_id:
        raise Refusal(Code.NOT_AUTHORISED, "a gateway registers its own meters")
    key = keys.key("met", args.meter_ref, args.epoch)
    stored = ledger.read(Meter, key)
    if stored is not None:
        ledger.repeated(stored, Code.ID_CONFLICT)
        return stored
    if args.gateway_id is not None:
        gateway = ledger.need(GatewayRecord, keys.key("gw", args.gateway_id), Code.GATEWAY_UNKNOWN)
        require_msp(ledger, gateway.msp)
    elif args.kind == "EVSE":
        raise Refusal(Code.BAD_ARGUMENT, "an EVSE meter has a gateway")
    meter = Meter(
        request=ledger.request,
        meter_ref=args.meter_ref,
        epoch=args.epoch,
        zone=args.zone,
        kind=args.kind,
        rated_w=args.rated_w,
        gateway_id=args.gateway_id,
    )
    ledger.guard("meter")
    ledger.write(key, meter)
    registers = {
        traded_key(meter, "import"): args.import_wh,
        traded_key(meter, "export"): args.export_wh,
    }
    if args.kind == "PLANT":
        registers[generated_key(meter)] = args.export_wh
    for register_key, wh in registers.items():
        ledger.write(register_key, Register(wh=wh, interval=0, interval_wh=0))
    return meter


def find_stations(ledger: CallState, args: StationQuery) -> StationPage:
    """Return the stations whose geohash begins with the one given."""
    start = keys.key("geo", args.geohash)
    found: list[StationRecord] = []
    last = ""
    for key, _ in ledger.scan(start, after=keys.key("geo", args.bookmark) if args.bookmark else ""):
        station = ledger.read(StationRecord, keys.key("st", key.rsplit("~", 1)[1]))
        assert station is not None, key
        if args.product is not None and args.product not in station.products:
            continue
        if len(found) == args.page_size:
            return StationPage(stations=tuple(found), bookmark=last.removeprefix("geo~"))
        found.append(station)
        last = key
    return StationPage(stations=tuple(found), bookmark="")
