"""The servers that the app needs on one machine: PostgreSQL with PostGIS, and Azurite."""
