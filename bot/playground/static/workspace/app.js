// One person's window: joins the model with the column of channels, the channel, its thread and the composers.

import { beginning } from "./beginning.js";
import { Composer } from "./composer.js";
import { Desk } from "./desk.js";
import { el, icon, iconButton } from "./dom.js";
import { openFaults } from "./faults.js";
import { openView } from "./form.js";
import { face } from "./message.js";
import { MessageList } from "./list.js";
import { encode } from "./mrkdwn.js";
import { read, readUpTo } from "./reading.js";
import { channelList, personSwitch } from "./sidebar.js";
import { ThreadPane } from "./thread.js";

const TOLD_MS = 8000;

export class App {
  constructor(root, model, switchTo) {
    this.root = root;
    this.model = model;
    this.switchTo = switchTo;
    this.channel = null;
    this.ending = new AbortController();
    this.list = new MessageList("Messages of the channel");
    this.list.element.addEventListener("top", () => this.model.loadEarlier(this.channel));
    this.composer = new Composer(model, "Write a message", (...said) => this.send(...said));
    this.thread = new ThreadPane(model, this);
    this.head = el("header", { class: "head" });
    this.sidebar = el("nav", { class: "sidebar", id: "sidebar", "aria-label": "Channels" });
    this.told = el("div", { class: "told-trouble", role: "alert", hidden: true });
    this.offline = el("div", { class: "offline", role: "status", hidden: true }, "The workspace cannot be reached. Trying again…");
    root.classList.remove("with-sidebar", "with-thread");
    root.replaceChildren(this.bar(), this.sidebar, this.main(), this.thread.element, this.told);
    this.listen();
  }

  bar() {
    const menu = iconButton("menu", "Channels", () => this.root.classList.toggle("with-sidebar"), { class: "icon-button only-narrow", "aria-controls": "sidebar" });
    const forge = el("a", { class: "bar-link", href: "/forge/", target: "_blank", rel: "noopener" }, "Forge", icon("open"));
    const brand = el("span", { class: "brand" }, el("span", { class: "team", "aria-hidden": "true" }, icon("ship")), this.model.team.name ?? "Playground");
    const knobs = iconButton("wrench", "Make trouble", () => openFaults(this), { class: "icon-button only-wide" });
    return el("div", { class: "bar" }, menu, brand, knobs, forge, personSwitch(this.model, this.switchTo));
  }

  main() {
    return el("main", { class: "channel" }, this.head, this.offline, this.list.element, this.composer.element);
  }

  listen() {
    const { signal } = this.ending;
    let asked = false;
    const soon = () => {
      if (asked) return;
      asked = true;
      queueMicrotask(() => {
        asked = false;
        this.draw();
      });
    };
    this.model.addEventListener("change", soon, { signal });
    this.model.addEventListener("view", (event) => openView(this, event.detail), { signal });
    window.addEventListener("hashchange", () => this.follow(), { signal });
    window.addEventListener("focus", soon, { signal });
    document.addEventListener("keydown", (event) => this.key(event), { signal });
    this.root.addEventListener("click", (event) => this.away(event), { signal });
  }

  end() {
    this.ending.abort();
    this.model.end();
  }

  // -- where we are: the address says it ------------------------------------------------------------------------------

  follow() {
    const [, name = "", thread = ""] = decodeURIComponent(location.hash).split("/");
    const channels = [...this.model.channels.values()];
    const meant = channels.find((channel) => channel.id === name || channel.name === name);
    const found = meant ?? channels.find((channel) => !channel.is_im);
    this.root.classList.remove("with-sidebar");
    if (found) this.show(found.id, meant && /^\d+\.\d+$/.test(thread) ? thread : null);
  }

  goTo(channel, thread = null) {
    const name = this.model.channels.get(channel)?.name || channel;
    location.hash = thread ? `#/${name}/${thread}` : `#/${name}`;
    this.root.classList.remove("with-sidebar");
  }

  openThread(ts) {
    this.goTo(this.channel, ts);
    if (ts === null) this.composer.field.focus({ preventScroll: true });
  }

  show(channel, thread) {
    if (channel !== this.channel) {
      this.channel = channel;
      this.told.hidden = true;
      this.desk = new Desk(this.model, this, channel);
      this.list.forget();
      this.drawHead();
      if (this.isApp(this.model.channels.get(channel))) this.lookAtApp("messages");
      this.composer.goTo(channel, `Message ${this.placeName(channel)} as ${this.myFirstName()}`);
      if (!thread) this.composer.field.focus({ preventScroll: true });
    }
    this.root.classList.toggle("with-thread", thread !== null);
    this.thread.open(channel, thread).catch((trouble) => {
      this.tell(`That thread cannot be shown: ${trouble.message}`);
      this.openThread(null);
    });
    this.draw();
  }

