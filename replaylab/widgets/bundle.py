"""Script: the player's own JavaScript and style, put together from the files beside this one; nothing is fetched."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final

# In the order in which one needs another.
PARTS: Final = (
    "digits",
    "reel",
    "playhead",
    "report",
    "pace",
    "transport",
    "session",
    "theme",
    "paint",
    "chart",
    "seekbar",
    "panel",
    "keys",
    "view",
    "player",
)
_FOLDER: Final = Path(__file__).parent
_UNPACK: Final = """\
const unpacked = async () => {{
  const packed = "{packed}";
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const source = await new Response(stream).text();
  const address = URL.createObjectURL(new Blob([source], {{ type: "text/javascript" }}));
  const found = await import(address);
  URL.revokeObjectURL(address);
  return found;
}};
// A page keeps every module that it ever loaded, so all players of one version share one.
const player = await (globalThis[Symbol.for("replaylab/player/{name}")] ??= unpacked());
export default player.default;
"""


@cache
def source() -> str:
    """Give the player as one JavaScript module, readable, with its style sheet.

    Examples
    --------
    >>> "export default" in source(), source().isascii()
    (True, True)
    """
    parts = [(_FOLDER / "front" / f"{name}.js").read_text(encoding="ascii") for name in PARTS]
    look = (_FOLDER / "front" / "player.css").read_text(encoding="ascii")
    return "\n".join([f"const STYLE = {json.dumps(_lean(look))};", *parts, "//# sourceURL=replaylab/player.js\n"])


def packed(text: str | bytes) -> str:
    """Give text or bytes as base64 of gzip, the same for the same input."""
    data = text.encode() if isinstance(text, str) else text
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


@cache
def module() -> str:
    """Give the player as a small module that unpacks itself: a saved notebook holds it once for each player."""
    text = packed(_lean(source()))
    return _UNPACK.format(packed=text, name=hashlib.blake2b(text.encode(), digest_size=6).hexdigest())


def _lean(text: str) -> str:
    """Leave out indentation and the lines that are comments; line breaks stay, so that an error still has a place."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join("" if line.startswith("// ") else line for line in lines)
