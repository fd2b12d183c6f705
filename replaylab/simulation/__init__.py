"""The parts of which `replaylab.simulate` makes games, recordings and damage."""
