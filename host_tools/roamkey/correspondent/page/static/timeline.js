// Lists of events: of all nodes beside the list, and of one in its panel.

import { $, draw, make, put } from "./elements.js";
import { called, colour, fleet, now } from "./fleet.js";
import { clock, instant, network, story } from "./texts.js";

const TRACK_MS = 15 * 60 * 1000;
const TRACK_MIN_MS = 10_000;

const names = new Map(); // home address -> what it is called

export function nameOf(home) {
  if (!names.has(home)) {
    for (const node of fleet.nodes.values()) names.set(node.home_address, called(node));
  }
  return names.get(home) || home;
}

export const forgetNames = () => names.clear();

// A list of so many events in an <ol>, the latest first; with names where it isn't one node's.
export class Timeline {
  constructor(list, note, most, ofOne) {
    this.list = list;
    this.note = note;
    this.most = most;
    this.ofOne = ofOne;
    this.events = [];
    this.waiting = []; // not yet shown
  }

  // These, the earliest first, and no others.
  replace(found) {
    this.events = [];
    this.waiting = found;
    this.list.replaceChildren();
    this.show(false);
  }

  add(found) {
    this.waiting.push(...found);
    if (this.waiting.length > this.most) this.waiting = this.waiting.slice(-this.most);
  }

  // Put on the page what has come; whether anything has.
  show(fresh = true) {
    const come = this.waiting.slice(-this.most).reverse();
    this.waiting = [];
    if (come.length) {
      this.events = [...come, ...this.events].slice(0, this.most);
      this.list.prepend(...come.map((e) => this.made(e, fresh)));
      while (this.list.children.length > this.most) this.list.lastChild.remove();
    }
    this.note.hidden = this.events.length > 0;
    return come.length > 0;
  }

  made(e, fresh) {
    const [what, more] = story(e);
    const text = make("span", {}, make("span", { class: "kind", "data-kind": e.kind }, what));
    if (!this.ofOne && e.home_address) text.prepend(`${e.name || nameOf(e.home_address)} `);
    const at = new Date(e.at_ms);
    const item = make("li", {}, make("time", { datetime: at.toISOString(), title: instant(e.at_ms, 0) }, clock(e.at_ms)), text);
    if (fresh) item.classList.add("new");
    const parts = more.split("; ").filter(Boolean).map((part) => make("span", {}, part));
    if (parts.length) item.append(make("span", { class: "more" }, ...parts));
    return item;
  }
}

// Where a node was in the last quarter of an hour, as far as its events (the latest first) tell.
export function showTrack(events, isBound) {
  const end = now(), start = end - TRACK_MS;
  const spans = [];
  let at = null;
  for (const e of events.slice().reverse()) {
    if (e.kind === "bound" || e.kind === "moved" || (e.kind === "refreshed" && !at)) {
      if (at) spans.push([...at, e.at_ms]);
      at = [network(e.care_of_address), e.at_ms];
    } else if ((e.kind === "removed" || e.kind === "expired") && at) {
      spans.push([...at, e.at_ms]);
      at = null;
    }
  }
  if (at) spans.push([...at, isBound ? end : events[0].at_ms]); // nobody saw how it ended
  const seen = spans.filter((one) => one[2] > start);
  const from = seen.length ? Math.max(start, Math.min(seen[0][1], end - TRACK_MIN_MS)) : start;
  const percent = (ms) => (100 * (ms - from)) / (end - from);
  $("strip").hidden = !seen.length;
  $("track").replaceChildren(...seen.map(([prefix, since, until]) => {
    const left = percent(Math.max(since, from));
    const rect = draw(
      "rect", { x: `${left}%`, width: `${Math.max(0.3, percent(until) - left)}%`, height: "100%" },
    );
    rect.style.fill = colour(prefix);
    const title = draw("title");
    title.textContent = `${prefix} from ${clock(since)}`;
    rect.append(title);
    return rect;
  }));
  $("track").setAttribute("aria-label", `Networks since ${clock(from)}: ${seen.map((one) => one[0]).join(", ") || "none"}`);
  put($("track-start"), clock(from));
}
