"""The player's JavaScript and style sheet as one script: the modules in `front/`, joined; nothing is fetched."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Final

_FRONT: Final = Path(__file__).parent / "front"
_STYLE: Final = "style"  # the module whose constant becomes the style sheet
_IMPORT: Final = re.compile(r'^import \{([^}]*)\} from "\.{1,2}/(\w+)\.js";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?!default )", re.MULTILINE)
_DECLARED: Final = re.compile(r"^(export )?(?:class|const|let|function|async function) (\w+)", re.MULTILINE)
_COMMENT: Final = re.compile(r"^\s*/\*\*(?:(?!\*/).)*\*/\n", re.MULTILINE | re.DOTALL)
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
// A page keeps every module that it ever loaded, so all {entry}s of one version share one.
const {entry} = await (globalThis[Symbol.for("replaylab/{entry}/{name}")] ??= unpacked());
export default {entry}.default;
"""


@cache
def source(entry: str = "player") -> str:
    """Return the player, or another widget, as one readable JavaScript module, with its style sheet.

    Other widgets lie in folders of their own and take from the player's modules what they need.

    Examples
    --------
    >>> "export default" in source(), source().isascii()
    (True, True)
    """
    modules = {path.stem: path.read_text(encoding="ascii") for path in sorted(_FRONT.glob("*.js"))}
    look = (_FRONT / "player.css").read_text(encoding="ascii")
    own = {path.stem: path.read_text(encoding="ascii") for path in sorted((_FRONT / entry).glob("*.js"))}
    if own:
        look += (_FRONT / entry / f"{entry}.css").read_text(encoding="ascii")
        modules = needed(entry, modules | own)
    modules[_STYLE] = f"export const STYLE = {json.dumps(lean(look))};\n"
    return join(modules, entry) + f"//# sourceURL=replaylab/{entry}.js\n"


def needed(entry: str, modules: dict[str, str]) -> dict[str, str]:
    r"""Return the modules that one imports from, and those that they do.

    Examples
    --------
    >>> list(needed("a", {"a": 'import { b } from "../b.js";\n', "b": "export const b = 1;\n", "c": ""}))
    ['b', 'a']
    """
    order: list[str] = []
    _visit(entry, modules, order, ())
    return {name: modules[name] for name in order}


def join(modules: dict[str, str], entry: str = "player") -> str:
    r"""Return modules as one script: each after those that it imports from, without its imports and exports.

    The script has one scope, so what a name means must not depend on the module: imports keep their names, no two
    modules declare the same one, and no module imports from itself in a circle.

    Parameters
    ----------
    modules : dict
        Source text by name.
    entry : str
        The one that the others are for.

    Raises
    ------
    ValueError
        When a module or a name that is imported does not exist, or the modules do not fit into one scope.

    Examples
    --------
    >>> two = "export const two = 2;\n"
    >>> print(join({"player": 'import { two } from "./two.js";\nexport default two;\n', "two": two}))
    const two = 2;
    <BLANKLINE>
    export default two;
    <BLANKLINE>
    """
    order: list[str] = []
    _visit(entry, modules, order, ())
    owners: dict[str, str] = {}
    for name in order:
        for _, declared in _DECLARED.findall(modules[name]):
            if declared in owners:
                raise ValueError(f"{name}.js and {owners[declared]}.js both declare {declared}; rename one of them")
            owners[declared] = name
    left_out = sorted(set(modules) - set(order))
    if left_out:
        raise ValueError(f"{left_out[0]}.js is imported by no module")
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", modules[name]).lstrip("\n")) for name in order)


def _visit(name: str, modules: dict[str, str], order: list[str], path: tuple[str, ...]) -> None:
    """Append a module after all that it imports from."""
    if name in path:
        raise ValueError(f"modules import each other in a circle: {' -> '.join([*path, name])}")
    if name in order:
        return
    text = modules[name]
    for names, other in _IMPORT.findall(text):
        if other not in modules:
            raise ValueError(f"{name}.js imports from {other}.js, which does not exist")
        exported = {declared for export, declared in _DECLARED.findall(modules[other]) if export}
        for imported in filter(None, map(str.strip, names.split(","))):
            if imported not in exported:
                raise ValueError(f"{name}.js imports {imported}, which {other}.js does not export")
        _visit(other, modules, order, (*path, name))
    if re.search(r"^import ", _IMPORT.sub("", text), re.MULTILINE):
        raise ValueError(f'{name}.js: an import must have the form: import {{ name }} from "./module.js";')
    order.append(name)


@cache
def stand_in_source() -> str:
    """Return the script that decides whether what stands in for a player is seen; it runs before the player's own."""
    return lean((_FRONT / "inline" / "standin.js").read_text(encoding="ascii")) + "\n"


def packed(text: str | bytes) -> str:
    """Return text or bytes as base64 of gzip, the same for the same input."""
    data = text.encode() if isinstance(text, str) else text
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


@cache
def script() -> bytes:
    """Return the player as the kernel sends it to a page: its source, packed."""
    return gzip.compress(lean(source()).encode(), 9, mtime=0)


@cache
def loader() -> str:
    """Return a small module that asks the kernel for the player's script, unless the page has it already.

    Widget state holds this instead of the script: notebooks save the state of every player.
    """
    text = lean((_FRONT / "inline" / "loader.js").read_text(encoding="ascii"))
    return f'{text}\nexport default playerLoader("{_name()}");\n'


def _name() -> str:
    return hashlib.blake2b(script(), digest_size=6).hexdigest()


@cache
def module(entry: str = "player") -> str:
    """Return a widget as a small module that unpacks itself: a saved notebook holds it once for each of them."""
    text = packed(lean(source(entry)))
    name = _name() if entry == "player" else hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    return _UNPACK.format(packed=text, entry=entry, name=name)


@cache
def page_script(entry: str = "player") -> str:
    """Return a widget as a script for pages beside each other, which load it once; it defines ``replaylab.<entry>``."""
    body = lean(source(entry)).replace("export default create;", f"(globalThis.replaylab ??= {{}}).{entry} = create;")
    return f"(() => {{\n{body}\n}})();\n"


def lean(text: str) -> str:
    """Leave out indentation, comments that have lines of their own, and empty lines."""
    lines = (line.strip() for line in _COMMENT.sub("", text).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("// "))
