"""Bytes of JSON lines -> rows: dialects, the careful reader, the fast ones, and resynchronising after damage.

A tick has five text forms. Who writes and who reads each:

=====================  =========================================  ==================================================
form                   written by                                 read by
=====================  =========================================  ==================================================
recording line         `Tick.to_line` (one tick),                 `json_line.parse_line` (any line, one by one);
``{"type": "tick",``   `export.text.recording_lines` (columns),   `line_layout.Shape` and `kernel_lines` (blocks of
                       `simulation.dialect` (made-up games)       lines alike), both held to it by tests;
                                                                  `line_reader.LineReader` (live streams)
recorder sink line,    the recorders of others                    `json_line.parse_line`
game state document,
capture of
``gameStateUpdate``
torn or merged line    a killed writer, two writers at once       `resync.resynchronise`, which asks `json_line`
journal line: a        `journals.encoder.Encoder`                 `journals.format.scan` checks place and checksum
recording line with                                               and gives the recording line back, which is then
``seq`` and ``crc``                                               read as one
JSON object or CSV     `export.text.json_lines`, `csv_lines`      other programs; CSV is never read back
=====================  =========================================  ==================================================

`json_line` alone decides what a line is and what damage means: the fast readers take only lines that they understand
to the last byte and leave the others to it. Limits and checks of values stand in `replaylab.tick`, columns in
`replaylab.table`; a field that only some lines state is one entry in `table.COLUMNS` and one in
`json_line.FURTHER_FIELDS`.
"""
