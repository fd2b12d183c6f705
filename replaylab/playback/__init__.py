"""The parts of the engine: what is played, where the playhead stands, who hears of it, and when."""
