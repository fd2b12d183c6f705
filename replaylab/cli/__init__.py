"""The commands: each is one parse, one library call, one print."""
