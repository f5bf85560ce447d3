// The live page: /state once, then what /events adds to it. The server's word is final: a node's
// row comes whole with every message, so nothing here has to be kept in step by hand. What comes
// is only noted; the page is drawn some times a second at most, whatever goes on.

import { takeDrops } from "./drops.js";
import { $, put } from "./elements.js";
import { correspondents, fleet, hear, ident, isDeaf, knownUntil, now, problems, silence } from "./fleet.js";
import * as list from "./list.js";
import * as panel from "./node.js";
import { say } from "./said.js";
import { count, instant, span } from "./texts.js";
import { Timeline, forgetNames } from "./timeline.js";

const DRAW_EVERY_MS = 250;
const RELOAD_EVERY_MS = 2000;
const GIVE_UP_MS = 20_000; // on a connection that is silent

let last = 0; // the latest event that the page has
let known = 0; // what nodes there are, as a number
let nodesMax = 0; // that the server sends
let all = 0; // nodes in all
let source = null;
let loading = 0;
let triedAt = 0; // when a silent connection was last given up
let loadedFor = ""; // what the server was told to find
const everything = new Timeline($("events"), $("events-note"), 100, false);

// --- drawing

let drawTimer = null;
let drawnAt = 0;

function soon() {
  if (drawTimer) return;
  const wait = Math.max(0, drawnAt + DRAW_EVERY_MS - performance.now());
  drawTimer = setTimeout(() => requestAnimationFrame(drawNow), wait);
}

function drawNow() {
  drawTimer = null;
  const began = performance.now();
  showSilence();
  const found = list.render();
  put($("nodes-note"), noteOf(found));
  everything.show();
  panel.render();
  drawnAt = performance.now();
  const data = document.documentElement.dataset;
  data.drawn = (drawnAt - began).toFixed(1);
  if (fleet.heard && !data.listed) data.listed = drawnAt.toFixed(1);
}

function noteOf(found) {
  const { find, state, way } = list.view;
  if (fleet.nodes.size >= nodesMax && fleet.nodes.size < all) {
    return `Here are ${count(nodesMax)} of ${count(all)}, those in need first: find others by name, address or state.`;
  }
  if (found) return "";
  if (!find && !way && state === "problems") return "No node has a problem.";
  if (find || way || state !== "all") return "No node is like that.";
  return fleet.heard ? "No nodes yet: provision a board for this correspondent." : "";
}

// What nobody vouches for is grey, and how old it is is said.
function showSilence() {
  const silent = correspondents().map((one) => [one, silence(one)]).filter(([, why]) => why);
  const reasons = new Set(silent.map(([, why]) => why));
  if (!correspondents().length && fleet.heard && !isDeaf() && !fleet.daemons.length) {
    reasons.add("No correspondent daemon runs on this host.");
  }
  const lost = fleet.daemons.reduce((sum, one) => sum + (one.lost || 0), 0);
  if (lost) reasons.add(`${count(lost)} events were not recorded: there were too many, or the disk fails.`);
  put($("warning-text"), [...reasons].join(" "));
  const times = silent.map(([one]) => knownUntil(one)).filter(Boolean);
  const until = times.length ? Math.min(...times) : 0;
  put($("warning-age"), until
    ? `What is grey is how it was at ${instant(until, now())}, ${span(now() - until)} ago.` : "");
  $("warning").hidden = !reasons.size;
  const stale = silent.length > 0 && silent.length === correspondents().length;
  document.documentElement.toggleAttribute("data-stale", stale);
  if (!fleet.heard) return;
  if (isDeaf()) link("waiting", "reconnecting …");
  else if (stale) link("stale", until ? `as of ${span(now() - until)} ago` : "no daemon");
  else link("live", "live");
}

function link(state, text) {
  $("link").dataset.state = state;
  put($("link"), text);
}

function showTotals(totals) {
  all = totals.nodes;
  for (const [name, value] of Object.entries(totals)) put($(`total-${name}`), count(value));
}

// --- the server

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
  loadedFor = isWhole() ? "" : list.view.find;
  const found = await ask(`/state?find=${encodeURIComponent(loadedFor)}`);
  if (turn !== loading) return;
  if (!found) {
    fleet.linked = false;
    if (!fleet.heard) link("waiting", "no connection");
    setTimeout(load, RELOAD_EVERY_MS);
    return;
  }
  fleet.linked = true;
  hear(found);
  ({ last, known, nodes_max: nodesMax } = found);
  document.documentElement.dataset.updates = "0";
  showTotals(found.totals);
  fleet.nodes = new Map(found.nodes.map((node) => [ident(node), node]));
  forgetNames();
  put($("correspondents"), correspondents().join(", "));
  takeDrops(found.drops || []);
  everything.replace(found.events);
  panel.load(ask);
  drawNow();
  follow();
  if (!isWhole() && loadedFor !== list.view.find) findSoon();
}

