// The live page: /state once, then what /events adds to it. The server's word is final: a node's
// row comes whole with every message, so nothing here has to be kept in step by hand.
"use strict";

const EVENTS_MAX = 300;
const TRACK_MS = 15 * 60 * 1000;
const SAY_EVERY_MS = 4000;
const RELOAD_EVERY_MS = 2000;
const LOW_USES = 0.1;
const KEY_USES = 65536;
const COLOURS = 8;

const $ = (id) => document.getElementById(id);
const nodes = new Map(); // "correspondent home" -> {node, row}
const networks = new Map(); // prefix -> number of its colour
let last = 0; // the latest event that the page has
let ahead = 0; // the server's clock less ours, in ms
let chosen = null; // home address
let events = []; // of the chosen node or all, the latest first
let find = "";
let source = null;
let manyCorrespondents = false;
let loading = 0;
let nodesMax = 0; // rows at most
let known = 0; // nodes in all, when they were loaded

// --- texts

const two = (n) => String(n).padStart(2, "0");
const clock = (ms) => {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
};
const count = (n) => n.toLocaleString("en");
const now = () => Date.now() + ahead;

function ago(ms) {
  const s = Math.max(0, Math.floor((now() - ms) / 1000));
  if (s < 2) return "now";
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

function network(address) {
  // the /64 of an address, or the /24 of an IPv4 one, as the server writes it
  if (address.includes(".")) return `${address.slice(0, address.lastIndexOf("."))}.0/24`;
  const [head, tail] = address.split("::");
  const left = head ? head.split(":") : [];
  const right = tail ? tail.split(":") : [];
  const fill = address.includes("::") ? Array(8 - left.length - right.length).fill("0") : [];
  const four = [...left, ...fill, ...right].slice(0, 4);
  while (four.length && four[four.length - 1] === "0") four.pop();
  return `${four.join(":")}::/64`;
}

function colour(prefix) {
  if (!networks.has(prefix)) networks.set(prefix, networks.size % COLOURS);
  return `var(--n${networks.get(prefix)})`;
}

function name(home) {
  for (const { node } of nodes.values()) {
    if (node.home_address === home) return node.board || home;
  }
  return home;
}

const STATES = {
  bound: "bound", removed: "de-registered", expired: "expired", unbound: "not bound",
  never: "never seen",
};
const stateOf = (node) =>
  node.state === "bound" && node.expires_ms <= now() - 2000 ? "expired" : node.state;

function story(e) {
  const key = e.sequence === undefined ? "" : `sequence ${count(e.sequence)}, ${e.generation === undefined ? "return routability" : `key ${e.generation}`}`;
  const times = e.count > 1 ? `${count(e.count)} times` : "";
  switch (e.kind) {
    case "moved": return [`moved to ${network(e.care_of_address)}`, `from ${network(e.previous)}; ${key}`];
    case "bound": return [`bound in ${network(e.care_of_address)}`, `${e.care_of_address}${e.endpoint ? ` by ${e.way} from ${e.endpoint}` : ""}; ${key}`];
    case "refreshed": return ["refreshed", `for ${count(e.lifetime_s)} s; ${key}`];
    case "removed": return ["de-registered", e.previous ? `left ${network(e.previous)}; ${key}` : key];
    case "expired": return ["expired", `no update in time from ${e.care_of_address}`];
    case "refused": return [`refused: ${e.reason}`, times];
    case "dropped": return [`dropped: ${e.reason}`, times];
    case "gap": return [`${(e.gap_ms / 1000).toFixed(e.gap_ms < 10000 ? 2 : 0)} s without data`, "around a registration"];
    case "lost": return [`${count(e.count)} events not recorded`, "there were too many"];
    default: return [`daemon ${e.kind}`, e.reason || ""];
  }
}

// --- elements

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
const again = (element, style) => {
  element.classList.remove(style);
  void element.offsetWidth; // so that the animation starts anew
  element.classList.add(style);
};

// --- nodes

function makeRow(node) {
  const who = make("button", { type: "button", class: "who" }, make("b"), make("span", { class: "address" }));
  const uses = make("span", { class: "uses" }, make("span"));
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  bar.setAttribute("aria-hidden", "true");
  bar.append(document.createElementNS("http://www.w3.org/2000/svg", "rect"));
  bar.firstChild.setAttribute("height", "100%");
  uses.append(bar);
  const cells = [
    make("td", { role: "cell" }, who),
    make("td", { role: "cell" }, make("span", { class: "state" })),
    make("td", { role: "cell" }),
    make("td", { role: "cell", class: "address" }),
    make("td", { role: "cell", class: "way" }),
    make("td", { role: "cell", class: "number" }),
    make("td", { role: "cell", class: "number" }, uses),
  ];
  const row = make("tr", { role: "row" }, ...cells);
  row.addEventListener("click", () => choose(node.home_address));
  return row;
}

function showNode(node, live) {
  const ident = `${node.correspondent} ${node.home_address}`;
  let entry = nodes.get(ident);
  if (!entry) {
    if (live && (find || nodes.size >= nodesMax)) return;
    entry = { row: makeRow(node) };
    nodes.set(ident, entry);
    place(entry.row, node);
  }
  const before = entry.node;
  entry.node = node;
  const [who, state, net, address, way, , uses] = entry.row.children;
  const [board, home] = who.firstChild.children;
  put(board, node.board || node.home_address);
  put(home, (node.board ? node.home_address : "") + (manyCorrespondents ? ` → ${node.correspondent}` : ""));
  const prefix = node.network || "";
  if (prefix !== net.textContent) {
    net.replaceChildren();
    if (prefix) {
      const text = make("span", { class: "network" }, prefix);
      text.style.setProperty("--colour", colour(prefix));
      net.append(text);
    }
  }
  put(address, node.care_of_address || "");
  put(way, node.care_of_address ? node.way || "" : "");
  way.title = node.endpoint ? `inside UDP, at ${node.endpoint}` : "";
  const share = node.uses_left / KEY_USES;
  put(uses.firstChild.firstChild, count(node.uses_left));
  uses.querySelector("rect").setAttribute("width", `${Math.max(2, 100 * share)}%`);
  uses.firstChild.toggleAttribute("data-low", share < LOW_USES);
  uses.title = node.later_keys ? `and ${node.later_keys} more keys` : "the last key";
  showTime(entry);
  if (live && (!before || before.care_of_address !== node.care_of_address || before.endpoint !== node.endpoint || before.state !== node.state)) {
    again(entry.row, "fresh");
  }
  entry.row.classList.toggle("chosen", node.home_address === chosen);
  who.firstChild.setAttribute("aria-pressed", String(node.home_address === chosen));
}

function place(row, node) {
  // by name, numbers in it as numbers: nothing jumps about while one looks
  const key = node.board || node.home_address;
  row.dataset.key = key;
  const body = $("nodes").tBodies[0];
  const rows = body.children;
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].dataset.key.localeCompare(key, "en", { numeric: true }) <= 0) low = middle + 1;
    else high = middle;
  }
  body.insertBefore(row, rows[low] || null);
}

