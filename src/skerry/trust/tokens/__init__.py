"""Who is asking, and what that person or program may do here: identities, rules, tokens."""
