"""The exchange counter of an organisation's own representative, as the configuration has it.

Decides which bank stands behind it: the simulated one, which is for trying out. Never moves anything itself.
"""

from edgegw.config import ExchangeConfig
from edgegw.ledger import LedgerClient
from edgegw.participants.bank import SimulatedDesk
from edgegw.participants.desk import ExchangeDesk
from edgegw.participants.exchange import Exchange
from edgegw.ports import Clock


def counter_of(config: ExchangeConfig, client: LedgerClient, clock: Clock) -> Exchange:
    """The counter; `client` is the exchange identity's. Raises JournalError. To be run, and closed at the end."""

    async def block_of(tx_id: str) -> int:
        return (await client.receipt(tx_id)).block

    return Exchange(
        config.store,
        bank=SimulatedDesk(fee_bp=config.fee_bp),
        desk=ExchangeDesk(ledger=client),
        block_of=block_of,
        clock=clock,
    )
