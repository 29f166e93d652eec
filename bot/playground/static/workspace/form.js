// A form that the app shows to this person (a view of Slack's): words, and fields to fill in.

import { blocks } from "./blocks.js";
import { el } from "./dom.js";

export function openForm(app, view) {
  if (view.type !== "modal") return;
  const fields = view.blocks.filter((block) => block.type === "input").map((block) => [block, field(block.element)]);
  const told = view.blocks.filter((block) => block.type !== "input");
  const dialog = el("dialog", { "aria-label": view.title?.text ?? "Form", on: { close: () => dialog.remove() } });
  const send = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(fields.map(([block, input]) => [block.block_id, { [block.element.action_id]: input.value }]));
    try {
      await app.model.api.submit({ view_id: view.id, values });
      dialog.close();
    } catch (trouble) {
      app.tell(trouble.message);
    }
  };
  const labels = fields.map(([block, input]) => el("label", { class: "form-field" }, block.label?.text ?? "", input));
  const cancel = el("button", { type: "button", class: "button", on: { click: () => dialog.close() } }, view.close?.text ?? "Cancel");
  const submit = el("button", { type: "submit", class: "button primary" }, view.submit?.text ?? "Send");
  dialog.append(
    el("h2", {}, view.title?.text ?? ""),
    el("form", { on: { submit: send } }, blocks(told, app.desk, () => {}), labels, el("div", { class: "block actions" }, submit, cancel)),
  );
  app.root.append(dialog);
  dialog.showModal();
}

function field(element) {
  const shape = { required: true, maxlength: element.max_length ?? 3000 };
  return el(element.multiline ? "textarea" : "input", element.multiline ? { ...shape, rows: 4 } : shape);
}
