// What the app shows to this person beside messages: a form (a modal of Slack's) to fill in, and its Home tab.

import { blocks } from "./blocks.js";
import { el, iconButton } from "./dom.js";

export function openView(app, view) {
  if (view.type === "modal") openForm(app, view);
  if (view.type === "home") openHome(app, view);
}

function openForm(app, view) {
  const fields = view.blocks.filter((block) => block.type === "input").map((block) => new Field(block, () => typed(block)));
  const dialog = el("dialog", { "aria-label": view.title?.text ?? "Form", on: { close: () => dialog.remove() } });
  const values = () => Object.fromEntries(fields.map((field) => [field.block.block_id, { [field.action]: field.input.value }]));
  const typed = (block) => {
    if (!block.dispatch_action) return;
    const said = { view_id: view.id, values: values(), action_id: block.element.action_id };
    app.model.api.type(said).catch(() => {}); // nothing is lost: the form has the words
  };
  const send = async (event) => {
    event.preventDefault();
    try {
      const { errors } = await app.model.api.submit({ view_id: view.id, values: values() });
      for (const field of fields) field.say(errors?.[field.block.block_id] ?? "");
      if (!errors) dialog.close();
    } catch (trouble) {
      app.tell(trouble.message);
    }
  };
  const cancel = el("button", { type: "button", class: "button", on: { click: () => dialog.close() } }, view.close?.text ?? "Cancel");
  const submit = el("button", { type: "submit", class: "button primary" }, view.submit?.text ?? "Send");
  const inputs = new Map(fields.map((field) => [field.block, field.element]));
  const told = view.blocks.map((block) => inputs.get(block) ?? blocks([block], app.desk.world, () => {}));
  const parts = [told, el("div", { class: "block actions" }, cancel, submit)];
  dialog.append(el("h2", {}, view.title?.text ?? ""), el("form", { on: { submit: send } }, parts));
  app.root.append(dialog);
  dialog.showModal();
}

class Field {
  constructor(block, changed) {
    const { element } = block;
    this.block = block;
    this.action = element.action_id;
    this.input = element.type === "static_select" ? choice(element) : words(element);
    this.input.addEventListener("input", changed);
    this.wrong = el("span", { class: "trouble", role: "alert", hidden: true });
    this.element = el("label", { class: "form-field" }, block.label?.text ?? "", this.input, this.wrong);
  }

  say(wrong) {
    this.wrong.textContent = wrong;
    this.wrong.hidden = !wrong;
  }
}

function words(element) {
  const shape = { required: true, maxlength: element.max_length ?? 3000 };
  const field = el(element.multiline ? "textarea" : "input", element.multiline ? { ...shape, rows: 4 } : shape);
  field.value = element.initial_value ?? "";
  return field;
}

function choice(element) {
  const rows = element.option_groups ?? [element];
  const option = (one) => el("option", { value: one.value }, one.text.text);
  const options = rows.flatMap((row) => row.options.map(option));
  const none = el("option", { value: "", disabled: true }, element.placeholder?.text ?? "Choose…");
  const field = el("select", { required: true }, none, options);
  field.value = element.initial_option?.value ?? "";
  return field;
}

function openHome(app, view) {
  document.querySelector("dialog.home")?.remove();
  const dialog = el("dialog", { class: "home", "aria-label": "Home", on: { close: () => dialog.remove() } });
  const press = ({ action_id }) => {
    dialog.close();
    return app.model.api.pressHome({ view_id: view.id, action_id }).catch((trouble) => app.tell(trouble.message));
  };
  const close = iconButton("close", "Close", () => dialog.close(), { class: "icon-button close" });
  dialog.append(close, ...blocks(view.blocks, app.desk.world, press));
  app.root.append(dialog);
  dialog.showModal();
}