function showTime({ node, row }) {
  const state = stateOf(node);
  const span = row.children[1].firstChild;
  span.dataset.state = state;
  put(span, STATES[state] || state);
  put(row.children[5], node.seen_ms ? ago(node.seen_ms) : "");
}

// --- the timeline

async function choose(home) {
  chosen = home === chosen ? null : home;
  for (const entry of nodes.values()) showNode(entry.node, false);
  put($("timeline-heading"), chosen ? name(chosen) : "All nodes");
  $("all").hidden = !chosen;
  await loadEvents();
  if (matchMedia("(max-width: 68rem)").matches && chosen) {
    $("timeline-heading").focus({ preventScroll: true });
    $("timeline-heading").closest("section").scrollIntoView();
  }
}

async function loadEvents() {
  const of = chosen;
  const found = await ask(of ? `/timeline?node=${encodeURIComponent(of)}` : "/state");
  if (!found || of !== chosen) return;
  showEvents((of ? found : found.events).filter((e) => e.id <= last));
}

function showEvents(found) {
  events = found.slice().reverse();
  $("events").replaceChildren(...events.map(makeEvent));
  showTrack();
}

function makeEvent(e) {
  const [what, more] = story(e);
  const text = make("span", {}, make("span", { class: "kind", "data-kind": e.kind }, what));
  if (!chosen && e.home_address) text.prepend(`${name(e.home_address)} `);
  const item = make(
    "li", {}, make("time", { datetime: new Date(e.at_ms).toISOString() }, clock(e.at_ms)), text,
  );
  const parts = more.split("; ").filter(Boolean).map((part) => make("span", {}, part));
  if (parts.length) item.append(make("span", { class: "more" }, ...parts));
  return item;
}

