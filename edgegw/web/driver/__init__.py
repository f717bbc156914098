"""The driver's pages: find a charger, buy, sell, see, be paid.

The map, at the charger: `home` the station's first page · `evse` a charging point and what runs there (`points` for
everybody, `running` for its driver) · `orders` from a wish to an order (`order_forms`, `order_quote`, `order_words`) ·
`prices` of now and of the day · `kiosk` screen, label and the way in from their codes (`presence`).
Decides what a driver sees and may ask for; never what energy costs.
"""
