// One message as a row: who, when, what, and what can be done with it.

import { blocks } from "./blocks.js";
import { el, icon, iconButton } from "./dom.js";
import { QUICK, shown } from "./emoji.js";
import { fileCard } from "./files.js";
import { mrkdwn } from "./mrkdwn.js";
import { clock, lately, whole } from "./times.js";

const FACES = 6;
const LONG = { characters: 2500, lines: 30 };

export function face(model, id, size = "") {
  const person = model.people.get(id);
  if (person?.is_bot) {
    const ours = id === model.bot.user_id ? "face ship" : "face robot";
    return el("span", { class: `${ours} ${size}`, "aria-hidden": "true" }, ours === "face ship" ? icon("ship") : initials(person.name));
  }
  const humans = [...model.people.values()].filter((one) => !one.is_bot).map((one) => one.id);
  const colour = person ? humans.indexOf(id) % FACES : FACES - 1;
  const name = person?.real_name || person?.name || "?";
  return el("span", { class: `face face-${colour} ${size}`, "aria-hidden": "true" }, initials(name));
}

function initials(name) {
  const words = name.split(/\s+/).filter(Boolean);
  return words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join("");
}

// `desk` is what pressing does: openThread, edit, remove, react, press, download; `view` says how it is to look:
// {compact, inThread, picking, leaving, unfolded, editor}.
export function row(message, model, desk, view) {
  const gone = message.subtype === "tombstone";
  const kind = ["message", view.compact ? "compact" : "", message.bot_id ? "app-made" : "", message.whispered ? "whispered" : "", gone ? "gone" : ""];
  return el(
    "article",
    { class: kind.filter(Boolean).join(" "), data: { ts: message.ts }, tabindex: "-1", "aria-label": `Message of ${author(message, model)}` },
    message.whispered ? el("p", { class: "only-you" }, icon("eye"), "Only visible to you") : null,
    view.compact
      ? el("span", { class: "gutter time", title: whole(message.ts) }, clock(message.ts))
      : el("div", { class: "gutter" }, face(model, message.user)),
    el("div", { class: "told" }, view.compact ? null : heading(message, model), view.editor ?? body(message, desk, view), below(message, model, desk, view)),
    gone || message.whispered || view.editor ? null : tools(message, model, desk, view),
  );
}

export function author(message, model) {
  return message.user === "USLACKBOT" ? "Slackbot" : model.realNameOf(message.user);
}

function heading(message, model) {
  return el(
    "header",
    {},
    el("b", { class: "author" }, author(message, model)),
    message.bot_id ? el("span", { class: "app" }, "App") : null,
    el("time", { class: "time", title: whole(message.ts) }, clock(message.ts)),
  );
}

// Only people's words say that they were edited: an app's card changes all the time.
function body(message, desk, view) {
  const world = desk.world;
  const edited = message.edited && !message.bot_id ? el("span", { class: "edited", title: whole(message.edited.ts) }, " (edited)") : null;
  const files = (message.files ?? []).map((file) => fileCard(file, desk));
  if (isPlain(message)) {
    const folded = isLong(message) && !view.unfolded;
    const words = message.text ? el("div", { class: folded ? "words folded" : "words" }, mrkdwn(message.text, world), edited) : null;
    return [words, isLong(message) ? fold(message, desk, folded) : null, files];
  }
  const press = (action, block) => desk.press(message, action, block);
  return [blocks(message.blocks, world, press), edited, files];
}

function isLong({ text }) {
  return Boolean(text) && (text.length > LONG.characters || text.split("\n").length > LONG.lines);
}

function fold(message, desk, folded) {
  const click = () => desk.fold(message);
  return el("button", { type: "button", class: "fold", "aria-expanded": String(!folded), data: { key: "fold" }, on: { click } }, folded ? "Show all" : "Show less");
}

// A person's words come with a rich_text block that only says them again.
function isPlain(message) {
  const list = message.blocks ?? [];
  return list.length === 0 || (!message.bot_id && list.length === 1 && list[0].type === "rich_text" && Boolean(message.text));
}

function below(message, model, desk, view) {
  const found = message.reactions ?? [];
  const chips = found.map((one) => {
    const mine = one.users.includes(model.me);
    const who = one.users.map((id) => model.realNameOf(id)).join(", ");
    return el(
      "button",
      {
        type: "button", class: mine ? "reaction mine" : "reaction", title: `${who} reacted with :${one.name}:`,
        "aria-pressed": String(mine), data: { key: `reaction ${one.name}` }, on: { click: () => desk.react(message, one.name) },
      },
      shown(one.name),
      el("span", {}, String(one.count ?? one.users.length)),
    );
  });
  const replies = !view.inThread && message.reply_count ? threadLine(message, model, desk) : null;
  return [
    chips.length ? el("div", { class: "reactions" }, chips) : null,
    view.picking ? picker(message, desk) : null,
    view.leaving ? leaving(message, desk) : null,
    replies,
  ];
}

function threadLine(message, model, desk) {
  const count = message.reply_count === 1 ? "1 reply" : `${message.reply_count} replies`;
  const who = (message.reply_users ?? []).slice(0, 3).map((id) => face(model, id, "small"));
  const busy = desk.busy(message.ts);
  return el(
    "button",
    { type: "button", class: "thread-line", data: { key: "thread" }, on: { click: () => desk.openThread(message.ts) } },
    who,
    el("span", { class: "count" }, count),
    busy ? el("span", { class: "busy" }, el("span", { class: "dot" }), "working") : null,
    message.latest_reply ? el("span", { class: "quiet" }, `Last reply ${lately(message.latest_reply)}`) : null,
  );
}

function picker(message, desk) {
  const choose = (name) => () => desk.react(message, name);
  const buttons = QUICK.map((name) =>
    el("button", { type: "button", class: "icon-button", title: `:${name}:`, "aria-label": name.replaceAll("_", " "), on: { click: choose(name) } }, shown(name)),
  );
  return el("div", { class: "picker", role: "group", "aria-label": "Choose a reaction" }, buttons);
}

function leaving(message, desk) {
  const button = (words, kind, click) => el("button", { type: "button", class: `button ${kind}`, data: { key: words }, on: { click } }, words);
  return el(
    "div",
    { class: "leaving", role: "alertdialog", "aria-label": "Delete this message?" },
    "Delete this message?",
    button("Keep", "", () => desk.keep()),
    button("Delete", "danger", () => desk.reallyRemove(message)),
  );
}

function tools(message, model, desk, view) {
  const mine = message.user === model.me;
  return el(
    "div",
    { class: "tools", role: "group", "aria-label": "What to do with this message" },
    iconButton("smile", "Add a reaction", () => desk.pick(message), { "data-key": "pick" }),
    view.inThread ? null : iconButton("reply", "Reply in a thread", () => desk.openThread(message.ts), { "data-key": "reply" }),
    mine ? iconButton("pencil", "Edit", () => desk.edit(message), { "data-key": "edit" }) : null,
    mine ? iconButton("bin", "Delete", () => desk.remove(message), { "data-key": "remove" }) : null,
  );
}
