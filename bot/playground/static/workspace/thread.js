// The pane of one thread, beside the channel: its messages, what the agent says it is doing, and a composer.

import { Composer } from "./composer.js";
import { Desk } from "./desk.js";
import { el, icon, iconButton } from "./dom.js";
import { MessageList } from "./list.js";

export class ThreadPane {
  constructor(model, app) {
    this.model = model;
    this.app = app;
    this.list = new MessageList("Messages of the thread", { inThread: true });
    this.composer = new Composer(model, "Reply in the thread", (...said) => app.send(...said));
    this.place = el("span", { class: "quiet" });
    this.status = el("div", { class: "status", role: "status", hidden: true });
    this.element = el(
      "aside",
      { class: "thread", "aria-label": "Thread", hidden: true },
      el(
        "header",
        { class: "head" },
        iconButton("back", "Back to the channel", () => app.openThread(null), { class: "icon-button only-narrow" }),
        el("h2", {}, "Thread"),
        this.place,
        iconButton("close", "Close the thread", () => app.openThread(null), { class: "icon-button right only-wide" }),
      ),
      this.list.element,
      this.status,
      this.composer.element,
    );
  }

  async open(channel, ts) {
    if (this.channel === channel && this.ts === ts) return;
    this.channel = channel;
    this.ts = ts;
    this.element.hidden = ts === null;
    this.list.forget();
    if (ts === null) return;
    this.desk = new Desk(this.model, this.app, channel);
    this.composer.goTo(`${channel}/${ts}`, `Reply as ${this.app.myFirstName()}…`);
    this.draw();
    this.composer.field.focus({ preventScroll: true });
    await this.model.loadThread(channel, ts);
  }

  draw() {
    if (this.ts === null || this.ts === undefined) return;
    const messages = this.model.thread(this.channel, this.ts);
    const replies = messages.filter((message) => message.ts !== this.ts && !message.whispered).length;
    const count = replies === 1 ? "1 reply" : `${replies} replies`;
    const after = () => this.list.kept("count", count, () => el("div", { class: "day count", role: "separator" }, el("span", {}, count)));
    const { desk } = this;
    this.place.textContent = this.app.placeName(this.channel);
    this.list.show(messages, this.model, desk, { mark: (m) => desk.mark(m), view: (m) => desk.view(m), after: replies ? after : null });
    this.drawStatus();
  }

  drawStatus() {
    const shown = this.model.statusOf(this.channel, this.ts);
    const key = JSON.stringify(shown);
    if (key === this.shown) return;
    this.shown = key;
    this.status.hidden = !shown;
    if (!shown) return;
    const stop = () => this.desk.attempt("It could not be stopped:", () => this.model.stop(this.channel, this.ts));
    this.status.replaceChildren(
      el("span", { class: shown.waits ? "dot waits" : "dot" }),
      el("span", { class: "grow" }, el("b", {}, shown.who), ` ${shown.words}`),
      ...(shown.stoppable ? [el("button", { type: "button", class: "button stop", on: { click: stop } }, icon("stop"), "Stop")] : []),
    );
  }
}