function addEvents(found) {
  const mine = found.filter((e) => !chosen || e.home_address === chosen || !e.home_address);
  if (!mine.length) return;
  const list = $("events");
  const made = mine.map((e) => {
    events.unshift(e);
    const item = makeEvent(e);
    item.classList.add("new");
    return item;
  });
  list.prepend(...made.reverse());
  events.length = Math.min(events.length, EVENTS_MAX);
  while (list.children.length > EVENTS_MAX) list.lastChild.remove();
  showTrack();
}

function showTrack() {
  // where the chosen node was in the last quarter of an hour
  $("events-note").hidden = events.length > 0;
  $("strip").hidden = !chosen;
  if (!chosen) return;
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
  if (at) spans.push([...at, end]);
  const seen = spans.filter((span) => span[2] > start);
  const from = seen.length ? Math.max(start, Math.min(seen[0][1], end - 10000)) : start;
  const rects = seen.map(([prefix, since, until]) => {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const left = (100 * (Math.max(since, from) - from)) / (end - from);
    rect.setAttribute("x", `${left}%`);
    rect.setAttribute("width", `${Math.max(0.3, (100 * (until - from)) / (end - from) - left)}%`);
    rect.setAttribute("height", "100%");
    rect.style.fill = colour(prefix);
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = `${prefix} from ${clock(since)}`;
    rect.append(title);
    return rect;
  });
  $("track").replaceChildren(...rects);
  $("track").setAttribute("aria-label", `Networks since ${clock(from)}: ${seen.map((span) => span[0]).join(", ") || "none"}`);
  put($("track-start"), clock(from));
}

// --- everything else

function showTotals(totals) {
  for (const [key, value] of Object.entries(totals)) put($(`total-${key}`), count(value));
}

function showWatch({ daemons, drops }) {
  if (!daemons) return;
  manyCorrespondents = daemons.length > 1;
  put($("correspondents"), daemons.map((one) => one.address).join(", "));
  const troubles = daemons.filter((one) => one.error).map((one) => one.error);
  const lost = daemons.reduce((sum, one) => sum + (one.lost || 0), 0);
  if (!daemons.length) troubles.push("No correspondent daemon runs on this host: what you see is how it was.");
  if (lost) troubles.push(`${count(lost)} events were not recorded: there were too many, or the disk fails.`);
  put($("warning"), troubles.join(" "));
  $("warning").hidden = !troubles.length;
  const body = $("drops").tBodies[0];
  body.replaceChildren(...drops.map((row) => make(
    "tr", { role: "row" },
    make("td", { role: "cell", class: "number" }, count(row.count)),
    make("td", { role: "cell", class: "reason" }, row.reason, make("span", { class: "outcome" }, ` ${row.outcome}`)),
    make("td", { role: "cell" }, ...row.advice.split("`").map((part, n) => n % 2 ? make("code", {}, part) : part)),
  )));
  $("drops").hidden = !drops.length;
  $("drops-note").hidden = drops.length > 0;
  put($("total-dropped"), count(drops.reduce((sum, row) => sum + row.count, 0)));
}

