"""Charts of a game and of a store: still pictures that need neither pyplot nor a window.

Numbers become floats only to be drawn; every price that is written out is exact. `game_chart`, `store_chart` and
`style` load matplotlib, so they are loaded themselves only when something is drawn; `html` loads nothing.
"""
