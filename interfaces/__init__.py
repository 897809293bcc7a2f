"""Models, errors and protocols that cross a boundary. Imports nothing else of this project."""
