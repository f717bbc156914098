"""`edgegw peer`: the embedded peer as a process of its own."""

import click


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def peer(arguments: tuple[str, ...]) -> None:
    """Run the embedded peer (the same as python -m edgegw.peer)."""
    from edgegw.peer.__main__ import main as serve

    serve.main(args=list(arguments), prog_name="edgegw peer")
