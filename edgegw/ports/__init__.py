"""Small Protocols between rooms: what the gateway needs of its adapters, and pages of representative and journal."""
