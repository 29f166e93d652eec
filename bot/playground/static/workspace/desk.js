// What a person can do with messages of one place: react, edit, delete, press a button, open a file. Which message is
// being edited or reacted to is this view's own business and stands here, not in the model.

import { el, icon } from "./dom.js";
import { Mentions } from "./mentions.js";
import { decode, encode } from "./mrkdwn.js";

export class Desk {
  // `app` goes to places and tells troubles: goTo(channel), openThread(ts), tell(words).
  constructor(model, app, channel) {
    this.model = model;
    this.app = app;
    this.channel = channel;
    this.picking = null;
    this.editing = null;
    this.leaving = null;
    this.unfolded = new Set();
    this.world = {
      me: model.me,
      nameOf: (id) => model.nameOf(id),
      channelOf: (id) => model.channelOf(id),
      goTo: (id) => app.goTo(id),
    };
  }

  mark(message) {
    const { ts } = message;
    const parts = [this.picking === ts && "picking", this.editing?.ts === ts && "editing", this.leaving === ts && "leaving", this.unfolded.has(ts) && "unfolded"];
    return [...parts.filter(Boolean), this.busy(ts) ? "busy" : ""].join(" ");
  }

  view(message) {
    return { picking: this.picking === message.ts, leaving: this.leaving === message.ts, unfolded: this.unfolded.has(message.ts), editor: this.editorOf(message) };
  }

  busy(ts) {
    return this.model.busy(this.channel, ts);
  }

  openThread(ts) {
    this.app.openThread(ts);
  }

  // -- doing ----------------------------------------------------------------------------------------------------------

  async attempt(what, doing) {
    try {
      return await doing();
    } catch (trouble) {
      this.app.tell(`${what} ${trouble.message}`);
      return null;
    }
  }

  pick(message) {
    this.picking = this.picking === message.ts ? null : message.ts;
    this.model.changed();
  }

  fold({ ts }) {
    if (!this.unfolded.delete(ts)) this.unfolded.add(ts);
    this.model.changed();
  }

  react(message, name) {
    const mine = (message.reactions ?? []).some((one) => one.name === name && one.users.includes(this.model.me));
    this.picking = null;
    this.model.changed();
    const method = mine ? "reactions.remove" : "reactions.add";
    return this.attempt("That reaction did not work:", () => this.model.api.call(method, { channel: this.channel, timestamp: message.ts, name }));
  }

  remove(message) {
    this.leaving = message.ts;
    this.model.changed();
  }

  keep() {
    this.leaving = null;
    this.model.changed();
  }

  async reallyRemove(message) {
    this.keep();
    await this.attempt("It was not deleted:", () => this.model.api.call("chat.delete", { channel: this.channel, ts: message.ts }));
  }

  press(message, action, block) {
    return this.attempt("That did not work:", () => this.model.press(this.channel, message, action, block));
  }

  // -- editing --------------------------------------------------------------------------------------------------------

  edit(message) {
    this.editing = { ts: message.ts, words: decode(message.text ?? "", this.world) };
    this.model.changed();
  }

  stopEditing() {
    this.editing = null;
    this.model.changed();
  }

  async save(message) {
    const words = this.editing.words.trim();
    if (!words) return;
    const text = encode(words, this.model.mentionable());
    const done = await this.attempt("It was not changed:", () =>
      this.model.api.call("chat.update", { channel: this.channel, ts: message.ts, text }),
    );
    if (done) this.stopEditing();
  }

  editorOf(message) {
    if (this.editing?.ts !== message.ts) return null;
    const field = el("textarea", { rows: 2, "aria-label": "Edit the message", "data-key": "editor", "data-focus-me": "" });
    field.value = this.editing.words;
    const mentions = new Mentions(field, this.model);
    field.addEventListener("input", () => (this.editing.words = field.value));
    field.addEventListener("keydown", (event) => {
      if (mentions.key(event) || event.isComposing) return;
      if (event.key === "Escape") this.stopEditing();
      else if (event.key === "Enter" && !event.shiftKey) this.save(message);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    const button = (words, click, kind) => el("button", { type: "button", class: `button ${kind}`, on: { click } }, words);
    const buttons = [button("Cancel", () => this.stopEditing(), ""), button("Save", () => this.save(message), "primary")];
    return el("div", { class: "editor" }, mentions.element, el("div", { class: "box" }, field), el("div", { class: "block actions" }, buttons));
  }

  // -- files ----------------------------------------------------------------------------------------------------------

  async download(file) {
    const blob = await this.attempt("The file cannot be opened:", () => this.model.api.download(file.url_private));
    if (!blob) return;
    const address = URL.createObjectURL(blob);
    el("a", { href: address, download: file.name }, icon("file")).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  async picture(file) {
    try {
      return URL.createObjectURL(await this.model.api.download(file.url_private));
    } catch {
      return null;
    }
  }
}
