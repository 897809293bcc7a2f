"""The only code that does I/O to the database and to storage."""
