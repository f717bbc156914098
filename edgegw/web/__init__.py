"""The pages that a station serves to its drivers: pictures as SVG, numbers and times as words, forms as integers.

`formats` writes and reads what people see, `svg` escapes, `axes` lays out; `charts` draw what `series` hold and `tables`
say it in rows; `map` draws where stations are, `geography` knows where things lie. All of these are pure: values in,
text out.
"""
