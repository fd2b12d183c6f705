"""How recorders are doing, for other processes: a status file a run, and alerts at changes of state."""
