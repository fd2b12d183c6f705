"""Refusals: the lines of a stream that could not be recorded, kept in a file beside the recording."""

from __future__ import annotations

import base64
import json
import logging
import os
from pathlib import Path
from typing import Final

from replaylab.durable import create, make_folders, sync, sync_folder
from replaylab.encryption.keys import StoreKeys
from replaylab.encryption.lines import SealedLines
from replaylab.journals.encoder import closed
from replaylab.storage.refused import ENDING, REFUSED, sealed_start

_DETAIL_LENGTH: Final = 200
_log = logging.getLogger("replaylab.recorder")


def log_refusal(reason: str, before: int, after: int) -> None:
    """Log that ticks were refused, when their count of a reason passes 1, 10, 100, ...: a full disk fills no log."""
    if before == 0 or len(str(before)) < len(str(after)):
        _log.warning(
            "refused: %s, %d so far", reason, after, extra={"event": "refused", "reason": reason, "refused": after}
        )


class Refusals:
    r"""Keep refused lines with their place and reason, one JSON object each; the file is made for the first one.

    Its members: `line` (from 1), `start` (byte of the stream), `reason`, `detail` (field and value, where one is at
    fault) and `raw`, the text of the line, or `raw_base64` when its bytes are no text; then `crc`, the checksum of what
    stands before it, which `verify` compares.

    Parameters
    ----------
    root, run : Path, str
        The store, and the run of the recorder, which names the file.
    keys : StoreKeys, optional
        Of an encrypted store, in which each line is encrypted.

    Examples
    --------
    >>> import tempfile
    >>> refusals = Refusals(Path(tempfile.mkdtemp()), "run")
    >>> refusals.keep(7, 120, "not_json", b"{oops")
    True
    >>> refusals.close()
    >>> refusals.path.read_text()
    '{"line": 7, "start": 120, "reason": "not_json", "raw": "{oops", "crc": "..."}\n'
    """

    def __init__(self, root: Path, run: str, keys: StoreKeys | None = None) -> None:
        self.path = root / REFUSED / f"{run}{ENDING}"
        self.kept = 0
        self.last_error: str | None = None
        self._descriptor = -1
        self._keys = keys
        self._sealed: SealedLines | None = None

    def keep(self, line: int, start: int, reason: str, raw: bytes, detail: str = "") -> bool:
        """Write one line to the operating system; return False when that fails: see `last_error`."""
        row: dict[str, object] = {"line": line, "start": start, "reason": reason}
        if detail:
            row["detail"] = detail[:_DETAIL_LENGTH]
        try:
            row["raw"] = raw.decode()
        except UnicodeDecodeError:
            row["raw_base64"] = base64.b64encode(raw).decode()
        if self._keys is not None:
            self._sealed = self._sealed or SealedLines(self._keys, "refused")
            row["kept"] = self.kept  # so that a line which is taken out leaves a gap
        data = closed(json.dumps(row, ensure_ascii=False)[:-1].encode(), 0)
        if self._sealed is not None:
            data = self._sealed.seal(data)
        try:
            if self._descriptor < 0:
                self._open()
            self._append(data)
        except OSError as error:  # a StoreError is one, too
            self.last_error = str(error)
            return False
        self.kept += 1
        return True

    def _append(self, data: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        if os.write(self._descriptor, data) != len(data):
            os.ftruncate(self._descriptor, size)
            raise OSError("no room for the whole line")

    def _open(self) -> None:
        sealed = self._sealed
        make_folders(self.path.parent, private=sealed is not None)
        self._descriptor = create(self.path, private=sealed is not None)
        sync_folder(self.path.parent)
        if sealed is not None:
            self._append(sealed_start(sealed.key_id, sealed.salt.hex()) * 2)

    def close(self) -> None:
        """Make permanent what was kept."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                sync(descriptor)
            except OSError as error:
                self.last_error = str(error)
            finally:
                os.close(descriptor)
