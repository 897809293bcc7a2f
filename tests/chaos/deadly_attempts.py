"""What tests of `deadly_app` need to know of it: importing that module itself changes what is registered."""

MAX_ATTEMPTS = 3
"""Attempts that a deadly task is given."""
