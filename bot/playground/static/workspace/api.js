// How the page talks to the workspace: its Web API as the person who is chosen, and the playground's own addresses.

export class Refused extends Error {
  constructor(method, error) {
    super(`${method}: ${error}`);
    this.error = error;
  }
}

export async function bootstrap() {
  const answer = await fetch("/playground/bootstrap", { cache: "no-store" });
  if (!answer.ok) throw new Error(`The playground answers ${answer.status}.`);
  return answer.json();
}

// What goes wrong on purpose: the knobs as they are, or, with some of them, as they are from now on.
export async function faults(wish = null) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("/playground/faults", wish ? { method: "POST", headers, body: JSON.stringify(wish) } : {});
  const { ok, error, ...knobs } = await answer.json();
  if (!ok) throw new Refused("faults", error);
  return knobs;
}

// One person's view of the workspace.
export class Api {
  constructor(token) {
    this.token = token;
  }

  async call(method, args = {}) {
    const given = Object.entries(args).filter(([, value]) => value !== undefined && value !== null);
    const form = given.map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : String(value)]);
    const answer = await fetch(`/api/${method}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${this.token}` },
      body: new URLSearchParams(form),
    });
    if (answer.status === 429) throw new Refused(method, "ratelimited");
    if (!answer.ok) throw new Refused(method, `status ${answer.status}`);
    const body = await answer.json();
    if (!body.ok) throw new Refused(method, body.error ?? "fatal_error");
    return body;
  }

  // A button of an app's message.
  press(what) {
    return this.own("/playground/press", what);
  }

  // A form that the app has shown; `errors` if it does not take it.
  submit(what) {
    return this.own("/playground/submit", what);
  }

  // A field of it that wants to hear of every change.
  type(what) {
    return this.own("/playground/type", what);
  }

  // The app's own command, and its tabs.
  command(what) {
    return this.own("/playground/command", what);
  }

  openApp(tab) {
    return this.own("/playground/open-app", { tab });
  }

  pressHome(what) {
    return this.own("/playground/press-home", what);
  }

  // The Stop that the workspace itself shows while an agent is at work.
  stop(where) {
    return this.own("/playground/stop", where);
  }

  async own(address, given) {
    const body = JSON.stringify({ token: this.token, ...given });
    const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const said = await answer.json().catch(() => ({}));
    if (!said.ok) throw new Refused(address.split("/").at(-1), said.error ?? `status ${answer.status}`);
    return said;
  }

  // Every page of a list.
  async all(method, field, args = {}, pages = 20) {
    const found = [];
    let cursor;
    for (let n = 0; n < pages; n += 1) {
      const body = await this.call(method, { ...args, cursor });
      found.push(...(body[field] ?? []));
      cursor = body.response_metadata?.next_cursor;
      if (!cursor) break;
    }
    return found;
  }

  async upload(file) {
    const place = await this.call("files.getUploadURLExternal", { filename: file.name, length: file.size });
    const address = new URL(place.upload_url);
    const answer = await fetch(address.pathname + address.search, { method: "POST", body: file });
    if (!answer.ok) throw new Refused("upload", `status ${answer.status}`);
    return { id: place.file_id, title: file.name };
  }

  // A file's content, for this person's eyes.
  async download(address) {
    const url = new URL(address, location.href);
    const headers = { Authorization: `Bearer ${this.token}` };
    const answer = await fetch(url.pathname + url.search, { headers });
    if (!answer.ok) throw new Refused("download", `status ${answer.status}`);
    return answer.blob();
  }
}
