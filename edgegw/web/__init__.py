"""The pages that a station or a representative serves to people: drivers, producers, industrial members, operators.

The map: `site` what pages know of the rest (ports and settings) · `texts` words in Korean and English · `assets` files that
never change · `pages` templates and answers · `visitors` who is asking (cookies, login, language) · `forms` what was filled
in · `guard` what comes in at all, and the headers of what goes out · `pulse` live updates · `application` areas become one
application · `server` the application is served · `connections` how many it holds · `shown` quantities as one
visitor reads them. Each area is a folder of its own: its `routes` and its templates.
Pure, values in and text out: `formats` writes and reads what people see, `charts` draws prices, plans and the map of
stations, `geography` knows where things lie.
Decides nothing about energy or money: forms become events and questions to the office.
"""
