// The Markdown of `markdown` blocks, as far as agents use it: headings, lists, quotes, code, rules, emphasis, links. What
// is not known stays words.

import { el, link } from "./dom.js";

const INLINE = [
  { find: /`([^`\n]+)`/g, make: ([, words]) => el("code", {}, words) },
  { find: /\[([^\[\]\n]+)\]\(([^()\s]+)\)/g, make: ([, words, url]) => link(url, words) },
  { find: /\*\*(?!\s)([^\n]*?[^\s])\*\*/g, make: ([, words], depth) => el("strong", {}, inline(words, depth + 1)) },
  { find: /~~(?!\s)([^~\n]*[^\s~])~~/g, make: ([, words], depth) => el("s", {}, inline(words, depth + 1)) },
  { find: /\*(?![\s*])([^*\n]*[^\s*])\*/g, make: ([, words], depth) => el("em", {}, inline(words, depth + 1)) },
  { find: /(?<!\w)_(?![\s_])([^_\n]*[^\s_])_(?!\w)/g, make: ([, words], depth) => el("em", {}, inline(words, depth + 1)) },
];

const LINES = [
  { find: /^(#{1,6})\s+(.*)$/, make: ([, marks, words]) => el(`h${Math.min(marks.length + 2, 6)}`, {}, inline(words)) },
  { find: /^\s*([-*_])(\s*\1){2,}\s*$/, make: () => el("hr") },
  { find: /^>\s?(.*)$/, in: "blockquote", make: ([, words]) => [inline(words), el("br")] },
  { find: /^\s*[-*+]\s+(.*)$/, in: "ul", make: ([, words]) => el("li", {}, inline(words)) },
  { find: /^\s*\d{1,9}[.)]\s+(.*)$/, in: "ol", make: ([, words]) => el("li", {}, inline(words)) },
];

export function markdown(text) {
  const nodes = [];
  String(text)
    .split(/^```[^\n]*$/m)
    .forEach((part, n) => {
      if (n % 2) nodes.push(el("pre", {}, part.replace(/^\n|\n$/g, "")));
      else nodes.push(...paragraphs(part));
    });
  return nodes;
}

function paragraphs(text) {
  const nodes = [];
  let open = null;
  const opened = (tag) => {
    if (open?.localName !== tag) nodes.push((open = el(tag)));
    return open;
  };
  for (const line of text.split("\n")) {
    const rule = LINES.find((one) => one.find.test(line));
    if (!line.trim()) open = null;
    else if (!rule) opened("p").append(...spaced(open, inline(line)));
    else if (rule.in) opened(rule.in).append(...[rule.make(rule.find.exec(line))].flat(Infinity));
    else {
      open = null;
      nodes.push(rule.make(rule.find.exec(line)));
    }
  }
  return nodes;
}

function spaced(paragraph, nodes) {
  return paragraph.hasChildNodes() ? ["\n", ...nodes] : nodes;
}

function inline(text, depth = 0) {
  if (depth > 6) return [text];
  const nodes = [];
  let at = 0;
  for (let next = earliest(text, at); next; next = earliest(text, at)) {
    nodes.push(text.slice(at, next.found.index), next.rule.make(next.found, depth));
    at = next.found.index + next.found[0].length;
  }
  return [...nodes, text.slice(at)];
}

function earliest(text, at) {
  let first = null;
  for (const rule of INLINE) {
    rule.find.lastIndex = at;
    const found = rule.find.exec(text);
    if (found && (!first || found.index < first.found.index)) first = { rule, found };
  }
  return first;
}
