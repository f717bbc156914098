"""Dispatch a call: check the role, decode the arguments, run the function, turn a refusal into a response.

Decides roles, argument types and versions only; the functions decide the rest. Source: docs/contract.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from edgegw.contract import (
    accounts,
    audit,
    configuration,
    energy,
    holds,
    members,
    offers,
    price_records,
    registry,
    slices,
    tariffs,
    trades,
    transfers,
)
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import MalformedError, decode, dumps, loads, pack
from edgegw.contract.codes import (
    ADMIN,
    AUDITOR,
    EXCHANGE,
    GATEWAY,
    ORACLE,
    REPRESENTATIVE,
    ROLES,
    Code,
    Refusal,
)
from edgegw.contract.stub import Creator, Response, Stub

VERSION = 1
REP, DESK, STATION = frozenset({REPRESENTATIVE}), frozenset({EXCHANGE}), frozenset({GATEWAY})
REP_OR_STATION = REP | STATION


@dataclass(frozen=True, slots=True)
class Function:
    """A function, the class of its arguments, the roles that may call it, and the event it sets if it writes."""

    run: Callable[[CallState, Any], Any]
    arguments: type
    roles: frozenset[str] = ROLES
    verb: str = ""


_COST = Function(price_records.determine_cost, price_records.PriceQuery)

FUNCTIONS: dict[str, Function] = {
    "Configure": Function(
        configuration.configure, configuration.Configure, frozenset({ADMIN}), "channel.configured"
    ),
    "SignUp": Function(members.sign_up, members.SignUp, REP, "member.signed"),
    "Update": Function(members.update, members.Update, REP, "member.updated"),
    "GetMember": Function(members.get_member, members.MemberQuery),
    "totalSupply": Function(audit.total_supply, audit.NoArguments),
    "balanceOf": Function(accounts.balance_of, members.MemberQuery),
    "historyAPI": Function(
        accounts.history, accounts.HistoryQuery, frozenset({REPRESENTATIVE, GATEWAY, AUDITOR})
    ),
    "DetermineCost": _COST,
    "DetermineCose": _COST,
    "transfer": Function(transfers.transfer, transfers.Transfer, REP_OR_STATION, "trade.recorded"),
    "Mint": Function(accounts.mint, accounts.Mint, DESK, "token.minted"),
    "Burn": Function(accounts.burn, accounts.Burn, DESK, "token.burned"),
    "Sweep": Function(accounts.sweep, accounts.Sweep, REP_OR_STATION, "credits.swept"),
    "PostTariff": Function(tariffs.post_tariff, tariffs.PostTariff, frozenset({ORACLE}), "tariff.posted"),
    "PostFloor": Function(tariffs.post_floor, tariffs.PostFloor, frozenset({ORACLE}), "floor.posted"),
    "PostLoad": Function(tariffs.post_load, tariffs.PostLoad, REP, "load.posted"),
    "FixPrice": Function(price_records.fix_price, price_records.PriceQuery, verb="price.fixed"),
    "GetPrice": Function(price_records.get_price, price_records.PriceQuery),
    "RegisterStation": Function(
        registry.register_station, registry.RegisterStation, REP, "station.registered"
    ),
    "RegisterGateway": Function(
        registry.register_gateway, registry.RegisterGateway, REP, "gateway.registered"
    ),
    "RegisterMeter": Function(
        registry.register_meter, registry.RegisterMeter, REP_OR_STATION, "meter.registered"
    ),
    "FindStations": Function(registry.find_stations, registry.StationQuery),
    "RegisterGeneration": Function(
        energy.register_generation, energy.RegisterGeneration, REP, "lot.registered"
    ),
    "ExpireLot": Function(energy.expire_lot, energy.LotQuery, REP, "lot.expired"),
    "GetLot": Function(energy.get_lot, energy.LotQuery),
    "AttestAvailability": Function(
        energy.attest_availability, energy.AttestAvailability, STATION, "energy.attested"
    ),
    "Offer": Function(offers.make_offer, offers.MakeOffer, REP, "offer.opened"),
    "CloseOffer": Function(offers.close_offer, offers.OfferQuery, REP, "offer.closed"),
    "GetOffer": Function(offers.get_offer, offers.OfferQuery),
    "ListOffers": Function(offers.list_offers, offers.OffersQuery),
    "Reserve": Function(slices.reserve, slices.Reserve, STATION, "slice.reserved"),
    "Return": Function(slices.return_slice, slices.SliceQuery, REP_OR_STATION, "slice.returned"),
    "GetSlice": Function(slices.get_slice, slices.SliceQuery),
    "Hold": Function(holds.open_hold, holds.OpenHold, STATION, "hold.opened"),
    "Release": Function(holds.release, holds.HoldQuery, REP_OR_STATION, "hold.released"),
    "GetHold": Function(holds.get_hold, holds.HoldQuery),
    "RecordTrades": Function(trades.record_trades, trades.RecordTrades, STATION, "trades.recorded"),
    "GetTrade": Function(trades.get_trade, trades.TradeQuery),
    "AuditTotals": Function(audit.audit_totals, audit.NoArguments),
}


def invoke(stub: Stub, function: str, args: Sequence[str]) -> Response:
    """Run one function of the contract and return its response; a refusal writes nothing.

    `args` is empty or holds one JSON object. Malformed input is a refusal, never an exception.
    """
    try:
        return Response(status=200, payload=_run(stub, function, args))
    except Refusal as refusal:
        return Response(status=500, message=str(refusal))


def _run(stub: Stub, name: str, args: Sequence[str]) -> bytes:
    function = FUNCTIONS.get(name)
    if function is None:
        raise Refusal(Code.BAD_ARGUMENT, "there is no such function")
    creator = stub.creator
    if creator.role not in function.roles or (creator.role == GATEWAY and not creator.gateway_id):
        raise Refusal(Code.NOT_AUTHORISED, f"{name} is not for this role")
    given = _arguments(args)
    try:
        arguments: Any = decode(function.arguments, given)
    except MalformedError as error:
        raise Refusal(Code.BAD_ARGUMENT, str(error)) from error
    ledger = CallState(stub, _request_hash(creator, name, given))
    payload = pack(function.run(ledger, arguments))
    if ledger.flush():
        stub.set_event(f"edgegw.{function.verb}", payload)
    return payload


def _arguments(args: Sequence[str]) -> dict[str, Any]:
    """Return the arguments without the version."""
    if len(args) > 1:
        raise Refusal(Code.BAD_ARGUMENT, "one JSON object, no more")
    try:
        given = loads(args[0]) if args else {"v": VERSION}
    except MalformedError as error:
        raise Refusal(Code.BAD_ARGUMENT, str(error)) from error
    if not isinstance(given, dict):
        raise Refusal(Code.BAD_ARGUMENT, "no JSON object")
    version = given.pop("v", None)
    if version != VERSION or type(version) is not int:
        raise Refusal(Code.UNKNOWN_VERSION, f"this contract supports version {VERSION}")
    return given


def _request_hash(creator: Creator, name: str, given: dict[str, Any]) -> str:
    """Return the hash of function, caller and arguments, which is equal for a repeated call."""
    who = [creator.msp_id, creator.role, creator.gateway_id]
    return sha256(dumps([name, who, given])).hexdigest()
