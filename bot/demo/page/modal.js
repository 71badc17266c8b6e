/** A Discord modal as a real <dialog>: labelled text inputs. */
import { h } from "./dom.js";

const PARAGRAPH = 2;

/** Show `modal`; `submit(fields)` resolves to an error sentence or null. Resolves when the dialog is gone. */
export function openModal(modal, submit) {
  const fields = modal.components.map(field);
  const error = h("p", { class: "error", role: "alert" });
  const ok = h("button", { type: "submit", class: "button primary" }, "Submit");
  const cancel = h("button", { type: "button", class: "button secondary", click: () => dialog.close() }, "Cancel");
  const form = h("form", { method: "dialog" },
    h("h2", { id: "modal-title" }, modal.title), fields.map(([, node]) => node), error,
    h("div", { class: "row end" }, cancel, ok));
  const dialog = h("dialog", { "aria-labelledby": "modal-title" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (ok.disabled) return;
    [ok.disabled, error.textContent] = [true, ""];
    const problem = await submit(Object.fromEntries(fields.map(([input]) => [input.name, input.value])));
    ok.disabled = false;
    if (problem) error.textContent = problem;
    else dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  fields[0][0].focus();
  return new Promise((done) => dialog.addEventListener("close", () => (dialog.remove(), done())));
}

/** A label with its text input: the input itself, and the node that holds both. */
function field({ label, description, component: one }) {
  const id = `field-${one.id}`;
  const required = one.required !== false;
  const input = h(one.style === PARAGRAPH ? "textarea" : "input", {
    id, name: one.custom_id, required, "aria-describedby": description && `${id}-help`,
    minlength: one.min_length, maxlength: one.max_length, placeholder: one.placeholder,
  });
  input.value = one.value ?? "";
  const words = h("label", { for: id }, `${label} `, h("span", { class: "mark" }, required ? "required" : "optional"));
  const help = description && h("p", { class: "subtext", id: `${id}-help` }, description);
  return [input, h("div", { class: "field" }, words, help, input)];
}
