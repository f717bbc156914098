"""`edgegw member`: the representative's members and their cards."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from edgegw.cli.console import Ended, Exit, config_option, json_option, show
from edgegw.cli.reach import call_ledger
from edgegw.cli.table import show_table
from edgegw.common.member_terms import MemberTerms
from edgegw.config.schema import Config, OwnRepresentative, read_secret

if TYPE_CHECKING:
    from edgegw.representative.logins import LoginStore

_TERMS = MemberTerms(member_id="")


@click.group()
def member() -> None:
    """Manage the members of the representative and their cards."""


@member.command()
@click.option("--identity", prompt=True, help="Identifier of the person; only a keyed hash of it is stored.")
@click.option("--kind", type=click.Choice(["EV", "SUPPLIER"]), default="EV", show_default=True)
@config_option
@json_option
def add(*, identity: str, kind: str, config: Config, as_json: bool) -> None:
    """Sign a person up on the ledger under a new random member id. Safe to repeat after a failure."""
    from edgegw.representative import ledger_accounts
    from edgegw.representative.members import MemberStatus

    place = _representative(config)
    with _store(place) as store:
        enrolment = store.add(identity, kind="SUPPLIER" if kind == "SUPPLIER" else "EV")
        if enrolment is None:
            raise Ended("DUPLICATE_MEMBER: this person is a member already", Exit.PROBLEMS)
        call_ledger(
            config, lambda client: ledger_accounts.sign_up(client, enrolment), identity=place.identity
        )
        store.set_status(enrolment.member_id, MemberStatus.ACTIVE)
    show({"member_id": enrolment.member_id}, as_json=as_json)


@member.command()
@click.argument("member_id")
@click.option("--id-token", prompt=True, help="idToken of the card; only a keyed hash of it is stored.")
@click.option(
    "--accept-retail/--market-only",
    default=None,
    help="Charge at the retail price when the market has no energy.",
)
@click.option("--price-max", type=click.IntRange(0), help="Highest price to buy at (milli-token per kWh).")
@click.option("--sells/--buys-only", default=_TERMS.sells, show_default=True, help="Also sell from the car.")
@click.option("--price-min", type=click.IntRange(0), help="Lowest price to sell at (milli-token per kWh).")
@click.option("--soc-min", type=click.IntRange(0, 10_000), help="Lowest state of charge (basis points).")
@click.option(
    "--battery-wh",
    type=click.IntRange(0),
    default=_TERMS.battery_wh,
    show_default=True,
    help="Battery capacity of the car (Wh).",
)
@click.option(
    "--efficiency",
    type=click.IntRange(1, 10_000),
    default=_TERMS.discharge_efficiency_bp,
    show_default=True,
    help="Discharge efficiency (basis points).",
)
@config_option
@json_option
def link(  # noqa: PLR0913 - one parameter an option
    *,
    member_id: str,
    id_token: str,
    accept_retail: bool | None,
    price_max: int | None,
    sells: bool,
    price_min: int | None,
    soc_min: int | None,
    battery_wh: int,
    efficiency: int,
    config: Config,
    as_json: bool,
) -> None:
    """Link a card to a member, with terms; omitted terms are the station's defaults."""
    terms = MemberTerms(
        member_id=member_id,
        accept_retail=config.session.accept_retail if accept_retail is None else accept_retail,
        price_mtok_per_kwh_max=config.session.price_mtok_per_kwh_max if price_max is None else price_max,
        sells=sells,
        price_mtok_per_kwh_min=config.sale.price_mtok_per_kwh_min if price_min is None else price_min,
        soc_bp_min=config.sale.soc_bp_min if soc_min is None else soc_min,
        battery_wh=battery_wh,
        discharge_efficiency_bp=efficiency,
    )
    with _store(_representative(config)) as store:
        if not store.link(id_token, terms):
            raise Ended(f"{member_id} is not an active member", Exit.PROBLEMS)
        token_hash = store.token_hash(id_token)
    show({"member_id": member_id, "id_token_hash": token_hash}, as_json=as_json)


@member.command()
@click.option("--id-token", prompt=True, help="idToken of the card.")
@config_option
@json_option
def unlink(*, id_token: str, config: Config, as_json: bool) -> None:
    """Unlink a card; a running session with it is settled as it began."""
    with _store(_representative(config)) as store:
        token_hash = store.token_hash(id_token)
        if not store.unlink(id_token):
            raise Ended("the card is not linked to a member", Exit.PROBLEMS)
    show({"id_token_hash": token_hash}, as_json=as_json)


@member.command()
@click.argument("member_id")
@config_option
@json_option
def leave(*, member_id: str, config: Config, as_json: bool) -> None:
    """End a membership permanently: on the ledger, then salt, tag and cards here. Safe to repeat after a failure."""
    from edgegw.representative import ledger_accounts
    from edgegw.representative.members import MemberStatus

    place = _representative(config)
    with _store(place) as store:
        status = store.status(member_id)
        if status is None:
            raise Ended(f"member {member_id} is unknown", Exit.PROBLEMS)
        signed_up = status is not MemberStatus.NEW
        call_ledger(
            config,
            lambda client: ledger_accounts.leave(client, member_id, signed_up=signed_up),
            identity=place.identity,
        )
        store.set_status(member_id, MemberStatus.LEFT)
    show({"member_id": member_id, "status": MemberStatus.LEFT.value}, as_json=as_json)


@member.command()
@click.argument("member_id")
@config_option
@json_option
def export(*, member_id: str, config: Config, as_json: bool) -> None:
    """Print all stored data of a member who signed up on a page, for that member; never the password."""
    with _store(_representative(config)) as store:
        kept = store.kept(member_id)
    if kept is None:
        raise Ended(f"no personal data is stored for {member_id}", Exit.PROBLEMS)
    show(kept, as_json=as_json)


@member.command()
@click.argument("member_id")
@config_option
@json_option
def passwd(*, member_id: str, config: Config, as_json: bool) -> None:
    """Set a new password for a member; asks twice, never shows it, and ends all logins of the member."""
    from edgegw.common.passwords import hash_password
    from edgegw.representative.person_fields import PASSWORD_LENGTH_MIN, password_fault

    with _store(_representative(config)) as store:
        profile = store.profile(member_id)
        if profile is None:
            raise Ended(f"{member_id} did not sign up on a page", Exit.PROBLEMS)
        password = click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
        if password_fault(password, profile.login) is not None:
            raise Ended(
                f"the password is too weak: use at least {PASSWORD_LENGTH_MIN} characters, not a few repeated ones, and not the login name",
                Exit.PROBLEMS,
            )
        store.set_password(member_id, hash_password(password))
    show({"member_id": member_id, "logins": "ended"}, as_json=as_json)


@member.command("list")
@config_option
@json_option
def list_members(*, config: Config, as_json: bool) -> None:
    """List all members with their status and number of cards."""
    with _store(_representative(config)) as store:
        found = store.members()
    rows = [{"member_id": one.member_id, "status": one.status.value, "cards": one.cards} for one in found]
    if as_json:
        show(rows, as_json=True)
    else:
        show_table(rows, ("member_id", "status", "cards"), empty="no members yet; run edgegw member add")


def _representative(config: Config) -> OwnRepresentative:
    if config.own_representative is None:
        raise Ended("the configuration has no [representative] on this machine", Exit.CONFIGURATION)
    return config.own_representative


@contextmanager
def _store(place: OwnRepresentative) -> "Iterator[LoginStore]":
    from edgegw.representative.logins import LoginStore

    store = LoginStore(place.store, read_secret(place.key_file))
    try:
        yield store
    finally:
        store.close()
