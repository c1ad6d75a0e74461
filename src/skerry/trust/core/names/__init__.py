"""What may be believed of a DNS answer, how long, and by whom it may be asked. Decisions only."""