  placeName(id) {
    const channel = this.model.channels.get(id);
    return channel.is_im ? this.model.titleOf(channel) : `#${channel.name}`;
  }

  myFirstName() {
    return this.model.realNameOf(this.model.me).split(" ")[0];
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  draw() {
    if (!this.channel) return;
    const { desk } = this;
    const messages = this.model.roots(this.channel);
    const head = this.model.older.get(this.channel) ? null : this.list.kept("beginning", this.channel, () => this.beginning());
    this.list.show(messages, this.model, desk, { mark: (m) => desk.mark(m), view: (m) => desk.view(m), head });
    this.thread.draw();
    this.offline.hidden = this.model.reachable;
    this.markRead(messages);
    this.drawSidebar();
  }

  markRead(messages) {
    const last = messages.at(-1)?.ts ?? "0";
    if (document.hasFocus() || readUpTo(this.model.me, this.channel) === null) read(this.model.me, this.channel, last);
  }

  unread(channel) {
    const upTo = readUpTo(this.model.me, channel);
    const roots = this.model.roots(channel);
    if (upTo === null) {
      read(this.model.me, channel, roots.at(-1)?.ts ?? "0");
      return 0;
    }
    return channel === this.channel ? 0 : roots.filter((message) => message.ts > upTo && message.user !== this.model.me).length;
  }

  drawSidebar() {
    const counts = [...this.model.channels.keys()].map((channel) => [channel, this.unread(channel)]);
    const key = JSON.stringify([this.channel, counts]);
    if (key === this.sidebarKey) return;
    this.sidebarKey = key;
    const focused = this.sidebar.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.sidebar.replaceChildren(...channelList(this.model, this.channel, (id) => new Map(counts).get(id), (id) => this.goTo(id)));
    if (focused) this.sidebar.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    const waiting = counts.reduce((sum, [, count]) => sum + count, 0);
    document.title = `${waiting ? `(${waiting}) ` : ""}${this.placeName(this.channel)} · ${this.model.team.name ?? "Playground"}`;
  }

  drawHead() {
    const channel = this.model.channels.get(this.channel);
    const sign = channel.is_im ? face(this.model, channel.user, "small") : channel.is_private ? icon("lock") : el("span", { class: "hash", "aria-hidden": "true" }, "#");
    const members = channel.num_members ? `${channel.num_members} members` : "";
    const topic = channel.topic?.value ?? "";
    this.head.replaceChildren(
      el("h1", {}, sign, this.model.titleOf(channel), channel.is_private && !channel.is_im ? el("span", { class: "unseen" }, "(private)") : ""),
      el("span", { class: "topic grow" }, topic),
      el("span", { class: "quiet members" }, members),
      ...(this.isApp(channel) ? [el("button", { type: "button", class: "button", on: { click: () => this.lookAtApp("home") } }, "Home")] : []),
    );
  }

  isApp(channel) {
    return channel.is_im && channel.user === this.model.bot.user_id;
  }

  lookAtApp(tab) {
    this.model.api.openApp(tab).catch((trouble) => this.tell(trouble.message));
  }

  beginning() {
    const channel = this.model.channels.get(this.channel);
    return beginning(channel, this.model, {
      write: (words) => this.composer.begin(words),
      goTo: (id) => this.goTo(id),
    });
  }

  tell(words) {
    this.told.textContent = words;
    this.told.hidden = false;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => (this.told.hidden = true), TOLD_MS);
  }

  // -- doing ----------------------------------------------------------------------------------------------------------

  // `place` is a channel, or `channel/thread`.
  async send(words, files, place) {
    const [channel, thread] = place.split("/");
    const [, command, text] = /^(\/[a-z]+)(?:\s+([^]*))?$/.exec(words) ?? [];
    if (command && !thread && !files.length) {
      await this.model.api.command({ channel, command, text: text ?? "" });
      return;
    }
    await this.model.say(channel, encode(words, this.model.mentionable()), files, thread);
    this.tellIfUnheard(channel, words);
    (thread ? this.thread.list : this.list).toEnd();
  }

  tellIfUnheard(channel, words) {
    const bot = this.model.nameOf(this.model.bot.user_id) ?? this.model.bot.name;
    if (words.includes(`@${bot}`) && !this.model.hasBot(channel)) this.tell(`${bot} is not in ${this.placeName(channel)}, so it does not hear this.`);
  }

  key(event) {
    if (event.key !== "Escape" || this.root.querySelector("dialog[open]")) return;
    if (this.root.classList.contains("with-sidebar")) this.root.classList.remove("with-sidebar");
    else if (this.root.classList.contains("with-thread")) this.openThread(null);
  }

  away(event) {
    const inSidebar = event.target.closest(".sidebar, .bar");
    if (!inSidebar) this.root.classList.remove("with-sidebar");
  }
}
