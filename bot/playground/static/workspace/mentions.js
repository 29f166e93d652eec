// Completes `@na…` in a text field with the names of people and of the bot.

import { el } from "./dom.js";
import { face } from "./message.js";

let lists = 0;

export class Mentions {
  constructor(field, model) {
    this.field = field;
    this.model = model;
    this.found = [];
    this.at = 0;
    this.id = `mentions-${(lists += 1)}`;
    this.element = el("ul", { class: "mentions", id: this.id, role: "listbox", "aria-label": "People and bots", hidden: true });
    field.setAttribute("role", "combobox");
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-controls", this.id);
    field.setAttribute("aria-expanded", "false");
    field.addEventListener("input", () => this.look());
    field.addEventListener("click", () => this.look());
    field.addEventListener("blur", () => this.close());
  }

  get open() {
    return !this.element.hidden;
  }

  // What stands between the last @ and the cursor, if somebody could be meant by it.
  begun() {
    const before = this.field.value.slice(0, this.field.selectionStart);
    return /(?:^|[^\p{L}\p{N}])@([\p{L}\p{N}_-]{0,30})$/u.exec(before);
  }

  look() {
    const begun = this.begun();
    const words = begun?.[1].toLowerCase();
    const fits = ({ name, real }) => name.toLowerCase().startsWith(words) || real.toLowerCase().split(" ").some((part) => part.startsWith(words));
    this.found = begun ? this.model.mentionable().filter(fits).sort((a, b) => b.bot - a.bot).slice(0, 8) : [];
    if (this.found.length === 1 && this.found[0].name.toLowerCase() === words) this.found = [];
    this.at = 0;
    this.draw();
  }

  // Whether the key was for us.
  key(event) {
    if (!this.open) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.at = (this.at + step + this.found.length) % this.found.length;
      this.draw();
    } else if (event.key === "Enter" || event.key === "Tab") this.choose(this.found[this.at]);
    else if (event.key === "Escape") this.close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  choose(one) {
    const cursor = this.field.selectionStart;
    const start = cursor - this.begun()[1].length;
    this.field.setRangeText(`${one.name} `, start, cursor, "end");
    this.close();
    this.field.focus();
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  close() {
    this.found = [];
    this.draw();
  }

  draw() {
    const options = this.found.map((one, n) =>
      el(
        "li",
        { id: `${this.id}-${n}`, role: "option", "aria-selected": String(n === this.at), on: { mousedown: (event) => (event.preventDefault(), this.choose(one)) } },
        face(this.model, one.id, "small"),
        el("b", {}, one.name),
        el("span", { class: "quiet" }, one.bot ? "App" : one.real),
      ),
    );
    this.element.replaceChildren(...options);
    this.element.hidden = options.length === 0;
    this.field.setAttribute("aria-expanded", String(options.length > 0));
    if (options.length) this.field.setAttribute("aria-activedescendant", `${this.id}-${this.at}`);
    else this.field.removeAttribute("aria-activedescendant");
  }
}
