// The numbers that the page shows (page.py writes them), and how they are written and coloured.

const seen = page.numbers;
const T = seen.tokens.length;
const NOT_FINITE = -32768;

/** What page_arrays.packed made: numbers, NaN for what was not finite. */
function unpacked({ scale, data }) {
  const text = atob(data);
  const bytes = Uint8Array.from(text, (sign) => sign.charCodeAt(0));
  const steps = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const step = steps.getInt16(2 * i, true);
    return step === NOT_FINITE ? NaN : step * scale;
  });
}

const known = (value) => value !== null && Number.isFinite(value);

/** A number with three or four digits that count. */
function short(value) {
  if (!known(value)) return "nan";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return minus(value.toExponential(2).replace("e+", "e"));
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 0.1 ? 3 : 4;
  return minus(value.toFixed(digits));
}

/** A loss, with the digits that say something of it. */
function nats(loss) {
  if (!known(loss)) return "nan";
  return Math.abs(loss) < 1e4 ? loss.toFixed(2) : loss.toExponential(1);
}

function percent(share) {
  if (!known(share)) return "nan";
  return share > 0 && share < 0.0005 ? "<0.1%" : `${(100 * share).toFixed(1)}%`;
}

const minus = (text) => text.replaceAll("-", "−");
const signed = (value) => (value > 0 ? `+${short(value)}` : short(value));
const whole = (count) => count.toLocaleString("en-US");

const SIGNS = { " ": "␣", "\n": "⏎", "\r": "⏎", "\t": "⇥" };

/** A token so that it can be seen. */
function visible(token) {
  if (token === "") return "∅";
  const bare = token.trim();
  if (bare !== "" && bare.length === token.length) return token;
  return token.replace(/^\s+|\s+$/g, (ends) => [...ends].map((sign) => SIGNS[sign] ?? "␣").join(""));
}

function clipped(token, count = 14) {
  const signs = [...visible(token)];
  return signs.length > count ? `${signs.slice(0, count - 1).join("")}…` : signs.join("");
}

const word = (id) => seen.vocabulary[id] ?? `#${id}`;
const tokens = seen.tokens.map(visible);
const targets = seen.targets.map(visible);

const depthName = (depth) => (depth === 0 ? "embedding" : `layer ${depth - 1}`);

// The colours of a CSS list, at 256 places from its first to its last; anew when light turns dark.
let tables = {};

function colours(name) {
  if (tables[name]) return tables[name];
  const stops = getComputedStyle(document.documentElement)
    .getPropertyValue(`--${name}`)
    .split(",")
    .map((hex) => [1, 3, 5].map((at) => parseInt(hex.trim().slice(at, at + 2), 16)));
  tables[name] = Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    return [0, 1, 2].map((c) => Math.round(stops[left][c] + (place - left) * (stops[left + 1][c] - stops[left][c])));
  });
  return tables[name];
}

const BROKEN = [255, 0, 255, 255]; // what is not finite, as nothing else looks
const NOTHING = [0, 0, 0, 0];

/** The colour of a share between 0 and 1. */
function shareColour(share) {
  return known(share) ? [...colours("shares")[Math.round(255 * Math.min(1, Math.max(0, share)))], 255] : BROKEN;
}

/** The colour of a number between -reach and reach. */
function signedColour(value, reach) {
  if (!known(value)) return BROKEN;
  return [...colours("signed")[Math.round(127.5 + 127.5 * Math.min(1, Math.max(-1, value / reach)))], 255];
}

/** Whether what is written on a colour is to be light. */
const isDark = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue < 140;
