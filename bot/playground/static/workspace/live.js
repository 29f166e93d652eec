// Follows the workspace: server-sent events of /playground/live, each put into the model. A browser takes the stream up
// again by itself, from the last event that it had.

const BUSY = "processing", WAITS = "suspended";

export class Live {
  // `lost` is called when the stream cannot be followed from where we are: everything must be loaded anew.
  constructor(model, cursor, lost) {
    this.model = model;
    this.lost = lost;
    const query = new URLSearchParams({ token: model.api.token, cursor });
    this.stream = new EventSource(`/playground/live?${query}`);
    this.stream.addEventListener("open", () => this.reachable(true));
    this.stream.addEventListener("error", () => this.failed());
    this.stream.addEventListener("message", (event) => this.heard(JSON.parse(event.data)));
  }

  close() {
    this.stream.close();
  }

  reachable(yes) {
    if (this.model.reachable === yes) return;
    this.model.reachable = yes;
    this.model.changed();
  }

  failed() {
    this.reachable(false);
    if (this.stream.readyState === EventSource.CLOSED) this.lost();
  }

  heard(told) {
    if (told.type === "reset") {
      this.lost();
      return;
    }
    if (Object.hasOwn(CHANGES, told.type)) CHANGES[told.type](this.model, told);
    this.model.changed();
  }
}

const CHANGES = {
  message: (model, { channel, message, root }) => {
    model.hear(channel, message.ts, message);
    if (root) model.hear(channel, root.ts, root);
  },
  deleted: (model, { channel, ts, root }) => {
    model.hear(channel, ts, null);
    const first = root?.ts ?? root;
    if (first && first !== ts) model.refresh(channel, first);
  },
  whisper: (model, { channel, message }) => model.put(channel, { ...message, whispered: true }),
  channel: (model, { channel }) => {
    if (!channel.is_im && !channel.is_member) return;
    const known = model.channels.has(channel.id);
    model.channels.set(channel.id, channel);
    if (!known) model.loadHistory(channel.id).then(() => model.changed(), () => {});
  },
  left: (model, { channel }) => model.channels.delete(channel),
  session: (model, { session }) => model.sessions.set(`${session.channel}/${session.thread_ts}`, session),
  status: (model, told) => model.setStatus(told),
  view: (model, { view }) => model.dispatchEvent(new CustomEvent("view", { detail: view })),
};

// What a thread's status line says, if anything.
export function statusOf(model, channel, ts) {
  const key = `${channel}/${ts}`;
  const who = model.nameOf(model.bot.user_id) ?? "The agent";
  const session = model.sessions.get(key);
  if (session?.status === BUSY) return { who, words: "is working…", stoppable: true, busy: true };
  if (session?.status === WAITS) return { who, words: "waits for an answer", waits: true };
  const line = model.statuses.get(key);
  if (line?.status) return { who: model.nameOf(line.user) ?? who, words: line.status, busy: true };
  return null;
}
