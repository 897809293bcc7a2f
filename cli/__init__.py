"""The command line: `python -m cli`. It knows nothing but the HTTP API."""
