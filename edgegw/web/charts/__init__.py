"""The drawing engine: charts and the map of stations as inline SVG, and the same numbers as rows.

`svg` writes and escapes elements · `axes` lays out scales, ticks and legends · `series` what the charts take · `price_curve`
prices of a day · `plan` a charging plan · `map` stations around a place · `tables` the same numbers as a table.
Pure: values in, text out. No clock, no ledger, no request.
"""
