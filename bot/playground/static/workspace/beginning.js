// What stands at the beginning of a channel: for somebody who does not know yet what to do here.

import { el } from "./dom.js";

const TASK = "fix the failing test";

export function beginning(channel, model, { write, goTo }) {
  const title = channel.is_im ? model.titleOf(channel) : `Welcome to #${channel.name}`;
  return el("div", { class: "beginning" }, el("h2", {}, title), inside(channel, model, { write, goTo }));
}

function inside(channel, model, { write, goTo }) {
  if (!model.hasBot(channel.id)) return elsewhere(model, goTo);
  return model.people.get(model.me)?.is_stranger ? forGuests(model) : invitation(channel, model, write);
}

function forGuests(model) {
  const bot = model.nameOf(model.bot.user_id) ?? model.bot.name;
  return el("p", {}, "You come from another workspace. ", el("b", {}, bot), " works for members of this one alone, and tells you so when you ask it.");
}

function invitation(channel, model, write) {
  const bot = model.nameOf(model.bot.user_id) ?? model.bot.name;
  const words = channel.is_im ? TASK : `@${bot} ${TASK}`;
  return [
    el("p", {}, "Give ", el("b", {}, bot), " something to do: it works in a box of its own, says in a thread how it goes, and opens a pull request. Anybody steers it by replying there."),
    el("button", { type: "button", class: "try", on: { click: () => write(words) } }, el("span", { class: "quiet" }, "Write"), el("code", {}, words)),
  ];
}

function elsewhere(model, goTo) {
  const bot = model.nameOf(model.bot.user_id) ?? model.bot.name;
  const there = [...model.channels.values()].find((channel) => !channel.is_im && model.hasBot(channel.id));
  return [
    el("p", {}, el("b", {}, bot), " is not in this channel: what is said here stays among people."),
    there ? el("button", { type: "button", class: "try", on: { click: () => goTo(there.id) } }, `Go to #${there.name}`) : null,
  ];
}