const isWhole = () => all <= nodesMax;

function follow() {
  if (source) source.close();
  source = new EventSource(`/events?after=${last}`);
  const heard = (name, then) => source.addEventListener(name, (message) => {
    fleet.linked = true;
    const what = JSON.parse(message.data);
    hear(what);
    then(what, message);
    soon();
  });
  heard("hello", () => {});
  heard("beat", () => {});
  heard("reload", load);
  heard("heard", (what) => {
    for (const [correspondent, home, ms] of what.heard) {
      const node = fleet.nodes.get(`${correspondent} ${home}`);
      if (node) node.data_ms = ms;
    }
  });
  heard("watch", (what) => {
    takeDrops(what.drops);
    showTotals(what.totals);
    // nodes that were provisioned, renamed or retired meanwhile
    if (what.known !== known) loadSoon();
  });
  heard("message", (what, message) => take(Number(message.lastEventId), what));
  source.onerror = () => {
    fleet.linked = false;
    soon();
    if (source.readyState === EventSource.CLOSED) setTimeout(load, RELOAD_EVERY_MS);
  };
}

function take(number, what) {
  if (number <= last) return; // heard before
  last = number;
  const data = document.documentElement.dataset;
  const updates = ["bound", "refreshed", "moved", "removed"].reduce((sum, kind) => sum + (what.counts[kind] || 0), 0);
  data.updates = String(Number(data.updates) + updates);
  data.last = String(last);
  for (const node of what.nodes) {
    const isWanted = isWhole() || (problems(node).length && fleet.nodes.size < 2 * nodesMax);
    if (isWanted || fleet.nodes.has(ident(node))) fleet.nodes.set(ident(node), node);
  }
  everything.add(what.events);
  panel.add(what.events);
  if (what.totals) showTotals(what.totals);
  say(what.events);
  if (what.partly) loadSoon();
}

let reloadTimer = null;

function loadSoon() {
  if (reloadTimer) return;
  reloadTimer = setTimeout(() => { reloadTimer = null; load(); }, RELOAD_EVERY_MS);
}

// --- what people do; the address says it, so that it can be sent to others and gone back from

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  list.view.find = given.get("find") || "";
  list.view.state = $("states").querySelector(`[data-state="${CSS.escape(given.get("state") || "")}"]`) ? given.get("state") : "all";
  list.view.way = [...$("way").options].some((one) => one.value === given.get("way")) ? given.get("way") : "";
  $("find").value = list.view.find;
  $("way").value = list.view.way;
  showPanel(given.get("node"), null);
  if (!isWhole() && loadedFor !== list.view.find) findSoon();
}

function write(isStep) {
  const said = { find: list.view.find, state: list.view.state === "all" ? "" : list.view.state, way: list.view.way, node: list.view.chosen || "" };
  const hash = new URLSearchParams(Object.entries(said).filter(([, value]) => value)).toString();
  history[isStep ? "pushState" : "replaceState"](null, "", hash ? `#${hash}` : location.pathname);
}

function showPanel(home, from) {
  list.view.chosen = home;
  if (home && home !== panel.opened()) panel.open(home, from, ask);
  else if (!home) panel.close();
  soon();
}

function choose(home, from) {
  const next = home === list.view.chosen ? null : home;
  showPanel(next, from);
  write(Boolean(next));
}

function closePanel() {
  if (!list.view.chosen) return;
  showPanel(null, null);
  write(false);
}

function filter(change) {
  Object.assign(list.view, change, { page: 0 });
  write(false);
  soon();
  if (!isWhole() || loadedFor) findSoon();
}

let findTimer = null;

function findSoon() {
  clearTimeout(findTimer);
  findTimer = setTimeout(load, 200);
}

list.start(choose);
panel.start(closePanel);
$("find").addEventListener("input", () => filter({ find: $("find").value.trim() }));
$("way").addEventListener("change", () => filter({ way: $("way").value }));
$("states").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) filter({ state: button.dataset.state });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closePanel();
});
addEventListener("popstate", read);
setInterval(() => {
  if (fleet.heard && Date.now() - Math.max(fleet.heard, triedAt) > GIVE_UP_MS) {
    fleet.linked = false;
    triedAt = Date.now();
    load();
  }
  if (!document.hidden) soon();
}, 1000);
read();
load();
