"""What every room may use: leaves that decide nothing of the station, the ledger or the market."""
