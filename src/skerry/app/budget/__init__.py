"""Money, on one node: the ledger, the ladders and the routes, made from the settings."""
