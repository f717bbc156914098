"""The exchange counter of an organisation's own representative, as the configuration has it.

Decides which bank stands behind it: the simulated one, which is for trying out. Never moves anything itself.
"""

from edgegw.common.clock import Clock
from edgegw.config.schema import ExchangeConfig
from edgegw.ledger import LedgerClient
from edgegw.representative.currency_exchange import CurrencyExchange
from edgegw.representative.payment_provider import SimulatedBank
from edgegw.representative.token_issuance import ExchangeDesk


def counter_of(config: ExchangeConfig, client: LedgerClient, clock: Clock) -> CurrencyExchange:
    """The counter; `client` is the exchange identity's. Raises JournalError. To be run, and closed at the end."""

    async def block_of(tx_id: str) -> int:
        return (await client.receipt(tx_id)).block

    return CurrencyExchange(
        config.store,
        bank=SimulatedBank(fee_bp=config.fee_bp),
        desk=ExchangeDesk(ledger=client),
        block_of=block_of,
        clock=clock,
    )
