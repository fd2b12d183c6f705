"""Bytes of JSON lines -> rows: dialects, the careful reader, the fast one, and resynchronising after damage.

Who reads a tick's text: `json_line` (one line, any dialect), `line_layout` with `fields` and `digits` (whole blocks of
plain lines), `line_reader` (a live stream), `resync` (what is left of a damaged line). Who writes it: `Tick.to_line`,
`journals.encoder` (the same with a checksum), `export.text`.
"""
