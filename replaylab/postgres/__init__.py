"""PostgreSQL: the tables that a store is exported to, loading them, and reading them back; nothing here is a store."""
