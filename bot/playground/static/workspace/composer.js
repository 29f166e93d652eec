// Where people write: grows with the words, completes names, takes files, keeps the draft. Enter sends, Shift+Enter makes
// a new line.

import { el, iconButton } from "./dom.js";
import { Waiting } from "./files.js";
import { Mentions } from "./mentions.js";
import { draft, keepDraft } from "./reading.js";

const MOST = 40_000;
const CUT = "A message has at most 40,000 characters, so the end is left out. Attach a file instead.";

export class Composer {
  // `send(words, files, place)` may fail; then the words come back.
  constructor(model, label, send) {
    this.model = model;
    this.send = send;
    this.place = "";
    this.sending = Promise.resolve();
    this.field = el("textarea", { rows: 1, "aria-label": label, spellcheck: "true", maxlength: MOST });
    this.trouble = el("p", { class: "trouble", role: "alert", hidden: true });
    this.waiting = new Waiting(() => this.changed());
    this.mentions = new Mentions(this.field, model);
    this.picker = el("input", { type: "file", multiple: true, hidden: true, on: { change: () => this.picked() } });
    this.button = iconButton("send", "Send", () => this.submit(), { class: "icon-button send", disabled: true });
    this.element = el(
      "form",
      { class: "composer", on: { submit: (event) => (event.preventDefault(), this.submit()) } },
      this.mentions.element,
      this.trouble,
      el("div", { class: "box" }, this.field, this.waiting.element, this.toolbar()),
    );
    this.listen();
  }

  toolbar() {
    return el(
      "div",
      { class: "toolbar" },
      iconButton("attach", "Attach a file", () => this.picker.click()),
      iconButton("mention", "Mention somebody", () => this.insert("@")),
      this.picker,
      el("span", { class: "quiet hint" }, el("b", {}, "Enter"), " sends · ", el("b", {}, "Shift+Enter"), " new line"),
      this.button,
    );
  }

  listen() {
    this.field.addEventListener("keydown", (event) => {
      if (this.mentions.key(event) || event.isComposing) return;
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      this.submit();
    });
    this.field.addEventListener("input", () => this.changed());
    this.field.addEventListener("paste", (event) => event.clipboardData.files.length && this.take(event, event.clipboardData.files));
    this.element.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.element.classList.add("dropping");
    });
    this.element.addEventListener("dragleave", () => this.element.classList.remove("dropping"));
    this.element.addEventListener("drop", (event) => this.take(event, event.dataTransfer.files));
  }

  // Another place, with the draft that was begun there.
  goTo(place, placeholder) {
    this.field.placeholder = placeholder;
    if (place === this.place) return;
    this.place = place;
    this.field.value = draft(this.model.me, place);
    this.waiting.take();
    this.say("");
    this.changed();
  }

  // Words to begin with, for the person to send or to change.
  begin(words) {
    this.field.value = words;
    this.changed();
    this.field.focus();
  }

  insert(words) {
    const { field } = this;
    const before = field.value.slice(0, field.selectionStart);
    field.setRangeText(before && !/\s$/.test(before) ? ` ${words}` : words, field.selectionStart, field.selectionEnd, "end");
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  changed() {
    keepDraft(this.model.me, this.place, this.field.value);
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, 260)}px`;
    if (this.field.value.length >= MOST) this.say(CUT);
    this.button.disabled = !this.field.value.trim() && this.waiting.files.length === 0;
  }

  picked() {
    this.say(this.waiting.add(this.picker.files));
    this.picker.value = "";
    this.field.focus();
  }

  take(event, files) {
    event.preventDefault();
    this.element.classList.remove("dropping");
    if (files.length) this.say(this.waiting.add(files));
  }

  // One after the other, however fast somebody writes.
  submit() {
    const words = this.field.value.trim();
    if (!words && this.waiting.files.length === 0) return;
    const { place } = this;
    this.field.value = "";
    const files = this.waiting.take();
    this.changed();
    this.sending = this.sending.then(() => this.deliver(words, files, place));
  }

  async deliver(words, files, place) {
    try {
      await this.send(words, files, place);
      this.say("");
    } catch (trouble) {
      this.say(`Not sent: ${trouble.message}`);
      this.giveBack(words, files, place);
    }
  }

  giveBack(words, files, place) {
    if (place !== this.place) {
      keepDraft(this.model.me, place, words);
      return;
    }
    this.field.value = [words, this.field.value].filter(Boolean).join("\n");
    this.waiting.add(files);
  }

  say(words) {
    this.trouble.textContent = words;
    this.trouble.hidden = !words;
  }
}
