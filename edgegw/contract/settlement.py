"""Settle a trade whose parties have paid: write the trade, the register, credits, energy flows and both histories.

Decides where each milli-token and Wh of a trade goes. Writes without reading accounts. Source: docs/ledger.md, Units
and Contention.
"""

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codes import CHARGE, FEE_ACCOUNT
from edgegw.contract.metering import traded_key
from edgegw.contract.records import Meter, Register, Trade


def settle(ledger: CallState, trade: Trade, *, meter: Meter, register: Register) -> None:
    """Write the trade; the caller has already taken what the buyer pays and the seller gives."""
    ledger.write(keys.key("trade", trade.trade_id), trade)
    ledger.write(traded_key(meter, trade.direction), register)
    received_wh = trade.wh if trade.product == CHARGE else 0
    given_wh = 0 if trade.kind == "RETAIL" else trade.gross
    ledger.credit(trade.seller, tokens=trade.amount)
    ledger.credit(FEE_ACCOUNT, tokens=trade.fee)
    ledger.credit(trade.buyer, energy=received_wh)
    ledger.flow(
        grid=trade.gross - given_wh,
        industry=trade.wh - received_wh,
        loss=trade.gross - trade.wh,
    )
    entry = ("trade.recorded", trade.trade_id)
    ledger.history(trade.buyer, entry, tokens=-(trade.amount + trade.fee), energy=received_wh)
    ledger.history(trade.seller, entry, tokens=trade.amount, energy=-given_wh)
