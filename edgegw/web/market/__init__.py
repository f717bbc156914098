"""Pages of producers and industrial members, served by their organisation's representative: offers, generation, trades.

The map: `book` what the pages ask (a port) · `area` all routes · `home` prices, balance and open offers · `offers` making and
closing · `trades` what was generated and what was sold or bought · `desk` what these have at hand. A producer sells, an
industrial member buys; nobody sees another's offers. Decides what a member sees; never what a price is.
"""
