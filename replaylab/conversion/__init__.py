"""Recordings -> store: sources, the plan, one job a source, the pool that runs them, and the report."""
