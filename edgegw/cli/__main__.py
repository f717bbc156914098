"""`python -m edgegw.cli`, the same as the `edgegw` script."""

from edgegw.cli import main

main(prog_name="edgegw")
