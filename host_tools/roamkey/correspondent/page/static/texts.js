// What things are called, and how numbers, times and events read.

const two = (n) => String(n).padStart(2, "0");

export const count = (n) => n.toLocaleString("en");
export const counted = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;

export function clock(ms) {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

// An instant of another day with its day.
export function instant(ms, now) {
  const at = new Date(ms);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return at.toDateString() === new Date(now).toDateString() ? clock(ms) : `${day} ${clock(ms)}`;
}

export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

export const ago = (ms) => (ms < 2000 ? "now" : `${span(ms)} ago`);

// The /64 of an address, or the /24 of an IPv4 one, as the server writes it.
export function network(address) {
  if (address.includes(".")) return `${address.slice(0, address.lastIndexOf("."))}.0/24`;
  const [head, tail] = address.split("::");
  const left = head ? head.split(":") : [];
  const right = tail ? tail.split(":") : [];
  const fill = address.includes("::") ? Array(8 - left.length - right.length).fill("0") : [];
  const four = [...left, ...fill, ...right].slice(0, 4);
  while (four.length && four[four.length - 1] === "0") four.pop();
  return `${four.join(":")}::/64`;
}

export const STATES = {
  bound: "bound", quiet: "quiet", never: "never seen", removed: "de-registered",
};

export const WAYS = { native: "native", udp6: "UDP over IPv6", udp4: "UDP over IPv4" };

export const key = (one) =>
  one.generation === undefined ? "return routability" : `key ${one.generation}`;

// Packets that were dropped or refused: what became of them, and why.
export const outcome = (e) => (e.reason.startsWith(e.kind) ? e.reason : `${e.kind}: ${e.reason}`);

// What an event says: what happened, and details, apart by "; ".
export function story(e) {
  const number = e.sequence === undefined ? "" : `sequence ${count(e.sequence)}, ${key(e)}`;
  const times = e.count > 1 ? `${count(e.count)} times` : "";
  switch (e.kind) {
    case "moved":
      return [`moved to ${network(e.care_of_address)}`, `from ${network(e.previous)}; ${number}`];
    case "bound":
      return [
        `bound in ${network(e.care_of_address)}`,
        `${e.care_of_address}${e.endpoint ? ` by ${e.way} from ${e.endpoint}` : ""}; ${number}`,
      ];
    case "refreshed": return ["refreshed", `for ${count(e.lifetime_s)} s; ${number}`];
    case "removed":
      return ["de-registered", e.previous ? `left ${network(e.previous)}; ${number}` : number];
    case "expired": return ["expired", `no update in time from ${e.care_of_address}`];
    case "refused":
    case "dropped": return [outcome(e), times];
    case "gap":
      return [
        `${(e.gap_ms / 1000).toFixed(e.gap_ms < 10000 ? 2 : 0)} s without data`,
        "around a registration",
      ];
    case "lost": return [`${count(e.count)} events not recorded`, "there were too many"];
    default: return [`daemon ${e.kind}`, e.reason || ""];
  }
}
