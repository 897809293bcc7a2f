"""One program for each peer; it runs in an environment of its own and imports nothing of ours."""