let unsaid = [];
let sayTimer = null;

function say(found) {
  // politely: one sentence now and then, whatever goes on
  unsaid.push(...found.filter((e) => ["moved", "bound", "removed", "expired"].includes(e.kind)));
  if (!unsaid.length || sayTimer) return;
  sayTimer = setTimeout(() => {
    const [first] = unsaid;
    const text = unsaid.length > 3
      ? `${unsaid.length} changes of nodes`
      : unsaid.map((e) => `${name(e.home_address)} ${story(e)[0]}`).join("; ");
    $("said").textContent = first ? text : "";
    unsaid = [];
    sayTimer = setTimeout(() => { sayTimer = null; say([]); }, SAY_EVERY_MS);
  }, 500);
}

async function ask(path) {
  try {
    const answer = await fetch(path, { headers: { Accept: "application/json" } });
    if (answer.status === 401) location.reload();
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function load() {
  const turn = ++loading;
  const found = await ask(`/state?find=${encodeURIComponent(find)}`);
  if (turn !== loading) return;
  if (!found) {
    link("waiting", "no connection");
    setTimeout(load, RELOAD_EVERY_MS);
    return;
  }
  last = found.last;
  ahead = found.now - Date.now();
  document.documentElement.dataset.updates = "0";
  showWatch(found);
  showTotals(found.totals);
  nodes.clear();
  $("nodes").tBodies[0].replaceChildren();
  for (const node of found.nodes) showNode(node, false);
  nodesMax = found.nodes_max;
  known = found.totals.nodes;
  const more = found.nodes.length >= nodesMax;
  put($("nodes-note"), more
    ? `The first ${count(found.nodes_max)} are shown: find others by board, address or state.`
    : found.nodes.length ? "" : find ? "None found." : "No nodes yet: provision a board for this correspondent.");
  if (chosen) await loadEvents(); else showEvents(found.events);
  follow();
}

function link(state, text) {
  $("link").dataset.state = state;
  put($("link"), text);
}

function follow() {
  if (source) source.close();
  source = new EventSource(`/events?after=${last}`);
  source.addEventListener("hello", () => link("live", "live"));
  source.addEventListener("reload", load);
  source.addEventListener("watch", (message) => {
    const what = JSON.parse(message.data);
    showWatch(what);
    showTotals(what.totals);
    // nodes that were provisioned or retired meanwhile
    if (what.totals.nodes !== known) loadSoon();
  });
  source.onmessage = (message) => take(Number(message.lastEventId), JSON.parse(message.data));
  source.onerror = () => {
    link("waiting", "reconnecting …");
    if (source.readyState === EventSource.CLOSED) setTimeout(load, RELOAD_EVERY_MS);
  };
}

let reloadTimer = null;

function take(ident, what) {
  if (ident <= last) return; // heard before
  last = ident;
  ahead = what.now - Date.now();
  const data = document.documentElement.dataset;
  const updates = ["bound", "refreshed", "moved", "removed"].reduce((sum, kind) => sum + (what.counts[kind] || 0), 0);
  data.updates = String(Number(data.updates) + updates);
  data.last = String(last);
  for (const node of what.nodes) showNode(node, true);
  addEvents(what.events);
  if (what.totals) showTotals(what.totals);
  say(what.events);
  if (what.partly) loadSoon();
}

function loadSoon() {
  if (reloadTimer) return;
  reloadTimer = setTimeout(() => { reloadTimer = null; load(); }, RELOAD_EVERY_MS);
}

let findTimer = null;
$("find").addEventListener("input", () => {
  clearTimeout(findTimer);
  findTimer = setTimeout(() => { find = $("find").value.trim(); load(); }, 200);
});
$("all").addEventListener("click", () => { choose(chosen); $("timeline-heading").focus(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen) choose(chosen);
});
setInterval(() => {
  for (const entry of nodes.values()) showTime(entry);
  showTrack();
}, 1000);
load();
