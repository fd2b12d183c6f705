"""Bytes of JSON lines -> rows: dialects, the careful reader, the fast one, and resynchronising after damage."""
