"""What a notebook cell keeps of a widget: the widget, and what stands in for it where no kernel answers."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, runtime_checkable

import ipywidgets

from replaylab.widgets.bundle import module, stand_in_source

WIDGET_VIEW: Final = "application/vnd.jupyter.widget-view+json"


@runtime_checkable
class Kept(Protocol):
    """A widget of which a saved notebook keeps something that needs no kernel."""

    def stand_in(self) -> Mapping[str, str]:
        """Return what stands in for it, by media type; empty when nothing does."""


def in_kernel() -> bool:
    """Return whether this is the kernel of a notebook, which has pages to show something in."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def show(bundle: Any, kept: Mapping[str, str], text: str, name: str = "") -> None:
    """Show a widget, and in the same cell what stands in for it where the saved notebook is read later.

    What stands in can be renewed by its `name`.
    """
    from IPython.display import publish_display_data

    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    publish: Any = publish_display_data
    publish({kind: value for kind, value in data.items() if kind != "text/plain"}, metadata)
    publish({"text/plain": text, **kept}, transient={"display_id": name} if name else {})


def renew(kept: Mapping[str, str], text: str, name: str) -> None:
    """Put something else in the place of what stands in for a widget, wherever it was shown by that name."""
    from IPython.display import publish_display_data

    publish: Any = publish_display_data
    publish({"text/plain": text, **kept}, transient={"display_id": name}, update=True)


def keep_what_is_in_boxes() -> None:
    """Let the boxes of ipywidgets keep what stands in for the widgets in them, as each of them does alone."""
    from IPython import get_ipython

    if not in_kernel():
        return
    shell: Any = get_ipython()
    displays = shell.display_formatter.ipython_display_formatter
    if ipywidgets.Box not in displays.type_printers:
        displays.for_type(ipywidgets.Box, _show_box)


def _show_box(box: Any) -> None:
    """Show a box; one in which nothing is kept is shown as any box."""
    kept = [made for one in _inside(box) if (made := one.stand_in())]
    if not kept:
        raise NotImplementedError
    show(box._repr_mimebundle_(), {"text/html": "\n".join(one["text/html"] for one in kept)}, repr(box))


def _inside(box: Any) -> Iterator[Kept]:
    """Go through the widgets of a box that a notebook keeps something of."""
    for one in box.children:
        if isinstance(one, ipywidgets.Box):
            yield from _inside(one)
        elif isinstance(one, Kept):
            yield one


def embedded(entry: str, name: str, still: str, *values: Any, player: str = "") -> str:
    """Return HTML that shows `still`, and where scripts may run a widget that needs no kernel in its place.

    Parameters
    ----------
    entry : str
        The widget, as `bundle.module` names it.
    name : str
        Of the element that it is shown in.
    still : str
        HTML.
    *values
        What its `offline` takes after the name; JSON carries them.
    player : str
        Id of the widget in the same cell that this stands in for: it is hidden as long as that one shows.
    """
    made = module(entry).replace(f"export default {entry}.default;\n", "")
    call = f"{entry}.default.offline({', '.join(script_json(value) for value in (name, *values))});"
    return (
        f'<div data-rlab="{html.escape(name)}">{stand_in(player)}<div class="rlab-still">{still}</div></div>\n'
        f"<script>(async () => {{\n{made}{call}\n}})()</script>\n"  # a page would keep a module for good
    )


def stand_in(player: str) -> str:
    """Return the script that hides the element it is in while the widget of that id shows; nothing without an id."""
    if not player:
        return ""
    call = f"standIn(document.currentScript.parentElement, {script_json(player)});"
    return f"<script>(() => {{\n{stand_in_source()}{call}\n}})()</script>"


def plain(inside: str, player: str) -> str:
    """Return HTML that is seen where the widget of that id does not show."""
    return f"<div>{stand_in(player)}{inside}</div>"


def script_json(value: Any) -> str:
    """Return JSON that cannot end the script that it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
