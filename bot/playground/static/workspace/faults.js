// A form for trouble on purpose: what the workspace does to its app, to see that nothing is lost by it.

import { faults } from "./api.js";
import { el } from "./dom.js";

const WORDS = {
  duplicate: "Deliveries made twice",
  reorder: "Deliveries made last first",
  delay: "Seconds before each delivery",
  drop_acks: "Acknowledgements not heard",
  drop_mentions: "Mentions that never come",
  drop_messages: "Messages that never come",
  rate_limit: "Calls answered with 429",
  retry_after: "Seconds to wait after a 429",
  fail: "Calls refused with 503",
  fail_after: "Calls done, but answered 503",
  slow: "Seconds before each answer",
  down: "Everything is down",
  no_agent_sessions: "No agent sessions",
  unlimited: "No rate limits",
};

export async function openFaults(app) {
  try {
    show(app, await faults());
  } catch (trouble) {
    app.tell(trouble.message);
  }
}

function show(app, knobs) {
  const known = Object.keys(WORDS).filter((name) => name in knobs);
  const fields = known.map((name) => [name, field(name, knobs[name])]);
  const wish = () => Object.fromEntries(fields.map(([name, input]) => [name, input.type === "checkbox" ? input.checked : Number(input.value)]));
  const dialog = el("dialog", { "aria-label": "Make trouble", on: { close: () => dialog.remove() } });
  const act = (what) => async () => {
    try {
      await faults(what());
      dialog.close();
    } catch (trouble) {
      app.tell(trouble.message);
    }
  };
  const button = (words, kind, click) => el("button", { type: "button", class: `button ${kind}`, on: { click } }, words);
  dialog.append(
    el("h2", {}, "Make trouble"),
    el("p", { class: "quiet" }, "Counts go down as they are met. People’s own words still go through; only the app feels it."),
    el("div", { class: "knobs" }, fields.map(([name, input]) => el("label", { class: "knob" }, WORDS[name], input))),
    el(
      "div",
      { class: "block actions" },
      button("Make it so", "primary", act(wish)),
      button("Cut its connection", "danger", act(() => ({ ...wish(), disconnect: "cut" }))),
      button("Cancel", "", () => dialog.close()),
    ),
  );
  app.root.append(dialog);
  dialog.showModal();
}

function field(name, value) {
  if (typeof value === "boolean") {
    const box = el("input", { type: "checkbox", name });
    box.checked = value;
    return box;
  }
  return el("input", { type: "number", name, min: 0, step: "any", value });
}
