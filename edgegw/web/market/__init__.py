"""Pages of producers and industrial members, served by the representative of their organisation.

The map: `market_port` port of the representative · `area` all routes · `market_context` what the pages share · `home` prices,
balance and open offers · `offers` making and closing offers · `trades` generation and trades. A producer sells, an
industrial member buys; a member sees its own offers only. Decides what a member sees; never a price.
"""
