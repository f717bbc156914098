"""The command line: one file for each group of commands. Commands import heavy modules inside, so that --help is instant.

Exit status: 0 done, 1 problems found, 2 usage, then sysexits(3): 69 unavailable, 75 try again later, 77 not permitted,
78 configuration.
"""

import click

from edgegw import __version__
from edgegw.cli.chaincode import chaincode
from edgegw.cli.charger import charger
from edgegw.cli.check import check, doctor, support
from edgegw.cli.console import EdgegwGroup
from edgegw.cli.db import db
from edgegw.cli.demo import demo
from edgegw.cli.devnet import devnet
from edgegw.cli.enroll import enroll
from edgegw.cli.init import init
from edgegw.cli.ledger import ledger
from edgegw.cli.member import member
from edgegw.cli.meter import meter
from edgegw.cli.mqtt import mqtt
from edgegw.cli.operator import operator
from edgegw.cli.participant import participant
from edgegw.cli.peer import peer
from edgegw.cli.representative import representative
from edgegw.cli.run import run
from edgegw.cli.status import status
from edgegw.cli.trade import trade


@click.group(cls=EdgegwGroup)
@click.version_option(__version__, prog_name="edgegw")
def main() -> None:
    """Trade vehicle energy in tokens: the station-side gateway and its tools."""


COMMANDS = (
    (init, enroll, run, check, status, doctor, support),
    (charger, meter, member, trade, ledger, operator),
    (representative, peer, chaincode, participant, mqtt, db, demo, devnet),
)
for command in (command for group in COMMANDS for command in group):
    main.add_command(command)
