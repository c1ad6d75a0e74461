"""How a missing thing is fetched: sources, fills, breakers, credentials and budgets."""
