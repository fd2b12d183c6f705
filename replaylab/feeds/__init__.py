"""Feeds: one connection each to a source of live ticks; what keeps a feed alive is in `replaylab.sessions`."""
