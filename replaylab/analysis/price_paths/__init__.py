"""The price paths of many games, and how games are selected, cut into runs and resampled."""
