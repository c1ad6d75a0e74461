"""The admin door: who may use it, its routes, its pages, and the document that describes them."""
