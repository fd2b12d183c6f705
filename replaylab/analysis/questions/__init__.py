"""One question a module: survival, hazard, peaks, durations, side bets, entries, features, volatility."""
