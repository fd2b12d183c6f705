"""Sessions: what keeps a feed alive: states, pauses, circuit and gaps, on one thread for all feeds of a process."""
