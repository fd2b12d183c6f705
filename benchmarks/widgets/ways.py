"""Ways: the other ways to play a game in a notebook, each as the source of one cell, and how its tick is read.

Each cell makes `shown` (what is displayed, with a slider where one can seek) and `run(rate)`, a coroutine that plays
all ticks by the wall clock and leaves out those it is too late for. What the pages show is read from the page itself:
pictures carry their tick as a bar code, charts of the browser carry it as their title.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BITS: Final = 12  # of the bar code: up to 4,095 ticks
BIT_PIXELS: Final = 8

_COMMON: Final = """
import asyncio, io, math, random, time
import ipywidgets
import numpy as np
rng = random.Random(7)
prices, price = [], 1.0
for _ in range({ticks}):
    price *= math.exp(rng.gauss(0, 0.02))
    prices.append(price)
rows = np.arange({ticks})
slider = ipywidgets.IntSlider(0, 0, {ticks} - 1, readout=False, layout=ipywidgets.Layout(width='600px'))

async def run(rate):
    begun, last = time.monotonic(), -1
    while True:
        row = min(int((time.monotonic() - begun) * rate), {ticks} - 1)
        if row > last:
            show(row)
            last = row
        if row == {ticks} - 1:
            return
        await asyncio.sleep(max(0.001, begun + (row + 1) / rate - time.monotonic()))

def code(row):
    cells = [(row >> bit) & 1 for bit in range({bits})]
    return np.repeat(np.array(cells, float)[None, :], {pixels}, 0).repeat({pixels}, 1)
"""
_FIGURE: Final = """
from matplotlib.figure import Figure
figure = Figure(figsize=(7, 3), dpi=100)
axes = figure.subplots()
line, = axes.plot([], [])
axes.set(xlim=(0, {ticks}), ylim=(0.9 * min(prices), 1.1 * max(prices)), xlabel='tick', ylabel='price')
bars = figure.figimage(code(0), 0, 0, cmap='gray', vmin=0, vmax=1)
image = ipywidgets.Image(format='png')
"""
_REDRAW: Final = """
def show(row):
    line.set_data(rows[:row + 1], prices[:row + 1])
    bars.set_data(code(row))
    drawn = io.BytesIO()
    figure.savefig(drawn, format='png')
    image.value = drawn.getvalue()
"""
_BLIT: Final = """
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image as Picture
canvas = FigureCanvasAgg(figure)
line.set_animated(True)
bars.set_animated(True)
canvas.draw()
paper = canvas.copy_from_bbox(figure.bbox)
def show(row):
    line.set_data(rows[:row + 1], prices[:row + 1])
    bars.set_data(code(row))
    canvas.restore_region(paper)
    axes.draw_artist(line)
    bars.draw(canvas.get_renderer())
    drawn = io.BytesIO()
    Picture.fromarray(np.asarray(canvas.buffer_rgba())).save(drawn, 'png', compress_level=1)
    image.value = drawn.getvalue()
"""
_SLIDE: Final = """
slider.observe(lambda change: show(change['new']), 'value')
show(0)
shown = ipywidgets.VBox([slider, {display}])
shown
"""
_IPYMPL: Final = """
%matplotlib widget
import matplotlib.pyplot as plt
plt.ioff()
figure, axes = plt.subplots(figsize=(7, 3), dpi=100)
line, = axes.plot([], [])
axes.set(xlim=(0, {ticks}), ylim=(0.9 * min(prices), 1.1 * max(prices)), xlabel='tick', ylabel='price')
bars = figure.figimage(code(0), 0, 0, cmap='gray', vmin=0, vmax=1)
image = figure.canvas
image.header_visible = image.toolbar_visible = image.footer_visible = False
def show(row):
    line.set_data(rows[:row + 1], prices[:row + 1])
    bars.set_data(code(row))
    figure.canvas.draw_idle()
"""
_PLAY: Final = """
timer = ipywidgets.Play(value=0, min=0, max={ticks} - 1, interval=25)
ipywidgets.jslink((timer, 'value'), (slider, 'value'))
slider.observe(lambda change: show(change['new']), 'value')
show(0)
async def run(rate):
    timer.interval = round(1000 / rate)
    timer.playing = True
    while slider.value < {ticks} - 1:
        await asyncio.sleep(0.05)
shown = ipywidgets.VBox([timer, slider, image])
shown
"""
_PLOTLY: Final = """
import plotly.graph_objects as go
image = go.FigureWidget(go.Scatter(x=[], y=[], mode='lines'))
image.update_layout(width=700, height=300, title='0', xaxis_range=[0, {ticks}],
                    yaxis_range=[0.9 * min(prices), 1.1 * max(prices)])
