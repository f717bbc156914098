"""The driver's pages: find a charger, buy, sell, see, be paid.

The map: `home` the station's first page. Decides what a driver sees and may ask for; never what energy costs.
"""
