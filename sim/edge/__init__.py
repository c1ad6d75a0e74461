"""The edge in virtual time: sites, visitors, purges, crashes, and what must hold of all answers."""
