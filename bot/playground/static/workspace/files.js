// Files: those that a message carries, and those that wait to be sent.

import { el, icon, iconButton } from "./dom.js";

const SHOWN_IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MOST_BYTES = 20_000_000;

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export function fileCard(file, desk) {
  const name = file.title || file.name || "a file";
  const card = el(
    "button",
    { type: "button", class: "file", title: `Download ${name}`, data: { key: `file ${file.id}` }, on: { click: () => desk.download(file) } },
    icon("file"),
    el("span", { class: "grow" }, el("b", {}, name), el("span", { class: "quiet" }, `${file.pretty_type ?? ""} ${size(file.size ?? 0)}`)),
  );
  if (!SHOWN_IMAGES.includes(file.mimetype)) return card;
  const picture = el("img", { class: "picture", alt: name, hidden: true });
  desk.picture(file).then((address) => {
    if (!address) return;
    picture.src = address;
    picture.hidden = false;
  });
  return el("div", {}, card, picture);
}

// The files that wait beside a composer.
export class Waiting {
  constructor(changed) {
    this.files = [];
    this.changed = changed;
    this.element = el("div", { class: "waiting-files", hidden: true });
  }

  add(files) {
    const small = [...files].filter((file) => file.size > 0 && file.size <= MOST_BYTES);
    this.files.push(...small);
    this.draw();
    return small.length === [...files].length ? "" : `A file must not be empty, nor larger than ${size(MOST_BYTES)}.`;
  }

  take() {
    const taken = this.files;
    this.files = [];
    this.draw();
    return taken;
  }

  draw() {
    const chips = this.files.map((file) =>
      el("span", { class: "chip" }, icon("file"), `${file.name} · ${size(file.size)}`, iconButton("close", `Leave ${file.name} out`, () => this.drop(file))),
    );
    this.element.replaceChildren(...chips);
    this.element.hidden = chips.length === 0;
    this.changed();
  }

  drop(file) {
    this.files = this.files.filter((one) => one !== file);
    this.draw();
  }
}
