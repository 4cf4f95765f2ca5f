"""Plumbing, the same for all services, without a domain noun; `tests/house` holds the list of its files."""
