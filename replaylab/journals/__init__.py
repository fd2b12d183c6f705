"""The crash-safe tail of a recording: format, encoder, reader, and what is not sealed yet."""
