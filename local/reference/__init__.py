"""The documents below `docs/reference` that are made of the code: `python -m local.reference`."""
