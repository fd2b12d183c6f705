// A page opened from a disk cannot fetch another one: what the search shows of a page then comes from excerpts.js.
if (location.protocol === "file:") {
  const root = new URL("../", document.currentScript.src).href;
  window.fetch = async (address) => {
    if (!window.EXCERPTS) throw new Error("excerpts.js of this site cannot be read; build the site again");
    const page = decodeURI(new URL(address, location.href).href.slice(root.length)).replace(/\.html$/, "");
    return new Response(`<div role="main">${window.EXCERPTS[page] ?? ""}</div>`);
  };
}

// How much a page counts in a search: what Sphinx counts, and on top of it how often, and whether as a phrase, the words stand there.
window.Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  score: ([page, , , , points]) => {
    const asked = (new URLSearchParams(location.search).get("q") ?? "").trim().toLowerCase();
    const text = (window.EXCERPTS?.[page] ?? "").toLowerCase();
    const times = asked ? Math.min(text.split(asked).length - 1, 10) : 0;
    const phrase = times && asked.includes(" ") ? 10 : 0;
    const aside = /^(CHANGELOG|benchmarks\/|docs\/architecture$)/.test(page) ? 8 : 0; // who asks how to do it, does not look there
    return points + times / 2 + phrase - aside;
  },
};

{
  // How many letters have to be changed, left out, added or swapped with the next one; more than `most` is not counted out.
  const distance = (one, other, most) => {
    if (Math.abs(one.length - other.length) > most) return most + 1;
    let before = [];
    let last = Array.from({ length: other.length + 1 }, (_, at) => at);
    for (let i = 1; i <= one.length; i++) {
      const row = [i];
      for (let j = 1; j <= other.length; j++) {
        const same = one[i - 1] === other[j - 1];
        row[j] = Math.min(row[j - 1] + 1, last[j] + 1, last[j - 1] + (same ? 0 : 1));
        if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) row[j] = Math.min(row[j], before[j - 2] + 1);
      }
      before = last;
      last = row;
    }
    return last[other.length];
  };

  const wordsOf = (text) => text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];

  const counted = () => {
    const found = new Map();
    for (const page of Object.values(window.EXCERPTS ?? {})) {
      for (const word of wordsOf(page.replace(/<[^>]*>/g, " "))) found.set(word, (found.get(word) ?? 0) + 1);
    }
    return found;
  };

  const nearest = (word, known) => {
    let best = null;
    for (const [other, times] of known) {
      const away = other.length < 3 ? 9 : distance(word, other, 2);
      const near = away <= (word.length > 5 ? 2 : 1);
      if (near && (!best || away < best.away || (away === best.away && times > best.times))) best = { word: other, away, times };
    }
    return best?.word;
  };

  const linkTo = (words) => {
    const link = document.createElement("a");
    link.href = `?q=${encodeURIComponent(words)}`;
    link.textContent = words;
    return link;
  };

  // Nothing was found: the same with words that stand on these pages, or each word alone.
  const suggest = (summary) => {
    const asked = wordsOf(new URLSearchParams(location.search).get("q") ?? "");
    const known = counted();
    const mended = asked.map((word) => (known.has(word) ? word : nearest(word, known)));
    const there = mended.filter((word) => word);
    summary.textContent = "Nothing was found.";
    if (there.length && there.join(" ") !== asked.join(" ")) summary.append(" Did you mean ", linkTo(there.join(" ")), "?");
    else if (there.length > 1) summary.append(" No page has all of these words: ", ...there.flatMap((word, at) => [at ? ", " : "", linkTo(word)]));
  };

  new MutationObserver((_, observer) => {
    const summary = document.querySelector("#search-results .search-summary");
    if (summary?.textContent.startsWith("Your search did not match")) {
      observer.disconnect();
      suggest(summary);
    }
  }).observe(document, { subtree: true, childList: true, characterData: true });
}
