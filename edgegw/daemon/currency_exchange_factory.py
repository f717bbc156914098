"""Builds the currency exchange of a representative in this process from the configuration.

Decides which bank it uses: the simulated one, which is for trials. Never moves money or tokens itself.
"""

from edgegw.common.clock import Clock
from edgegw.config.schema import ExchangeConfig
from edgegw.ledger import LedgerClient
from edgegw.representative.currency_exchange import CurrencyExchange
from edgegw.representative.payment_provider import SimulatedBank
from edgegw.representative.token_issuance import ExchangeDesk


def counter_of(config: ExchangeConfig, client: LedgerClient, clock: Clock) -> CurrencyExchange:
    """Return the exchange, which the caller runs and closes; `client` signs with the exchange's identity. Raises JournalError."""

    async def block_of(tx_id: str) -> int:
        return (await client.receipt(tx_id)).block

    return CurrencyExchange(
        config.store,
        bank=SimulatedBank(fee_bp=config.fee_bp),
        desk=ExchangeDesk(ledger=client),
        block_of=block_of,
        clock=clock,
    )
