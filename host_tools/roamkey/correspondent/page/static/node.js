// One node's panel: what is wrong with it, its facts, and its timeline. It is asked for when
// somebody opens it; on a phone it covers the page, elsewhere it stands in the column of events.

import { $, make, prose, put } from "./elements.js";
import { called, fleet, now, problems, seen, silence, stateOf } from "./fleet.js";
import { STATES, WAYS, ago, count, counted, instant, span } from "./texts.js";
import { Timeline, showTrack } from "./timeline.js";

const narrow = matchMedia("(max-width: 68rem)");
const panel = $("node");
const timeline = new Timeline($("node-events"), $("node-note"), 300, true);

let home = null; // whose panel is open
let opener = null; // what had it opened

export const opened = () => home;

export function start(whenClosed) {
  panel.addEventListener("cancel", (event) => { event.preventDefault(); whenClosed(); });
  $("node-close").addEventListener("click", () => whenClosed());
  narrow.addEventListener("change", () => { if (home) stand(); });
}

function stand() {
  if (panel.open) panel.close();
  $("everything").hidden = !narrow.matches; // first, or the panel stands beneath, and is scrolled to
  if (narrow.matches) panel.showModal(); else panel.show();
}

// `ask`: gives its events, the earliest first.
export async function open(which, from, ask) {
  home = which;
  opener = from || opener;
  timeline.replace([]);
  render();
  stand();
  $("node-heading").focus({ preventScroll: true });
  await load(ask);
}

export async function load(ask) {
  const which = home;
  const found = which && await ask(`/timeline?node=${encodeURIComponent(which)}`);
  if (!found || which !== home) return;
  timeline.replace(found);
  render();
}

export function close() {
  if (!home) return;
  home = null;
  if (panel.open) panel.close();
  $("everything").hidden = false;
  const back = opener && opener.isConnected ? opener : $("nodes");
  opener = null;
  back.focus({ preventScroll: true });
}

export function add(events) {
  if (home) timeline.add(events.filter((e) => e.home_address === home));
}

export function render() {
  if (!home) return;
  const found = [...fleet.nodes.values()].filter((node) => node.home_address === home);
  put($("node-heading"), found.length ? called(found[0]) : home);
  show($("node-problems"), found.flatMap((node) => problems(node).map(([rank, what, advice]) => [rank, what, advice])));
  showFacts(found);
  timeline.show();
  showTrack(timeline.events, found.some((node) => stateOf(node) === "bound"));
}

function show(list, found) {
  const key = JSON.stringify(found);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.hidden = !found.length;
  list.replaceChildren(...found.map(([rank, what, advice]) =>
    make("li", { "data-rank": rank }, make("b", {}, what), make("span", {}, ...prose(advice)))));
}

function showFacts(found) {
  const list = $("node-facts");
  const facts = [["home address", home], ...found.flatMap(factsOf)];
  // one by one, so that what somebody has selected stays
  facts.forEach(([name, text], place) => {
    let pair = list.children[place];
    if (!pair) list.append(pair = make("div", {}, make("dt"), make("dd")));
    put(pair.firstChild, name);
    put(pair.lastChild, text);
  });
  while (list.children.length > facts.length) list.lastChild.remove();
}

function factsOf(node) {
  const silent = silence(node.correspondent);
  const daemon = fleet.daemons.find((one) => one.address === node.correspondent && one.role);
  const facts = [
    [daemon ? daemon.role : "correspondent", node.correspondent],
    ["state", (silent ? "was " : "") + STATES[stateOf(node)]],
  ];
  if (node.board && node.board !== called(node)) facts.splice(0, 0, ["board", node.board]);
  if (node.care_of_address) {
    facts.push(["care-of address", node.care_of_address]);
    facts.push(["way", WAYS[node.way] + (node.endpoint ? `, from ${node.endpoint}` : "")]);
  }
  if (seen(node)) {
    facts.push(["last seen", `${instant(seen(node), now())}, ${ago(now() - seen(node))}`]);
  }
  if (node.state === "bound" && node.expires_ms > now()) {
    facts.push(["lifetime left", span(node.expires_ms - now())]);
  }
  const which = node.generation === undefined ? "" : `key ${node.generation}: `;
  facts.push(["uses left", `${which}${count(node.uses_left)}, ${node.later_keys ? `and ${counted(node.later_keys, "more key")}` : "the last key"}`]);
  facts.push(["so far", `${counted(node.updates, "update")}, ${counted(node.moves, "move")}`]);
  return facts;
}
