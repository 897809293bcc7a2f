"""Vector files become tables: listing, inspecting, loading and publishing."""
