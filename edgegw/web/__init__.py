"""The web pages that a station or a representative serves: to drivers, producers, industrial members and operators.

The map: `site` ports and settings of one web server · `application` builds one ASGI application from areas · `server` runs
it (uvicorn) · `guard` checks requests and sets security headers · `visitor_login` cookies, login and language · `forms`
form parsing and form tokens · `pages` templates and responses · `catalogues` gettext, Korean and English · `assets` static
files · `live_updates` server-sent events · `formatting` quantities for one visitor · `csv_export` CSV files.
Pure: `formats` formats and parses quantities · `geography` distances and geohashes · `charts/` SVG of prices, plans and maps.
Areas, each with its `routes` and its templates: `driver/`, `operator/`, `market/`.
Decides nothing about energy or money: a form becomes an event for the core or a call of the representative.
"""
