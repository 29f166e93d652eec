// The page of the playground's workspace: asks who is there, becomes one of them, and begins.

import { App } from "./workspace/app.js";
import { bootstrap } from "./workspace/api.js";
import { el } from "./workspace/dom.js";
import { Model } from "./workspace/model.js";
import { iAm, whoIAm } from "./workspace/reading.js";

const AGAIN_MS = 1000;
const root = document.getElementById("workspace");
let app = null;
let turn = 0;

async function become(person) {
  const mine = (turn += 1);
  const known = await bootstrap();
  const me = known.people.find((one) => one.id === person) ?? known.people[0];
  const model = new Model(known, me.id);
  await model.load();
  if (mine !== turn) return;
  app?.end();
  iAm(me.id);
  app = new App(root, model, (other) => become(other).catch((trouble) => app.tell(`That did not work: ${trouble.message}`)));
  model.listen(() => setTimeout(begin, AGAIN_MS));
  app.follow();
}

async function begin() {
  try {
    await become(whoIAm());
  } catch (trouble) {
    if (!app) root.replaceChildren(el("p", { class: "loading" }, `The workspace cannot be reached (${trouble.message}). Trying again…`));
    setTimeout(begin, AGAIN_MS);
  }
}

begin();
