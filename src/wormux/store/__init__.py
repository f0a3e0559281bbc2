"""What outlives the server: the `Store` port, in SQLite and in memory."""
