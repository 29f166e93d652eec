// What one person can see of the workspace now: channels, messages, threads, what agents say they are doing. Views ask
// it and are told when it changed. A message is never altered, only replaced, so a view can tell by identity.

import { Api } from "./api.js";
import { Live, statusOf } from "./live.js";

const PAGE = 60;

export class Model extends EventTarget {
  constructor(bootstrap, me) {
    super();
    this.team = bootstrap.team;
    this.bot = bootstrap.bot;
    this.everybody = bootstrap.people;
    this.members = new Map(bootstrap.channels.map((channel) => [channel.id, channel.members]));
    this.me = me;
    this.api = new Api(bootstrap.people.find((person) => person.id === me).token);
    this.people = new Map();
    this.channels = new Map();
    this.cursor = bootstrap.cursor;
    this.sessions = new Map(bootstrap.sessions.map((session) => [`${session.channel}/${session.thread_ts}`, session]));
    this.statuses = new Map();
    this.messages = new Map();
    this.older = new Map();
    this.asking = new Set();
    this.reachable = true;
  }

  async load() {
    const [people, channels] = await Promise.all([
      this.api.all("users.list", "members", { limit: 200 }),
      this.api.all("conversations.list", "channels", { types: "public_channel,private_channel,mpim,im", limit: 200 }),
    ]);
    for (const person of people) this.people.set(person.id, person);
    for (const channel of channels) if (channel.is_im || channel.is_member) this.channels.set(channel.id, channel);
    await Promise.all([...this.channels.keys()].map((channel) => this.loadHistory(channel)));
    this.changed();
  }

  // Follow the workspace from the moment of the bootstrap on; `lost` if that is not possible any more.
  listen(lost) {
    this.live = new Live(this, this.cursor, lost);
  }

  end() {
    this.live?.close();
    for (const { fading } of this.statuses.values()) clearTimeout(fading);
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  // -- names --------------------------------------------------------------------------------------------------------

  nameOf(id) {
    const person = this.people.get(id);
    return person ? person.profile?.display_name || person.name : undefined;
  }

  realNameOf(id) {
    const person = this.people.get(id);
    return person ? (person.is_bot ? this.nameOf(id) : person.real_name) : id;
  }

  channelOf(id) {
    return this.channels.get(id)?.name;
  }

  titleOf(channel) {
    return channel.is_im ? this.realNameOf(channel.user) : channel.name;
  }

  // Whether the bot hears what is said there. A place that is newer than this window is taken to have it.
  hasBot(channel) {
    return this.members.get(channel)?.includes(this.bot.user_id) ?? true;
  }

  mentionable() {
    const others = [...this.people.values()].filter((person) => !person.is_bot || person.id === this.bot.user_id);
    return others.map((person) => ({ id: person.id, name: this.nameOf(person.id), real: person.real_name, bot: person.is_bot }));
  }

  // -- messages -----------------------------------------------------------------------------------------------------

  // What stands in the channel itself, oldest first.
  roots(channel) {
    return sorted([...(this.messages.get(channel)?.values() ?? [])].filter(standsInChannel));
  }

  // The messages of a thread, oldest first.
  thread(channel, root) {
    const inThread = (message) => message.ts === root || message.thread_ts === root;
    return sorted([...(this.messages.get(channel)?.values() ?? [])].filter(inThread));
  }

  message(channel, ts) {
    return this.messages.get(channel)?.get(ts);
  }

  put(channel, message) {
    if (!this.messages.has(channel)) this.messages.set(channel, new Map());
    const known = this.messages.get(channel);
    const before = known.get(message.ts);
    if (before && JSON.stringify(before) === JSON.stringify(message)) return;
    known.set(message.ts, message);
  }

  remove(channel, ts) {
    this.messages.get(channel)?.delete(ts);
  }

  // Something was told while answers may be on their way that do not know of it yet: it counts more than they do.
  hear(channel, ts, message) {
    for (const told of this.asking) told.add(`${channel}/${ts}`);
    if (message) this.put(channel, message);
    else this.remove(channel, ts);
  }

  // Ask for messages of a channel and put them in the place of `stale(found)`, those that were known there before.
  async ask(channel, asking, stale = () => []) {
    const told = new Set();
    this.asking.add(told);
    try {
      const found = await asking();
      const there = new Set(found.map((message) => message.ts));
      const fresh = (ts) => !told.has(`${channel}/${ts}`);
      for (const { ts, whispered } of stale(found)) if (!there.has(ts) && !whispered && fresh(ts)) this.remove(channel, ts);
      for (const message of found) if (fresh(message.ts)) this.put(channel, message);
    } finally {
      this.asking.delete(told);
    }
  }

  // The first message of a thread whose replies became fewer, as it is now.
  async refresh(channel, ts) {
    const first = async () => (await this.api.call("conversations.replies", { channel, ts, limit: 1 })).messages;
    await this.ask(channel, first).catch(() => {}); // gone too, which is told by itself
    this.changed();
  }

  async loadHistory(channel) {
    const since = (found) => this.roots(channel).filter((message) => message.ts >= (found.at(-1)?.ts ?? "0"));
    await this.ask(channel, () => this.page(channel), since);
  }

  async loadEarlier(channel) {
    const cursor = this.older.get(channel);
    if (!cursor) return;
    this.older.set(channel, null);
    await this.ask(channel, () => this.page(channel, cursor));
    this.changed();
  }

  async page(channel, cursor) {
    const body = await this.api.call("conversations.history", { channel, limit: PAGE, cursor });
    this.older.set(channel, body.has_more ? (body.response_metadata?.next_cursor ?? null) : null);
    return body.messages;
  }

  async loadThread(channel, ts) {
    const replies = () => this.api.all("conversations.replies", "messages", { channel, ts, limit: 200 });
    await this.ask(channel, replies, () => this.thread(channel, ts));
    this.changed();
  }

  // -- what agents say they are doing ---------------------------------------------------------------------------------

  statusOf(channel, ts) {
    return statusOf(this, channel, ts);
  }

  busy(channel, ts) {
    return Boolean(this.statusOf(channel, ts)?.busy);
  }

  setStatus({ channel, thread_ts, status, user, until }) {
    const key = `${channel}/${thread_ts}`;
    clearTimeout(this.statuses.get(key)?.fading);
    this.statuses.delete(key);
    if (!status) return;
    const fade = () => {
      this.statuses.delete(key);
      this.changed();
    };
    this.statuses.set(key, { status, user, fading: setTimeout(fade, Math.max(0, until * 1000 - Date.now())) });
  }

  // -- saying and pressing --------------------------------------------------------------------------------------------

  async say(channel, text, files, thread_ts) {
    if (files.length === 0) {
      const body = await this.api.call("chat.postMessage", { channel, text, thread_ts });
      this.put(channel, body.message);
      this.changed();
      return;
    }
    const sent = [];
    for (const file of files) sent.push(await this.api.upload(file));
    const comment = text || undefined;
    await this.api.call("files.completeUploadExternal", { files: sent, channel_id: channel, initial_comment: comment, thread_ts });
  }

  press(channel, message, action) {
    return this.api.press({ channel, ts: message.ts, action_id: action.action_id, value: action.value });
  }

  stop(channel, thread_ts) {
    return this.api.stop({ channel, thread_ts });
  }
}

function standsInChannel(message) {
  return !message.thread_ts || message.thread_ts === message.ts || message.subtype === "thread_broadcast";
}

function sorted(messages) {
  return messages.sort((a, b) => (a.ts < b.ts ? -1 : 1));
}
