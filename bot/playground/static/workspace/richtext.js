// Slack's rich_text blocks as elements.

import { el, link } from "./dom.js";
import { shown } from "./emoji.js";
import { channel, person } from "./mrkdwn.js";

const STYLES = { bold: "strong", italic: "em", strike: "s", code: "code" };

export function richText(block, world) {
  return (block.elements ?? []).map((part) => (Object.hasOwn(PARTS, part?.type) ? PARTS[part.type](part, world) : null));
}

const PARTS = {
  rich_text_section: (part, world) => el("div", { class: "words" }, inline(part, world)),
  rich_text_preformatted: (part, world) => el("pre", {}, inline(part, world)),
  rich_text_quote: (part, world) => el("blockquote", { class: "words" }, inline(part, world)),
  rich_text_list: (part, world) => {
    const items = (part.elements ?? []).map((item) => el("li", {}, inline(item, world)));
    return el(part.style === "ordered" ? "ol" : "ul", { class: `indent-${Math.min(Number(part.indent) || 0, 5)}` }, items);
  },
};

function inline(part, world) {
  return (part.elements ?? []).map((one) => styled(word(one, world), one.style));
}

function word(one, world) {
  switch (one?.type) {
    case "text":
      return lines(String(one.text ?? ""));
    case "link":
      return link(one.url, one.text || one.url);
    case "user":
      return person(one.user_id, "", world);
    case "channel":
      return channel(one.channel_id, "", world);
    case "emoji":
      return shown(one.name);
    case "broadcast":
      return el("span", { class: "mention" }, `@${one.range}`);
    case "usergroup":
      return el("span", { class: "mention" }, `@${one.usergroup_id}`);
    case "date":
      return one.fallback ?? new Date(Number(one.timestamp) * 1000).toLocaleString();
    case "color":
      return el("code", {}, one.value);
    default:
      return null;
  }
}

function lines(text) {
  return text.split("\n").flatMap((line, n) => (n ? [el("br"), line] : [line]));
}

function styled(content, style) {
  return Object.entries(STYLES).reduce((inner, [name, tag]) => (style?.[name] ? el(tag, {}, inner) : inner), content);
}
