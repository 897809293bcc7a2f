"""Benchmarks: the orchestrator beside its peers, on one machine and one PostgreSQL."""
