/** Discord's markdown → DOM nodes. Text from others never passes through an HTML parser. */
import { h, link, webUrl } from "./dom.js";

/** Render `text`; `names` turns ids into words: user(id), role(id), channel(id). */
export function markdown(text, names) {
  const parts = (text ?? "").split(/```(?:[\w+-]*\n)?([\s\S]+?)```\n?/);
  return parts.flatMap((part, i) => (i % 2 ? [h("pre", { tabindex: "0" }, h("code", {}, part))] : blocks(part, names)));
}

/** Render one line, where lists, quotes and headings mean nothing. */
export function inline(text, names, depth = 0) {
  if (depth > 6) return [text];
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(text.slice(end, match.index), span(match, names, depth + 1));
    end = match.index + match[0].length;
  }
  return [...nodes, text.slice(end)];
}

/** Bring "3 minutes ago" up to date. */
export function refreshTimes(root) {
  for (const node of root.querySelectorAll("time[data-relative]")) node.textContent = relative(new Date(node.dateTime));
}

const LIST_LINE = /^( *)([-*]|\d{1,9}\.) +(.+)/;
const QUOTES = [
  [/^(?:> .*(?:\n|$))+/, (m, names) => h("blockquote", {}, blocks(m[0].replace(/^> /gm, ""), names, true))],
];
const BLOCKS = [
  [/^(#{1,3}) +(.+)(?:\n|$)/, (m, names) => h(`h${m[1].length + 1}`, {}, inline(m[2], names))],
  [/^-# +(.+)(?:\n|$)/, (m, names) => h("p", { class: "subtext" }, inline(m[1], names))],
  [/^(?: *(?:[-*]|\d{1,9}\.) +.+(?:\n|$))+/, list],
];
const INLINE = new RegExp(
  [
    "\\\\(?<escaped>[^A-Za-z0-9\\s])",
    "(?<tick>``?)(?<code>.+?)\\k<tick>(?!`)",
    "\\*\\*(?<strong>.+?)\\*\\*(?!\\*)",
    "\\*(?=[^\\s*])(?<em>.+?)(?<![\\s*])\\*(?!\\*)",
    "(?<!\\w)_(?<low>[^_]+)_(?!\\w)",
    "\\[(?<label>[^\\]\\n]+)\\]\\(<?(?<href>[^\\s)>]+)>?\\)",
    "<(?<angle>https?:[^\\s>]+)>",
    "(?<bare>https?://[^\\s<]*[^\\s<.,:;!?\"')\\]*_])",
    "<t:(?<unix>-?\\d{1,12})(?::(?<style>[tTdDfFR]))?>",
    "<@!?(?<user>\\d+)>|<@&(?<role>\\d+)>|<#(?<channel>\\d+)>",
  ].join("|"),
  "gs",
);
const STYLES = {
  t: { timeStyle: "short" },
  T: { timeStyle: "medium" },
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
};
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function blocks(text, names, quoted = false) {
  const rules = quoted ? BLOCKS : [...QUOTES, ...BLOCKS];
  const nodes = [];
  let plain = "";
  const flush = () => {
    if (plain.trim()) nodes.push(h("p", {}, inline(plain.replace(/\n$/, ""), names)));
    plain = "";
  };
  for (let rest = text; rest; ) {
    const [match, make] = rules.map(([at, make]) => [rest.match(at), make]).find(([found]) => found) ?? [];
    const taken = match ? match[0] : rest.match(/^.*(?:\n|$)/)[0];
    if (match) {
      flush();
      nodes.push(make(match, names));
    } else plain += taken;
    rest = rest.slice(taken.length);
  }
  flush();
  return nodes;
}

function list([text], names) {
  const top = h("div");
  const open = []; // the list being filled at each depth
  for (const line of text.trimEnd().split("\n")) {
    const [, indent, mark, body] = line.match(LIST_LINE);
    const depth = Math.min(indent.length >> 1, open.length, 9);
    const number = mark.endsWith(".") ? parseInt(mark) : undefined;
    const tag = number === undefined ? "ul" : "ol";
    open.length = Math.min(open.length, depth + 1);
    if (open[depth]?.localName !== tag) {
      open[depth] = h(tag, { start: number });
      (depth ? open[depth - 1].lastElementChild : top).append(open[depth]);
    }
    open[depth].append(h("li", {}, inline(body, names)));
  }
  return top;
}

function span({ 0: source, groups: g }, names, depth) {
  const tag = ["strong", "em"].find((name) => g[name]);
  if (tag) return h(tag, {}, inline(g[tag], names, depth));
  if (g.low) return h("em", {}, inline(g.low, names, depth));
  if (g.escaped) return g.escaped;
  if (g.code) return h("code", {}, g.code.trim() || g.code);
  if (g.label) return /^https?:/i.test(g.href) && webUrl(g.href) ? link(g.href, inline(g.label, names, depth)) : source;
  if (g.angle || g.bare) return link(g.angle ?? g.bare, g.angle ?? g.bare);
  if (g.unix) return moment(new Date(g.unix * 1000), g.style ?? "f");
  const name = g.user ? `@${names.user(g.user)}` : g.role ? `@${names.role(g.role)}` : `#${names.channel(g.channel)}`;
  return h("span", { class: "mention" }, name);
}

function moment(at, style) {
  const full = at.toLocaleString(undefined, STYLES.F);
  const text = style === "R" ? relative(at) : at.toLocaleString(undefined, STYLES[style]);
  return h("time", { datetime: at.toISOString(), title: full, "data-relative": style === "R" }, text);
}

function relative(at) {
  const seconds = Math.round((at - Date.now()) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
}
