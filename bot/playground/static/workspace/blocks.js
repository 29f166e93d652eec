// Block Kit as elements. A block of a kind that is not known here says so, quietly; its words stand in the message's
// text anyway. `press(action, block)` is called when somebody presses something.

import { el, link, safeAddress } from "./dom.js";
import { shown } from "./emoji.js";
import { markdown } from "./markdown.js";
import { mrkdwn } from "./mrkdwn.js";
import { richText } from "./richtext.js";

const TASK_WORDS = { pending: "to do", in_progress: "in progress", complete: "done", completed: "done", error: "failed" };

export function blocks(list, world, press) {
  return list.map((block) => {
    const make = Object.hasOwn(KINDS, block?.type) ? KINDS[block.type] : unknown;
    return make(block, world, (action) => press(action, block));
  });
}

const KINDS = {
  section: (block, world, press) =>
    el(
      "div",
      { class: "block section" },
      el(
        "div",
        { class: "grow" },
        block.text ? el("div", { class: "words" }, text(block.text, world)) : null,
        block.fields ? el("div", { class: "fields" }, block.fields.map((field) => el("div", {}, text(field, world)))) : null,
      ),
      block.accessory ? element(block.accessory, world, press) : null,
    ),
  context: (block, world) =>
    el(
      "div",
      { class: "block context" },
      (block.elements ?? []).map((part) =>
        part.type === "image" ? el("span", {}, part.alt_text ?? "") : el("div", { class: "words" }, text(part, world)),
      ),
    ),
  actions: (block, world, press) =>
    el("div", { class: "block actions" }, (block.elements ?? []).map((part) => element(part, world, press))),
  header: (block, world) => el("h3", { class: "block header" }, text(block.text, world)),
  divider: () => el("hr", { class: "block" }),
  markdown: (block) => el("div", { class: "block prose" }, markdown(block.text ?? "")),
  rich_text: (block, world) => el("div", { class: "block rich" }, richText(block, world)),
  plan: (block, world) => plan(block, world),
  task_card: (block, world) => el("ol", { class: "block tasks" }, task(block, world)),
  image: (block) => el("p", { class: "block quiet" }, `Image: ${block.title?.text ?? block.alt_text ?? ""}`),
};

function unknown(block) {
  return el("p", { class: "block quiet" }, `(a block of the kind “${block?.type ?? "?"}”, which is not shown here)`);
}

function text(object, world) {
  if (typeof object === "string") return object;
  if (object?.type === "mrkdwn") return mrkdwn(object.text, world, object.verbatim === true);
  return plain(object);
}

function plain(object) {
  const words = String(object?.text ?? "");
  if (object?.emoji === false) return words;
  return words.replace(/:([a-z0-9_+-]{1,40}):/g, (_, name) => shown(name));
}

// -- what can be pressed ----------------------------------------------------------------------------------------------

function element(part, world, press) {
  if (part.type === "button") return button(part, press);
  if (part.type === "static_select" || part.type === "overflow") return select(part, world, press);
  return el("span", { class: "quiet" }, `(${part.type})`);
}

function button(part, press) {
  const kind = ["primary", "danger"].includes(part.style) ? ` ${part.style}` : "";
  const words = plain(part.text);
  const key = `${part.action_id}|${part.value ?? ""}`;
  const shape = { class: `button${kind}`, "aria-label": part.accessibility_label, data: { key } };
  if (part.url && safeAddress(part.url)) {
    const opens = link(part.url, words);
    opens.className = shape.class;
    opens.dataset.key = key;
    opens.addEventListener("click", () => press(part));
    return opens;
  }
  const pressed = () => {
    if (!part.confirm || window.confirm(`${part.confirm.title?.text ?? ""}\n${part.confirm.text?.text ?? ""}`)) press(part);
  };
  return el("button", { type: "button", ...shape, on: { click: pressed } }, words);
}

function select(part, world, press) {
  const options = part.options ?? (part.option_groups ?? []).flatMap((group) => group.options ?? []);
  const first = el("option", { value: "", disabled: true, selected: true }, part.placeholder?.text ?? "Choose…");
  const choices = options.map((option, n) => el("option", { value: n }, plain(option.text)));
  const chosen = (event) => press({ ...part, selected_option: options[Number(event.target.value)] });
  return el("select", { class: "button", data: { key: part.action_id }, on: { change: chosen } }, first, choices);
}

// -- plans ------------------------------------------------------------------------------------------------------------

function plan(block, world) {
  const title = typeof block.title === "string" ? block.title : plain(block.title);
  return el(
    "div",
    { class: "block" },
    title ? el("p", { class: "plan-title" }, title) : null,
    el("ol", { class: "tasks" }, (block.tasks ?? []).map((one) => task(one, world))),
  );
}

function task(one, world) {
  const status = Object.hasOwn(TASK_WORDS, one.status) ? one.status : "pending";
  const more = [one.details, one.output].filter((part) => part?.type === "rich_text").map((part) => richText(part, world));
  const sources = (one.sources ?? []).map((source) => link(source.url, source.text ?? source.url));
  return el(
    "li",
    { class: `task ${status}` },
    el("span", { class: "tick", "aria-hidden": "true" }),
    el("div", { class: "grow" }, plain({ text: typeof one.title === "string" ? one.title : one.title?.text }), more, sources),
    el("span", { class: "unseen" }, TASK_WORDS[status]),
  );
}
