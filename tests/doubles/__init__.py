"""Stand-ins for our own ports, held to the same conformance suite as the real ones."""
