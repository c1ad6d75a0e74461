"""Content-addressed bytes: proven before they are kept, durable before they are promised."""
