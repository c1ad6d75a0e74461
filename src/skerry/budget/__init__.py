"""What the node costs: prices, ledger, burn, and what is done when a budget runs out."""
