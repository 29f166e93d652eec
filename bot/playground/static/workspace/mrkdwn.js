// Slack's mrkdwn as nodes. What somebody said is read as text and built as text: `<…>` forms become links, mentions or
// words, `*…*` and its kin become elements, and everything else stays what it is.
//
// `world` says who people and channels are: nameOf(id), channelOf(id), me, goTo(channel). With `verbatim`, what merely
// looks like an address stays words, as Slack has it.

import { el, link } from "./dom.js";
import { emoji } from "./emoji.js";

const FENCE = /```([\s\S]*?)```/;
const QUOTE = /^(?:&gt;|>) ?/;
const BEFORE = "(?<![\\p{L}\\p{N}])", AFTER = "(?![\\p{L}\\p{N}])";
const DEEPEST = 6;

// What Slack writes in angle brackets: somebody, a place, an announcement, or an address of the web. All else are words.
const FORM = /<(?:([@#!])([^<>|\s][^<>|]*)|((?:https?:\/\/|mailto:)[^<>|\s]+))(?:\|([^<>]*))?>/giu;

const ADDRESS = /\bhttps?:\/\/(?:(?!&[gl]t;)[^\s<>"'`|])*(?!&[gl]t;)[^\s<>"'`|.,:;!?)\]}*_~]/gu;

const INLINE = [
  { find: /`([^`\n]+)`/gu, make: ([, words]) => el("code", {}, bare(words)) },
  { find: FORM, make: ([, ...form], world) => reference(form, world) },
  { find: new RegExp(`${BEFORE}\\*(?![\\s*])([^*\\n]*[^\\s*])\\*${AFTER}`, "gu"), make: nested("strong") },
  { find: new RegExp(`${BEFORE}_(?![\\s_])([^_\\n]*[^\\s_])_${AFTER}`, "gu"), make: nested("em") },
  { find: new RegExp(`${BEFORE}~(?![\\s~])([^~\\n]*[^\\s~])~${AFTER}`, "gu"), make: nested("s") },
  { find: /:([a-z0-9_+-]{1,40})(?:::[a-z0-9-]+)?:/gu, make: ([whole, name]) => emoji(name) ?? whole },
  { find: ADDRESS, make: address, loose: true },
];

export function mrkdwn(text, world, verbatim = false) {
  const rules = verbatim ? INLINE.filter((rule) => !rule.loose) : INLINE;
  const nodes = [];
  let rest = String(text ?? "");
  for (let found = FENCE.exec(rest); found; found = FENCE.exec(rest)) {
    nodes.push(...lines(rest.slice(0, found.index).replace(/\n$/, ""), world, rules));
    nodes.push(el("pre", {}, bare(found[1].replace(/^\n|\n$/g, ""))));
    rest = rest.slice(found.index + found[0].length).replace(/^\n/, "");
  }
  return [...nodes, ...lines(rest, world, rules)];
}

export function unescape(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

// What a person wrote, ready to be sent: as Slack's own composer does it, names become mentions and addresses links.
export function encode(text, people) {
  let words = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  words = words.replace(ADDRESS, "<$&>");
  for (const { name, id } of [...people].sort((a, b) => b.name.length - a.name.length)) {
    const said = new RegExp(`(?<![\\p{L}\\p{N}@/._-])@${quoted(name)}(?![\\p{L}\\p{N}_-])`, "giu");
    words = words.replace(said, `<@${id}>`);
  }
  return words;
}

// And back, for somebody who edits what he wrote.
export function decode(text, world) {
  const words = text.replace(FORM, (_, sigil, target, url, label) => {
    if (url) return url;
    if (sigil === "@") return `@${world.nameOf(target) ?? target}`;
    if (sigil === "#") return `#${world.channelOf(target) ?? target}`;
    return label || `@${target.split("^")[0]}`;
  });
  return unescape(words);
}

function quoted(words) {
  return words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function lines(text, world, rules) {
  const nodes = [];
  let quote = null;
  text.split("\n").forEach((line, n) => {
    if (QUOTE.test(line)) {
      if (!quote) nodes.push((quote = el("blockquote")));
      else quote.append(el("br"));
      quote.append(...inline(line.replace(QUOTE, ""), world, rules));
      return;
    }
    if (n > 0 && !quote) nodes.push(el("br"));
    quote = null;
    nodes.push(...inline(line, world, rules));
  });
  return nodes;
}

function inline(text, world, rules, depth = 0) {
  if (depth > DEEPEST) return [unescape(text)];
  const nodes = [];
  const ahead = rules.map((rule) => ({ rule, found: null, looked: -1 }));
  let at = 0;
  for (let next = earliest(ahead, text, at); next; next = earliest(ahead, text, at)) {
    nodes.push(unescape(text.slice(at, next.found.index)), next.rule.make(next.found, world, rules, depth));
    at = next.found.index + next.found[0].length;
  }
  return [...nodes, unescape(text.slice(at))].flat();
}

// The match that begins first. Each rule is only asked again once its last answer lies behind.
function earliest(ahead, text, at) {
  let first = null;
  for (const one of ahead) {
    if (one.looked < at && (one.looked < 0 || (one.found && one.found.index < at))) {
      one.rule.find.lastIndex = at;
      one.found = one.rule.find.exec(text);
    }
    one.looked = at;
    if (one.found && (!first || one.found.index < first.found.index)) first = one;
  }
  return first;
}

function nested(tag) {
  return ([, words], world, rules, depth) => el(tag, {}, inline(words, world, rules, depth + 1));
}

function reference([sigil, target, url, label], world) {
  if (url) return link(unescape(url), unescape(label || url.replace(/^mailto:/i, "")));
  if (sigil === "@") return person(target, label, world);
  if (sigil === "#") return channel(target, label, world);
  return announcement(target, label);
}

export function person(id, label, world) {
  const name = world.nameOf(id) ?? (label ? unescape(label) : id);
  return el("span", { class: id === world.me ? "mention mine" : "mention" }, `@${name}`);
}

export function channel(id, label, world) {
  const name = world.channelOf(id) ?? (label ? unescape(label) : id);
  if (!world.channelOf(id)) return el("span", { class: "mention" }, `#${name}`);
  return el("button", { type: "button", class: "mention", on: { click: () => world.goTo(id) } }, `#${name}`);
}

function address([url]) {
  return link(unescape(url), unescape(url));
}

function announcement(target, label) {
  const [kind] = target.split("^");
  if (kind === "date") return unescape(label || "");
  return el("span", { class: "mention" }, unescape(label || `@${kind}`));
}

// Words inside code: forms are only read, never made into anything.
function bare(text) {
  const words = text.replace(FORM, (_, sigil, target, url, label) => label || url || `${sigil === "!" ? "@" : sigil}${target}`);
  return unescape(words);
}
