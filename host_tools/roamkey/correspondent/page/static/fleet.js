// The nodes that the page knows, how up to date that is, and which of them want somebody's help.

import { count, outcome, span } from "./texts.js";

const STALE_MS = 12_000; // without the daemon's word, or the server's
const SLACK_MS = 2000; // an event that a binding has expired may take so long
const TROUBLE_MS = 600_000;
const KEY_USES = 65536;
const LOW_USES = 0.1;
const COLOURS = 8;

export const fleet = {
  nodes: new Map(), // "correspondent home" -> node
  asOf: {}, // correspondent -> until when its nodes are known, in ms by the server's clock
  daemons: [], // that run, as the server was told
  ahead: 0, // the server's clock less ours, in ms
  heard: 0, // when the server last spoke, by our clock
  linked: false, // whether it does
};

export const now = () => Date.now() + fleet.ahead;

export function hear(what) {
  fleet.heard = Date.now();
  if (what.now) fleet.ahead = what.now - Date.now();
  if (what.as_of) fleet.asOf = what.as_of;
  if (what.daemons) fleet.daemons = what.daemons;
}

// --- how up to date

export const isDeaf = () => !fleet.linked || Date.now() - fleet.heard > STALE_MS;

// Why nobody vouches for a correspondent's nodes, or null.
export function silence(correspondent) {
  if (isDeaf()) return "The page's server doesn't answer.";
  const daemon = fleet.daemons.find((one) => one.address === correspondent);
  if (!daemon) return `No daemon serves ${correspondent} on this host.`;
  if (daemon.error) return `${daemon.error[0].toUpperCase()}${daemon.error.slice(1)}.`;
  if (now() - (fleet.asOf[correspondent] || 0) > STALE_MS) {
    return `The daemon of ${correspondent} doesn't answer.`;
  }
  return null;
}

export const correspondents = () => Object.keys(fleet.asOf);

// Until when a silent one's nodes are known.
export function knownUntil(correspondent) {
  const told = fleet.asOf[correspondent];
  if (!isDeaf()) return told;
  const heard = fleet.heard + fleet.ahead;
  return fleet.heard && told && heard - told < STALE_MS ? heard : told;
}

// --- a node

export const ident = (node) => `${node.correspondent} ${node.home_address}`;
export const called = (node) => node.name || node.board || node.home_address;
export const seen = (node) => Math.max(node.seen_ms || 0, node.data_ms || 0); // 0: never
export const share = (node) => node.uses_left / KEY_USES;
export const isLow = (node) => share(node) < LOW_USES && !node.later_keys;

export function stateOf(node) {
  if (node.state === "bound") {
    // how it was when it was last known
    const at = silence(node.correspondent) ? fleet.asOf[node.correspondent] || 0 : now();
    return node.expires_ms <= at - SLACK_MS ? "quiet" : "bound";
  }
  return node.state === "never" || node.state === "removed" ? node.state : "quiet";
}

// What is wrong with a node, the worst first: [rank, a few words, what to do].
export function problems(node) {
  const found = [];
  const state = stateOf(node);
  if (!node.uses_left && !node.later_keys) {
    found.push([0, "key used up", "It can't register any more: give the board new keys with `roamkey rekey`."]);
  }
  if (state === "quiet") {
    const what = node.state === "unbound" ? "not registered" : "no update in time";
    found.push([1, what, "No power, no network, or no agent that runs: `roamkey status` at the board says which."]);
  }
  const trouble = node.trouble;
  // what nobody signed puts no node that is bound among the problems
  if (trouble && now() - trouble.at_ms < TROUBLE_MS && (trouble.kind === "refused" || state !== "bound")) {
    const times = trouble.count > 1 ? `, ${count(trouble.count)} times` : "";
    const when = `${span(now() - trouble.at_ms)} ago`;
    found.push([2, outcome(trouble), `${when}${times}. ${trouble.advice}`]);
  }
  if (node.uses_left && isLow(node)) {
    found.push([3, "key nearly used up", `${count(node.uses_left)} updates are left of its last key: give the board new ones with \`roamkey rekey\`.`]);
  }
  return found;
}

// --- networks

const colours = new Map(); // prefix -> number of its colour

export function colour(prefix) {
  if (!colours.has(prefix)) colours.set(prefix, colours.size % COLOURS);
  return `var(--n${colours.get(prefix)})`;
}
