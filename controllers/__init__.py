"""Workflows: each plans its stages and aggregates their results. Pure: no I/O, no SQL, no clock."""
