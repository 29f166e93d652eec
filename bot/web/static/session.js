// Keeps the page of a session up to date: fetches what changes, and puts in place only the parts that did.
// What is fetched is HTML of our own server, escaped there; nothing here makes HTML out of words.

const LIVE_MS = 2000, RESTING_MS = 10000, SLOWEST_MS = 30000;
const main = document.getElementById("session");
const trouble = document.getElementById("trouble");
let failures = 0;

function address() {
  const url = new URL(location.href);
  url.searchParams.set("fragment", "1");
  url.hash = "";
  return url;
}

function wait() {
  const pace = main.dataset.live === "yes" ? LIVE_MS : RESTING_MS;
  setTimeout(look, Math.min(pace * 2 ** failures, Math.max(pace, SLOWEST_MS)));
}

async function look() {
  if (document.hidden) {
    document.addEventListener("visibilitychange", look, { once: true });
    return;
  }
  try {
    const answer = await fetch(address(), { cache: "no-store" });
    if (answer.status === 403 || answer.status === 404) {
      say("This link is too old, so the page stands still. Press View in the thread for a new one.");
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    bringUpToDate(page.getElementById("session"));
    failures = 0;
    say("");
  } catch {
    failures += 1;
    say("Shipmate cannot be reached just now. Trying again.");
  }
  wait();
}

function say(words) {
  if (trouble.textContent !== words) trouble.textContent = words;
  trouble.hidden = words === "";
}

function bringUpToDate(fresh) {
  if (!fresh) return;
  main.dataset.live = fresh.dataset.live;
  const known = new Map([...main.children].map((part) => [part.dataset.part, part]));
  let before = null;
  for (const part of [...fresh.children]) {
    const mine = known.get(part.dataset.part);
    known.delete(part.dataset.part);
    const kept = mine && source(mine) === part.outerHTML ? mine : adopted(part, mine);
    const next = before ? before.nextElementSibling : main.firstElementChild;
    if (kept !== next) main.insertBefore(kept, next);
    before = kept;
  }
  for (const gone of known.values()) gone.remove();
  tick(); // what was replaced has no time yet
}

const sources = new WeakMap();

function source(part) {
  return sources.get(part) ?? part.outerHTML;
}

function adopted(part, mine) {
  const html = part.outerHTML;
  for (const box of part.querySelectorAll("details[data-part]")) {
    const before = mine?.querySelector(`details[data-part="${box.dataset.part}"]`);
    if (before?.dataset.touched) Object.assign(box, { open: before.open }).dataset.touched = "yes";
  }
  const node = document.importNode(part, true);
  sources.set(node, html);
  decorate(node);
  mine?.remove();
  return node;
}

// -- times: as long as the server's words, but of this person's own clock ---------------------------------------------

function decorate(node) {
  if (!sources.has(node)) sources.set(node, node.outerHTML);
  for (const time of node.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    time.textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    time.title = at.toLocaleString();
  }
}

function duration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 1) return "under 1 s";
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function tick() {
  for (const took of main.querySelectorAll(".took[data-began]")) {
    const until = took.dataset.ended ? Number(took.dataset.ended) : Date.now() / 1000;
    took.textContent = duration(until - Number(took.dataset.began));
  }
}

main.addEventListener("click", (event) => {
  const box = event.target.closest?.("summary")?.parentElement;
  if (box) box.dataset.touched = "yes";
});

for (const part of main.children) decorate(part);
tick();
setInterval(tick, 1000);
wait();
