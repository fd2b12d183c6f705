"""The player's script: its modules joined into one scope mean what they mean apart."""

from __future__ import annotations

import gzip

import pytest

from replaylab.widgets.bundle import join, lean, loader, module, script, source

TWO = "export const two = 2;\n"


def test_the_script_needs_nothing_else() -> None:
    """What reaches the page imports and fetches nothing, and names no address."""
    for text in (source(), module(), loader()):
        assert not [line for line in text.splitlines() if line.startswith("import ")]
        assert "fetch(" not in text
        assert "XMLHttpRequest" not in text
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert source().count("export ") == 1


def test_widget_state_holds_little() -> None:
    """What every saved player holds of the script is a few lines; the kernel sends the rest, which names itself."""
    assert len(loader()) < 3_000
    assert "export default create;" in gzip.decompress(script()).decode()
    name = loader().rpartition('playerLoader("')[2].partition('"')[0]
    assert f"replaylab/player/{name}" in module()


def test_only_comments_are_left_out() -> None:
    """A type in front of a value is no comment of its own: the code up to the next comment stays."""
    made = lean("/** @type {any} */ (top).x = 1;\n/** One. */\nconst two = 2;\n/**\n * Three.\n */\nthree();\n")
    assert made == "/** @type {any} */ (top).x = 1;\nconst two = 2;\nthree();"


def test_every_module_stands_after_what_it_imports() -> None:
    """Constants are there when the modules that use them run."""
    modules = {
        "player": 'import { four } from "./four.js";\nimport { two } from "./two.js";\n\nexport default [two, four];\n',
        "four": 'import { two } from "./two.js";\n\nexport const four = two * two;\n',
        "two": TWO,
    }
    assert join(modules) == "const two = 2;\n\nconst four = two * two;\n\nexport default [two, four];\n"


@pytest.mark.parametrize(
    ("player", "others", "said"),
    [
        ('import { three } from "./two.js";\n', {"two": TWO}, "imports three, which two.js does not export"),
        ('import { two } from "./three.js";\n', {"two": TWO}, "imports from three.js, which does not exist"),
        ('import { two } from "./two.js";\nconst two = 3;\n', {"two": TWO}, "both declare two"),
        ('import { two } from "./two.js";\n', {"two": TWO, "three": ""}, "three.js is imported by no module"),
        (
            'import { two } from "./two.js";\n',
            {"two": 'import { one } from "./one.js";\n' + TWO, "one": 'import { two } from "./two.js";\n'
             "export const one = 1;\n"},
            "in a circle: player -> two -> one -> two",
        ),
        ('import { two as three } from "./two.js";\n', {"two": TWO}, "two as three, which two.js does not export"),
        ('import * as all from "./two.js";\n', {"two": TWO}, "must have the form"),
    ],
)  # fmt: skip
def test_modules_that_do_not_fit_into_one_scope_are_refused(player: str, others: dict[str, str], said: str) -> None:
    """A name that is missing, renamed or declared twice, a circle and a module that is not used are errors by name."""
    with pytest.raises(ValueError, match=said):
        join({"player": player, **others})
