// Feed line: how the feed of a live game is: connecting, live, stale, reconnecting, failed or ended; recorder and gaps.

import { make, put } from "./elements.js";

export class FeedLine {
  /** @param {import("./session.js").Session} session */
  constructor(session) {
    this.session = session;
    this.root = make("div", "rlab-feed");
    this.state = make("span", "rlab-state", { role: "status", "aria-label": "Feed" }); // read aloud when it changes
    this.why = make("span", "rlab-why");
    this.recorder = make("span", "rlab-recorder");
    this.gaps = make("span", "rlab-gaps");
    this.root.append(this.state, this.why, this.recorder, this.gaps);
    this.root.hidden = true;
  }

  changed() {
    const { feed } = this.session;
    this.root.hidden = !feed;
    if (!feed) return;
    put(this.state, feed.state);
    this.state.dataset.state = feed.state;
    put(this.why, feed.why);
    put(this.recorder, feed.recorder);
    put(this.gaps, feed.gaps);
    this.root.dataset.verdict = feed.verdict;
    this.root.title = `${feed.feed}: ${feed.verdict}`;
  }
}