def show(row):
    with image.batch_update():
        image.data[0].x = rows[:row + 1]
        image.data[0].y = prices[:row + 1]
        image.layout.title.text = str(row)
"""
_BQPLOT: Final = """
import bqplot
x = bqplot.LinearScale(min=0, max={ticks})
y = bqplot.LinearScale(min=0.9 * min(prices), max=1.1 * max(prices))
line = bqplot.Lines(x=[0], y=[1], scales={{'x': x, 'y': y}})
image = bqplot.Figure(marks=[line], axes=[bqplot.Axis(scale=x), bqplot.Axis(scale=y, orientation='vertical')],
                      title='0', layout=ipywidgets.Layout(width='700px', height='300px'))
def show(row):
    with line.hold_sync():
        line.x = rows[:row + 1]
        line.y = prices[:row + 1]
    image.title = str(row)
"""
_OURS: Final = """
import datetime
from replaylab.clock import FASTEST
from replaylab.tick import Tick
from replaylab.widgets.player import play
zero = datetime.datetime(2031, 1, 2, tzinfo=datetime.timezone.utc)
seen = []
def at(rate):
    return [Tick(game_id=f'at {{rate}}', tick=row, timestamp=zero + datetime.timedelta(seconds=row / rate),
                 price=f'{{prices[row]:.12f}}', active=True) for row in range({ticks})]
player = play([at(40), at(60)])
_ = player.on_tick(lambda step: seen.append(step.index))
async def run(rate):
    player.pick([40, 60].index(rate))
    await asyncio.sleep(0.5)
    seen.clear()
    begun = time.monotonic()
    player.play()
    while len(seen) < {ticks} and time.monotonic() - begun < {ticks} / rate + 5:
        await asyncio.sleep(0.05)
    assert seen == list(range({ticks})), 'a tick did not reach the callback once and in order'
player
"""

_CANVAS: Final = "document.querySelector('.jupyter-matplotlib canvas')"
_IMAGE: Final = "document.querySelector('img.widget-image')"
_CODED: Final = """() => {{
    const source = {source};
    if (!source || !(source.naturalWidth ?? source.width)) return -1;
    const height = source.naturalHeight ?? source.height;
    const paper = window.paper ??= new OffscreenCanvas({width}, 1).getContext('2d', {{ willReadFrequently: true }});
    paper.drawImage(source, 0, height - {middle}, {width}, 1, 0, 0, {width}, 1);
    const data = paper.getImageData(0, 0, {width}, 1).data;
    let row = 0;
    for (let bit = 0; bit < {bits}; bit += 1) row |= (data[4 * ({pixels} * bit + {middle})] > 127) << bit;
    return row;
}}"""
_TITLED: Final = "() => Number(document.querySelector('{title}')?.textContent ?? -1)"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to play: its name, the source of its cell, and the script that reads the tick from the page.

    Examples
    --------
    >>> [way.name for way in WAYS][-1]
    'replaylab'
    """

    name: str
    source: str
    reads: str

    def cell(self, ticks: int) -> str:
        """The source for some ticks."""
        return self.source.format(ticks=ticks, bits=BITS, pixels=BIT_PIXELS)


def _coded(source: str) -> str:
    return _CODED.format(source=source, width=BITS * BIT_PIXELS, pixels=BIT_PIXELS, middle=BIT_PIXELS // 2, bits=BITS)


def _slide(display: str = "image") -> str:
    return _SLIDE.replace("{display}", display)


WAYS: Final = (
    Way("matplotlib redrawn", _COMMON + _FIGURE + _REDRAW + _slide(), _coded(_IMAGE)),
    Way("matplotlib blitted", _COMMON + _FIGURE + _BLIT + _slide(), _coded(_IMAGE)),
    Way("ipympl", _COMMON + _IPYMPL + _slide(), _coded(_CANVAS)),
    Way("Play and jslink", _COMMON + _FIGURE + _REDRAW + _PLAY, _coded(_IMAGE)),
    Way("plotly", _COMMON + _PLOTLY + _slide(), _TITLED.format(title=".gtitle")),
    Way("bqplot", _COMMON + _BQPLOT + _slide(), _TITLED.format(title=".bqplot .mainheading")),
    Way("replaylab", _COMMON + _OURS, "() => Number(document.querySelector('.rlab')?.dataset.row ?? -1)"),
)
