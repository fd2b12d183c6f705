"""The directory is the database: open, read, recover, compact and verify a store."""
