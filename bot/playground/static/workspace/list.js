// A list of messages that grows and changes under the reader's eyes: rows that did not change stay the same elements, the
// place where he reads stays where it is, and at the end he is kept at the end.

import { el } from "./dom.js";
import { row } from "./message.js";
import { day } from "./times.js";

const TOGETHER_SECONDS = 300;
const NEAR_END = 60;

export class MessageList {
  constructor(label, { inThread = false } = {}) {
    this.inThread = inThread;
    this.rows = new Map();
    this.stuck = true;
    this.news = el("button", { type: "button", class: "news", hidden: true, on: { click: () => this.toEnd() } }, "New messages below");
    this.inner = el("div", { class: "rows" });
    this.scroller = el("div", { class: "scroller", tabindex: "0", role: "log", "aria-label": label }, this.inner);
    this.element = el("div", { class: "list" }, this.scroller, this.news);
    this.scroller.addEventListener("scroll", () => this.scrolled());
    new ResizeObserver(() => this.stuck && this.toEnd()).observe(this.inner);
    new ResizeObserver(() => this.stuck && this.toEnd()).observe(this.scroller);
  }

  // `mark(message)`: what of the view's own state belongs to a row, as a string; another string makes the row anew.
  show(messages, model, desk, { mark, view, head = null, after = null }) {
    const anchor = this.anchor();
    const wanted = [];
    let before = null;
    for (const message of messages) {
      const date = day(message.ts);
      if (!this.inThread && (!before || day(before.ts) !== date)) wanted.push(this.kept(`day ${date}`, date, () => divider(date)));
      const compact = before !== null && together(before, message) && (this.inThread || day(before.ts) === date);
      wanted.push(this.message(message, `${compact} ${mark(message)}`, () => row(message, model, desk, { ...view(message), compact, inThread: this.inThread })));
      if (after && before === null) wanted.push(after());
      before = message;
    }
    this.replace(head ? [head, ...wanted] : wanted);
    this.settle(anchor, messages);
  }

  message(message, mark, make) {
    return this.kept(message.ts, mark, make, message);
  }

  kept(key, mark, make, value = null) {
    const known = this.rows.get(key);
    if (known && known.mark === mark && known.value === value) return known.node;
    const node = make();
    if (known) keepFocus(known.node, node);
    this.rows.set(key, { mark, value, node });
    return node;
  }

  replace(wanted) {
    const there = new Set(wanted);
    for (const [key, { node }] of this.rows) if (!there.has(node)) this.rows.delete(key);
    for (const child of [...this.inner.children]) if (!there.has(child)) child.remove();
    let next = this.inner.firstElementChild;
    for (const node of wanted) {
      if (node === next) next = next.nextElementSibling;
      else this.inner.insertBefore(node, next);
    }
    this.focusWaiting();
  }

  focusWaiting() {
    const waiting = this.inner.querySelector("[data-focus-me]");
    if (!waiting) return;
    waiting.removeAttribute("data-focus-me");
    waiting.focus({ preventScroll: true });
  }

  // -- where the reader is --------------------------------------------------------------------------------------------

  anchor() {
    const top = this.scroller.getBoundingClientRect().top;
    const seen = [...this.inner.querySelectorAll("[data-ts]")].find((node) => node.getBoundingClientRect().bottom > top);
    return seen ? { ts: seen.dataset.ts, at: seen.getBoundingClientRect().top } : null;
  }

  settle(anchor, messages) {
    const last = messages.at(-1)?.ts ?? "";
    if (this.stuck) {
      this.toEnd();
    } else if (anchor) {
      const node = this.inner.querySelector(`[data-ts="${CSS.escape(anchor.ts)}"]`);
      if (node) this.scroller.scrollTop += node.getBoundingClientRect().top - anchor.at;
      if (last > this.last) this.news.hidden = false;
    }
    this.last = last;
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.stuck = scrollHeight - scrollTop - clientHeight < NEAR_END;
    if (this.stuck) this.news.hidden = true;
    if (scrollTop < NEAR_END) this.element.dispatchEvent(new Event("top"));
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.stuck = true;
    this.news.hidden = true;
  }

  forget() {
    this.rows.clear();
    this.inner.replaceChildren();
    this.stuck = true;
    this.last = "";
  }
}

function divider(date) {
  return el("div", { class: "day", role: "separator" }, el("span", {}, date));
}

function together(before, message) {
  const near = Number(message.ts) - Number(before.ts) < TOGETHER_SECONDS;
  const plain = !before.reply_count && !message.whispered && !before.whispered && message.subtype !== "tombstone";
  return near && plain && before.user === message.user && before.bot_id === message.bot_id;
}

// A row that is made anew while somebody is on one of its buttons.
function keepFocus(old, fresh) {
  const focused = document.activeElement;
  if (!old.contains(focused) || fresh.querySelector("[data-focus-me]")) return;
  const key = focused.dataset?.key;
  const heir = focused === old ? fresh : [...fresh.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key);
  (heir ?? fresh).dataset.focusMe = "";
}
