"""`edgegw ledger`: queries of the ledger with the gateway's identity, and verification of its blocks."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgegw.cli.console import Ended, Exit, config_option, json_option, show
from edgegw.cli.reach import ask, call_ledger
from edgegw.common.trade_terms import PRODUCTS
from edgegw.common.units import INTERVAL_S
from edgegw.config.schema import Config

if TYPE_CHECKING:
    from edgegw.ledger import LedgerClient


class Instant(click.ParamType[int]):
    """UTC epoch seconds, or a time as in 2026-11-22T17:00Z; without an offset it is UTC."""

    name = "time"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Epoch seconds."""
        if isinstance(value, int) or value.isdecimal():
            return int(value)
        try:
            at = datetime.fromisoformat(value)
        except ValueError as error:
            form = "expected epoch seconds or a time such as 2026-11-22T17:00Z"
            self.fail(f"{value!r}: {error}; {form}", param, ctx)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


@click.group()
def ledger() -> None:
    """Query supply, balances, prices and blocks of the ledger."""


def _print_units(*, as_json: bool) -> None:
    """Print the units for people: numbers of the ledger are printed as stored."""
    if not as_json:
        click.echo("units: tokens in milli-token (1,000 make one token), energy in Wh", err=True)


@ledger.command()
@config_option
@json_option
def supply(*, config: Config, as_json: bool) -> None:
    """Show the tokens issued, minted and burned (milli-token)."""
    show(ask(config, "totalSupply"), as_json=as_json)
    _print_units(as_json=as_json)


@ledger.command()
@click.argument("member_id")
@config_option
@json_option
def balance(*, member_id: str, config: Config, as_json: bool) -> None:
    """Show a member's tokens (milli-token) and energy (Wh): available, held, pending."""
    show(ask(config, "balanceOf", memberId=member_id), as_json=as_json)
    _print_units(as_json=as_json)


@ledger.command()
@click.argument("member_id")
@click.option(
    "--page-size", type=click.IntRange(1, 200), default=50, show_default=True, help="Entries per page."
)
@click.option("--bookmark", default="", help="Bookmark that the previous page returned.")
@config_option
@json_option
def history(*, member_id: str, page_size: int, bookmark: str, config: Config, as_json: bool) -> None:
    """List a member's history on the ledger, newest first."""
    page = ask(config, "historyAPI", memberId=member_id, pageSize=page_size, bookmark=bookmark)
    show(page, as_json=as_json)
    _print_units(as_json=as_json)


@ledger.command()
@click.argument("product", type=click.Choice(PRODUCTS, case_sensitive=False))
@click.argument("at", type=Instant())
@click.option("--zone", help="Price zone; default: the station's.")
@config_option
@json_option
def price(*, product: str, at: int, zone: str | None, config: Config, as_json: bool) -> None:
    """Show the price of the quarter hour that contains the time AT, with its derivation."""
    interval = at // INTERVAL_S * INTERVAL_S
    show(
        ask(config, "DetermineCost", zone=zone or config.station.zone, product=product, interval=interval),
        as_json=as_json,
    )


@ledger.command()
@click.argument("number", type=click.IntRange(0))
@config_option
@json_option
def block(*, number: int, config: Config, as_json: bool) -> None:
    """Show a block: for each trade KEY, Value, Timestamp (real and ledger time), Prev_Hash, Proof with the price record."""
    from edgegw.ledger.block_view import draw_block

    show(call_ledger(config, lambda client: draw_block(client, number)), as_json=as_json)


@ledger.command()
@click.option(
    "--block", "number", type=click.IntRange(0), help="Verify one block of any peer, in its five fields."
)
@config_option
@json_option
def verify(*, number: int | None, config: Config, as_json: bool) -> None:
    """Recompute every block: hash chain, signatures, policies, reads and writes; exit status 1 if anything differs."""
    result = _replayed(config) if number is None else _proven(config, number)
    show(result, as_json=as_json)
    if result["faults"]:
        raise click.exceptions.Exit(Exit.PROBLEMS)


def _proven(config: Config, number: int) -> dict[str, Any]:
    """Recompute hashes, signatures and the five fields of one block."""
    from edgegw.ledger.identity import load_trust
    from edgegw.ledger.proof import prove_block

    roots = load_trust(config.ledger.trust_file)
    return call_ledger(config, lambda client: prove_block(client, number, roots))


def _replayed(config: Config) -> dict[str, Any]:
    """Validate all blocks of an embedded peer again, from the first on."""
    from edgegw.peer.audit import replay
    from edgegw.peer.server import rules_for
    from edgegw.peer.world_state import World

    if config.peer is None:
        raise Ended(
            "the configuration has no [peer], and only the chain of an embedded peer can be replayed; use --block N",
            Exit.CONFIGURATION,
        )
    raw_blocks: list[bytes] = []
    call_ledger(config, _each_block(raw_blocks.append))
    rules = rules_for(config.peer.data_dir, channel=config.ledger.channel, chaincode=config.ledger.chaincode)
    report = replay(raw_blocks, rules, World())
    return {
        "verified": not report.faults,
        "blocks": report.blocks,
        "codes": report.codes,
        "last_hash": report.last_hash.hex(),
        "faults": list(report.faults),
        "remark": report.remark,
    }


@ledger.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@config_option
@json_option
def export(*, out: Path, config: Config, as_json: bool) -> None:
    """Write all raw blocks to OUT, each after its length (varint), for external verification."""
    from edgegw.ledger.block_view import delimited

    with out.open("wb") as file:
        count = call_ledger(config, _each_block(lambda raw: file.write(delimited(raw))))
    show({"blocks": count, "file": str(out)}, as_json=as_json)


def _each_block(take: Callable[[bytes], object]) -> "Callable[[LedgerClient], Awaitable[int]]":
    """Return a call that passes the blocks that exist at its start to `take`, in order, and returns their number."""

    async def call(client: "LedgerClient") -> int:
        height = await client.height()
        for number in range(height):
            take(await client.block(number))
        return height

    return call
