// The dashboard: draws a state into an element, again and again; what has not changed is left as it is.
// It runs on a page of its own, where events bring the states, and in a notebook's cell, where a widget does.

const RATE_POINTS = 60;
const NEVER = "never";
const NUMBERS = new Set(["ticks", "gaps", "missing", "after tick"]); // columns that are aligned at the right
const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} [children]
 */
function make(tag, attributes = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** @param {Element} element @param {string} text */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {Element} element @param {string} name @param {string} value */
function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** @param {number | null | undefined} number */
function count(number) {
  return number === null || number === undefined ? "unknown" : Number(number).toLocaleString("en-GB", { maximumFractionDigits: 1 });
}

/** A count and its noun, in the plural unless it is one.
 * @param {number | null | undefined} number
 * @param {string} noun
 */
function countOf(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** @param {number | null | undefined} bytes */
function size(bytes) {
  if (bytes === null || bytes === undefined || bytes < 0) return "unknown";
  const power = Math.min(4, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** power).toLocaleString("en-GB", { maximumFractionDigits: 1 })} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

/** @param {string | null} at @param {string} now */
function ago(at, now) {
  if (!at) return NEVER;
  const seconds = Math.max(0, (Date.parse(now) - Date.parse(at)) / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h ago` : at.slice(0, 16).replace("T", " ");
}

/** A line through points, as the path of a small chart of 100 by 40.
 * @param {[number, number][]} points
 * @param {number} [least]
 */
function line(points, least) {
  if (points.length === 0) return "";
  if (points.length === 1) return "M49 20h2";
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  const left = Math.min(...xs);
  const low = least ?? Math.min(...ys);
  const width = Math.max(...xs) - left || 1;
  const height = Math.max(...ys) - low || 1;
  const place = (/** @type {[number, number]} */ [x, y]) =>
    `${(((x - left) / width) * 100).toFixed(2)} ${(39 - ((y - low) / height) * 38).toFixed(2)}`;
  return `M${points.map(place).join("L")}`;
}

/** @param {string} name @param {string} label */
function chart(name, label) {
  const drawing = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": label })) {
    drawing.setAttribute(key, value);
  }
  drawing.setAttribute("class", name);
  drawing.append(document.createElementNS(SVG, "path"));
  return drawing;
}

/** Children of an element by key: made where they are new, moved where the order changed, removed where they are gone.
 * Items of one key are told apart by their order.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => HTMLElement} build
 * @param {(element: HTMLElement, item: T) => void} fill
 */
function keyed(parent, items, key, build, fill) {
  const before = new Map(Array.from(parent.children, (child) => [/** @type {HTMLElement} */ (child).dataset.key, child]));
  const taken = new Map();
  items.forEach((item, index) => {
    const place = taken.get(key(item)) || 0;
    taken.set(key(item), place + 1);
    const name = place ? `${key(item)} #${place}` : key(item);
    const found = /** @type {HTMLElement} */ (before.get(name) || build(item));
    before.delete(name);
    found.dataset.key = name;
    fill(found, item);
    if (parent.children[index] !== found) parent.insertBefore(found, parent.children[index] || null);
  });
  for (const gone of before.values()) gone.remove();
}

/** @param {Element} list @param {[string, string][]} pairs */
function fillPairs(list, pairs) {
  keyed(
    list,
    pairs.flatMap(([name, value]) => [
      { tag: "dt", name, text: name },
      { tag: "dd", name, text: value },
    ]),
    (one) => `${one.tag} ${one.name}`,
    (one) => make(one.tag),
    (element, one) => say(element, one.text),
  );
}

/** @param {Element} element @param {string} verdict @param {string} text */
function fillVerdict(element, verdict, text) {
  set(element, "class", `rlab-verdict rlab-${verdict}`);
  say(element, text);
}

export class Dashboard {
  /**
   * @param {HTMLElement} root
   * @param {(act: string, run: string | null) => Promise<string>} act does what is asked, and says how that began
   * @param {boolean} links whether games are links to pages that play
   */
  constructor(root, act, links) {
    this.act = act;
    this.links = links;
    /** @type {Map<string, [number, number][]>} */
    this.rates = new Map();
    this.seenAt = 0;
    this.refusal = "";
    this.lost = false;
    this.frame = "";
    root.classList.add("rlab-dash");
    this.title = make("h1");
    this.verdict = make("span", { class: "rlab-verdict", role: "status" });
    this.age = make("span", { class: "rlab-soft" });
    this.leave = make("form", { method: "post", action: "session/end", hidden: "" }, [make("button", {}, ["Leave"])]);
    this.alarms = make("ul", { class: "rlab-alarms" });
    this.alarm = make("div", { role: "alert", hidden: "" }, [this.alarms]);
    this.tiles = make("dl", { class: "rlab-tiles" });
    this.runs = make("div", { class: "rlab-cards" });
    this.more = make("p", { class: "rlab-soft" });
    this.feeds = make("tbody");
    this.games = make("div", { class: "rlab-games" });
    this.gaps = make("tbody");
    this.said = make("p", { role: "status", class: "rlab-soft" });
    this.acts = make("div", { class: "rlab-acts" }, [this.button("compact", null), this.button("verify", null)]);
    this.feedPart = part("Feeds", [table(["feed", "state", "ticks", "gaps", "missing", "reasons"], this.feeds)]);
    this.gapPart = part("Gaps", [table(["game", "after tick", "missing", "cause", "from (UTC)", "healed"], this.gaps)]);
    this.gamePart = part("Last games", [this.games]);
    root.replaceChildren(
      make("header", { class: "rlab-top" }, [this.title, this.verdict, this.age, this.leave]),
      this.alarm,
      part("Store", [this.tiles, this.acts, this.said]),
      part("Recorders", [this.runs, this.more]),
      this.feedPart,
      this.gamePart,
      this.gapPart,
    );
  }

  /** @param {string} act @param {string | null} run */
  button(act, run) {
    const button = /** @type {HTMLButtonElement} */ (make("button", { type: "button" }, [act]));
    button.dataset.act = act;
    let sure = 0;
    button.addEventListener("click", async () => {
      if (Date.now() > sure) {
        sure = Date.now() + 5000; // the second click within five seconds confirms
        say(button, `${act}: sure?`);
        setTimeout(() => say(button, act), 5000);
        return;
      }
      sure = 0;
      say(button, act);
      button.disabled = true;
      say(this.said, await this.act(act, run).catch((problem) => String(problem.message || problem)));
      button.disabled = false;
    });
    return button;
  }

  /** @param {any} state */
  draw(state) {
    this.seenAt = Date.now();
    this.refusal = "";
    say(this.title, state.store);
    fillVerdict(this.verdict, state.verdict, state.verdict === "idle" ? "nothing records" : state.verdict);
    this.tick();
    set(this.leave, "class", "rlab-leave");
    this.leave.hidden = !state.leave;
    this.alarm.hidden = state.problems.length === 0;
    keyed(this.alarms, state.problems, String, () => make("li"), say);
    this.drawStore(state);
    for (const run of state.runs) this.keepRate(run);
    keyed(
      this.runs,
      state.runs,
      (run) => run.run,
      (run) => this.buildRun(run),
      (card, run) => this.fillRun(card, run, state),
    );
    say(
      this.more,
      state.runs.length === 0
        ? "No recorder has written a status here."
        : state.more_runs
          ? `and ${countOf(state.more_runs, "earlier run")}`
          : "",
    );
    this.drawFeeds(state);
    this.drawGames(state);
    this.drawGaps(state);
  }

  /** Say how old what is shown is: the page may have lost its server. */
  tick() {
    const seconds = Math.round((Date.now() - this.seenAt) / 1000);
    this.lost = Boolean(this.refusal) || seconds >= 4;
    set(this.age, "class", this.lost ? "rlab-verdict rlab-degraded rlab-lost" : "rlab-soft");
    if (this.refusal) say(this.age, `${this.refusal}; this is what was last seen`);
    else say(this.age, !this.lost ? "as it is now" : `no answer for ${seconds} s; this is what was last seen`);
  }

  /** Say why the server answers with nothing to draw.
   * @param {string} why
   */
  refuse(why) {
    this.refusal = why;
    this.tick();
  }

  /** @param {any} state */
  drawStore(state) {
    const totals = state.totals || {};
    const reading = state.reading ? "being read" : "";
    /** @type {[string, string][]} */
    const pairs = [
      ["games", reading || count(totals.games)],
      ["ticks", reading || count(totals.ticks)],
      ["in segments", reading || size(totals.bytes)],
      ["verified here", ago(state.verified_at, state.at)],
      ["free", state.disk ? `${size(state.disk.free)} of ${size(state.disk.total)}` : "unknown"],
    ];
    const wanted = pairs.map(([name, value]) => ({ name, value }));
    keyed(
      this.tiles,
      wanted,
      (one) => one.name,
      (one) => make("div", {}, [make("dt", {}, [one.name]), make("dd")]),
      (element, one) => say(element.lastElementChild, one.value),
    );
    this.acts.hidden = state.role !== "admin";
    const job = state.job;
    for (const button of this.acts.querySelectorAll("button")) button.disabled = Boolean(job?.running);
    if (job) say(this.said, job.running ? `${job.act} is running` : `${job.act} took ${job.seconds} s: ${job.said}`);
  }

  /** @param {any} run */
  keepRate(run) {
    const kept = this.rates.get(run.run) || [];
    const at = Date.parse(run.written_at || 0) / 1000;
    if (kept.length === 0 || kept[kept.length - 1][0] !== at) kept.push([at, run.ticks_a_second || 0]);
    this.rates.set(run.run, kept.slice(-RATE_POINTS));
  }

  /** @param {any} run */
  buildRun(run) {
    const acts = make("div", { class: "rlab-acts" }, [this.button("flush", run.run), this.button("stop", run.run)]);
    const head = make("div", { class: "rlab-top" }, [make("h3", {}, [run.run]), make("span")]);
    const drawing = make("figure", { class: "rlab-rate" }, [
      make("figcaption", { class: "rlab-soft" }),
      chart("rlab-chart", "ticks a second over the last minute"),
    ]);
    return make("article", { class: "rlab-card", "aria-label": `recorder ${run.run}` }, [
      head,
      make("p"),
      make("dl", { class: "rlab-pairs" }),
      drawing,
      acts,
    ]);
  }

  /** @param {HTMLElement} card @param {any} run @param {any} state */
  fillRun(card, run, state) {
    const [head, why, pairs, drawing, acts] = card.children;
    const ended = run.state === "closed" || run.state === "dead";
    fillVerdict(head.lastElementChild, run.state === "closed" ? "idle" : run.verdict, run.state === "recording" ? run.verdict : run.state);
    say(why, run.reasons.join("; "));
    const refused = Object.entries(run.refused).map(([reason, number]) => `${count(number)} ${reason}`);
    fillPairs(pairs, [
      ["ticks", ended ? count(run.accepted) : `${count(run.accepted)} at ${count(run.ticks_a_second)} a second`],
      ["game", run.game_id || (ended ? "none" : "none now")],
      ["not yet durable", run.state === "dead" && run.unsynced ? `${count(run.unsynced)} when last seen` : count(run.unsynced)],
      ["last sync", ago(run.durable_at, state.at)],
      ["refused", refused.join(", ") || "none"],
      ["errors", `${count(run.errors)}${run.last_error ? `: ${run.last_error}` : ""}`],
      ["last seen", ago(run.written_at, state.at)],
      ["process", `${run.process} on ${run.machine}`],
    ]);
    const rates = this.rates.get(run.run) || [];
    const most = Math.max(0, ...rates.map((rate) => rate[1]));
    say(drawing.firstElementChild, `ticks a second, last minute: ${most ? `0 to ${count(most)}` : "none"}`);
    set(drawing.lastElementChild.firstElementChild, "d", line(rates, 0));
    /** @type {HTMLElement} */ (acts).hidden = ended || !["record", "admin"].includes(state.role);
    drawing.toggleAttribute("hidden", ended);
  }

  /** @param {any} state */
  drawFeeds(state) {
    const feeds = state.runs.flatMap((/** @type {any} */ run) => run.feeds.map((/** @type {any} */ feed) => ({ ...feed, run: run.run })));
    this.feedPart.hidden = feeds.length === 0;
    fillRows(
      this.feeds,
      feeds,
      (feed) => `${feed.run} ${feed.feed}`,
      (feed) => [
        feed.feed,
        feed.state,
        count(feed.ticks || 0),
        count(feed.gaps || 0),
        count(feed.missing || 0),
        (feed.reasons || []).filter((/** @type {string} */ why) => why !== feed.state).join("; "),
      ],
    );
  }

  /** @param {any} state */
  drawGames(state) {
    this.gamePart.hidden = state.games.length === 0;
    keyed(
      this.games,
      state.games,
      (game) => game.game_id,
      (game) => {
        const label = make("span", { class: "rlab-name" }, [game.game_id]);
        const address = `game/${encodeURIComponent(game.game_id)}`;
        const attributes = this.links ? { href: address, target: "_blank", rel: "noopener" } : {};
        return make(this.links ? "a" : "div", { class: "rlab-game", title: game.game_id, ...attributes }, [
          label,
          chart("", `price of ${game.game_id}`),
          make("span"),
        ]);
      },
      (element, game) => {
        set(element.children[1].firstElementChild, "d", line(game.points));
        const ended = game.complete ? "ended" : "not ended";
        say(
          element.lastElementChild,
          `peak ${game.peak === null ? "unknown" : Number(game.peak).toFixed(2)}, ${countOf(game.ticks, "tick")}, ${ended}${game.gaps ? `, ${countOf(game.gaps, "gap")}` : ""}`,
        );
      },
    );
  }

  /** @param {any} state */
  drawGaps(state) {
    this.gapPart.hidden = state.gaps.length === 0;
    fillRows(
      this.gaps,
      state.gaps,
      (gap) => `${gap.game_id} ${gap.after} ${gap.start} ${gap.cause}`,
      (gap) => [
        gap.game_id || "",
        count(gap.after),
        count(gap.missing),
        (gap.cause || "unknown").replaceAll("_", " "),
        gap.start ? gap.start.slice(0, 19).replace("T", " ") : "",
        gap.healed ? "yes" : "no",
      ],
    );
  }
}

/** What stands for an answer that did not come.
 * @returns {any}
 */
function nothing() {
  return null;
}

/** @param {string} title @param {HTMLElement[]} children */
function part(title, children) {
  return make("section", { "aria-label": title }, [make("h2", {}, [title]), ...children]);
}

/** @param {string[]} names @param {HTMLElement} body */
function table(names, body) {
  const head = make("thead", {}, [
    make(
      "tr",
      {},
      names.map((name) => make("th", { scope: "col", class: NUMBERS.has(name) ? "rlab-number" : "" }, [name])),
    ),
  ]);
  body.dataset.names = names.join("|");
  return make("div", { class: "rlab-scroll", tabindex: "0", role: "group", "aria-label": `table: ${names.join(", ")}` }, [
    make("table", {}, [head, body]),
  ]);
}

/**
 * @param {Element} body
 * @param {any[]} rows
 * @param {(row: any) => string} key
 * @param {(row: any) => string[]} cells
 */
function fillRows(body, rows, key, cells) {
  const names = /** @type {HTMLElement} */ (body).dataset.names.split("|");
  keyed(
    body,
    rows,
    key,
    () =>
      make(
        "tr",
        {},
        names.map((name) => make("td", { "data-name": name, class: NUMBERS.has(name) ? "rlab-number" : "" })),
      ),
    (element, row) => {
      cells(row).forEach((text, index) => {
        say(element.children[index], text);
      });
    },
  );
}

/** Keep a page of its own up to date.
 * @param {HTMLElement} root
 */
function start(root) {
  const act = async (/** @type {string} */ name, /** @type {string | null} */ run) => {
    const answer = await fetch("act", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ act: name, run, confirm: name }),
    }).catch(nothing);
    if (!answer) return `no answer from the server; whether ${name} was begun is not known`;
    const said = await answer.json();
    return said.said || said.error;
  };
  const dashboard = new Dashboard(root, act, true);
  const name = () => {
    const what = dashboard.lost ? "no answer" : state.verdict;
    document.title = `${what}: ${state.store.split("/").pop()}, replaylab`; // seen on its tab, too
  };
  const draw = (/** @type {any} */ drawn) => {
    dashboard.draw(drawn);
    name();
  };
  let state = JSON.parse(document.getElementById("state").textContent);
  draw(state);
  let events = /** @type {EventSource | null} */ (null);
  const connect = () => {
    events = new EventSource("events");
    events.onmessage = (event) => {
      state = { ...state, ...JSON.parse(event.data) }; // the first event of a connection is whole, later ones what is new
      draw(state);
    };
    events.onerror = async () => {
      if (events.readyState !== EventSource.CLOSED) return; // a server that was lost is asked again; a refusal ends it
      setTimeout(connect, 2000);
      const answer = await fetch("state").catch(nothing);
      const said = await answer?.json().catch(nothing);
      if (answer?.status === 401) dashboard.refuse("the session has ended: reload this page and bring a token");
      else if (said?.error) dashboard.refuse(said.error);
      else if (said) {
        state = { ...state, ...said }; // too many pages follow, and this one asks
        draw(state);
      }
    };
  };
  connect();
  setInterval(() => {
    dashboard.tick();
    name();
  }, 1000);
}

/** Keep a notebook's cell up to date; anywidget calls it.
 * @param {{ model: any, el: HTMLElement }} place
 */
function render({ model, el }) {
  const root = document.createElement("div");
  root.dataset.player = model.get("player_id"); // what stands in for it in a saved notebook is hidden from now on
  root.dataset.row = "0";
  el.append(root);
  const act = async (/** @type {string} */ name, /** @type {string | null} */ run) => {
    model.send({ act: name, run, confirm: name });
    return `${name} was asked for`;
  };
  const dashboard = new Dashboard(root, act, false);
  const draw = () => dashboard.draw(model.get("state"));
  draw();
  model.on("change:state", draw);
  const timer = setInterval(() => dashboard.tick(), 1000);
  return () => {
    clearInterval(timer);
    model.off("change:state", draw);
  };
}

const place = document.getElementById("dashboard");
if (place) start(place);

export default { render };
