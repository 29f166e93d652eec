// Builds elements. Words only ever become text nodes, addresses are only those of the web: there is no other way here
// for what somebody said to reach the document.

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) set(node, name, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
  } else if (name === "data") {
    Object.assign(node.dataset, value);
  } else if (name === "href" || name === "src") {
    node.setAttribute(name, safeAddress(value) ?? "#");
  } else {
    node.setAttribute(name, value === true ? "" : String(value));
  }
}

// The address if a click on it can only ever open a page (or a letter); else null.
export function safeAddress(address) {
  try {
    const url = new URL(String(address), location.href);
    return ["http:", "https:", "mailto:", "blob:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

export function link(address, ...children) {
  const href = safeAddress(address);
  if (href === null || href.startsWith("blob:")) return el("span", {}, ...children);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

const ICONS = {
  attach: "M15.5 6.5 8.7 13.3a2 2 0 0 0 2.8 2.8l7-7a4 4 0 0 0-5.6-5.6l-7 7a6 6 0 0 0 8.4 8.4l5.6-5.5",
  back: "M15 5 8 12l7 7",
  bin: "M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13M10 11v5M14 11v5",
  close: "M6 6l12 12M18 6 6 18",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  mention: "M15.5 12a3.5 3.5 0 1 1-7 0 3.5 3.5 0 0 1 7 0zm0 0v1.5a2.5 2.5 0 0 0 5 0V12A8.5 8.5 0 1 0 17 18.9",
  menu: "M4 7h16M4 12h16M4 17h16",
  open: "M10 5H5v14h14v-5M14 4h6v6M20 4l-9 9",
  pencil: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  reply: "M5 5h14v10h-8l-4 4v-4H5z",
  send: "M4 12 20 5l-5 15-4-6z",
  ship: "M4 14h16l-2.5 6h-11zM11 14V4l7 7h-7M8 14v-4",
  smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.5 14.5a4.5 4.5 0 0 0 7 0M9 9.5v.5M15 9.5v.5",
  stop: "M7 7h10v10H7z",
  wrench: "M14.5 6.5a4 4 0 0 1 5-1l-2.7 2.7 1.5 1.5L21 7a4 4 0 0 1-5.5 4.8L8 19.5 4.5 16l7.7-7.5a4 4 0 0 1 2.3-2z",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function iconButton(name, label, click, props = {}) {
  const shown = { type: "button", class: "icon-button", title: label, "aria-label": label, ...props };
  return el("button", { ...shown, on: { click } }, icon(name));
}
