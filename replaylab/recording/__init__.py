"""The recorder and its parts: writer, syncer, sealer, disk watch, and the state that they share."""
