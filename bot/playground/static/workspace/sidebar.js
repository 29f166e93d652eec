// The column of channels, and the switch of persons above everything.

import { el, icon } from "./dom.js";
import { face } from "./message.js";

export function channelList(model, current, unread, goTo) {
  const all = [...model.channels.values()];
  const places = all.filter((channel) => !channel.is_im);
  const direct = all.filter((channel) => channel.is_im);
  const entry = (channel) => channelEntry(model, channel, channel.id === current, unread(channel.id), goTo);
  return [
    el("h2", {}, "Channels"),
    el("ul", {}, places.map(entry)),
    direct.length ? el("h2", {}, "Direct messages") : null,
    direct.length ? el("ul", {}, direct.map(entry)) : null,
  ].filter(Boolean);
}

function channelEntry(model, channel, here, unread, goTo) {
  const sign = channel.is_im ? face(model, channel.user, "small") : channel.is_private ? icon("lock") : el("span", { class: "hash", "aria-hidden": "true" }, "#");
  const shape = { type: "button", class: `entry${here ? " here" : ""}${unread ? " unread" : ""}`, "aria-current": here ? "page" : null };
  return el(
    "li",
    {},
    el(
      "button",
      { ...shape, data: { key: `channel ${channel.id}` }, on: { click: () => goTo(channel.id) } },
      sign,
      el("span", { class: "grow" }, model.titleOf(channel)),
      channel.is_private && !channel.is_im ? el("span", { class: "unseen" }, "(private)") : null,
      unread ? el("span", { class: "count", "aria-label": `${unread} unread` }, String(unread)) : null,
    ),
  );
}

export function personSwitch(model, switchTo) {
  const choice = (person) => {
    const me = person.id === model.me;
    const shape = { type: "button", class: me ? "person me" : "person", role: "radio", "aria-checked": String(me), title: me ? `You are ${person.real_name}` : `Become ${person.real_name}` };
    return el("button", { ...shape, on: { click: () => me || switchTo(person.id) } }, face(model, person.id, "small"), el("span", {}, person.real_name.split(" ")[0]));
  };
  return el(
    "div",
    { class: "switch", role: "radiogroup", "aria-label": "Who you are" },
    el("span", { class: "label", "aria-hidden": "true" }, "You are"),
    model.everybody.map(choice),
  );
}
