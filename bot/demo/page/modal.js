/** A Discord modal as a real <dialog>. */
import { h } from "./dom.js";
import { markdown } from "./markdown.js";
import { optionNodes } from "./render.js";

const PARAGRAPH = 2;

/** Show `modal`; `submit(fields)` resolves to an error sentence or null. Resolves when the dialog is gone. */
export function openModal(modal, view, submit) {
  const inputs = []; // [custom_id, read()] of every field, in order
  const error = h("p", { class: "error", role: "alert" });
  const ok = h("button", { type: "submit", class: "button primary" }, "Submit");
  const close = () => dialog.close();
  const cancel = h("button", { type: "button", class: "button secondary", click: close }, "Cancel");
  const form = h("form", { method: "dialog" },
    h("h2", { id: "modal-title" }, modal.title),
    modal.components.map((one) => item(one, view, inputs)),
    error,
    h("div", { class: "row end" }, cancel, ok));
  const dialog = h("dialog", { "aria-labelledby": "modal-title" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    [ok.disabled, error.textContent] = [true, ""];
    const problem = await submit(Object.fromEntries(inputs.map(([id, read]) => [id, read()])));
    ok.disabled = false;
    if (problem) error.textContent = problem;
    else close();
  });
  document.body.append(dialog);
  dialog.showModal();
  form.querySelector("input, textarea, select")?.focus();
  return new Promise((done) => dialog.addEventListener("close", () => (dialog.remove(), done())));
}

function item(one, view, inputs) {
  if (one.type === 10) return h("div", { class: "text" }, markdown(one.content, view.names));
  if (one.type === 1) return h("div", {}, one.components.map((child) => field(child, child.label, null, view, inputs)));
  if (one.type === 18) return field(one.component, one.label, one.description, view, inputs);
  return h("p", { class: "subtext" }, `(this page cannot show component type ${one.type})`);
}

function field(one, label, description, view, inputs) {
  const id = `field-${inputs.length}`;
  const required = one.required !== false;
  const make = { 3: dropDown, 4: textInput, 5: dropDown, 21: group, 22: group }[one.type];
  if (!make) return h("p", { class: "subtext" }, `${label}: this page cannot fill component type ${one.type}`);
  const [node, read] = make(one, { id, required, "aria-describedby": description ? `${id}-help` : undefined }, view);
  inputs.push([one.custom_id, read]);
  const words = [label, h("span", { class: "mark" }, required ? "required" : "optional")];
  const help = description && h("p", { class: "subtext", id: `${id}-help` }, description);
  if (node.localName === "fieldset") return (node.prepend(h("legend", {}, words), help || ""), node);
  return h("div", { class: "field" }, h("label", { for: id }, words), help, node);
}

function textInput(one, attributes) {
  const limits = { minlength: one.min_length, maxlength: one.max_length, placeholder: one.placeholder };
  const node = h(one.style === PARAGRAPH ? "textarea" : "input", { ...attributes, ...limits });
  node.value = one.value ?? "";
  return [node, () => node.value];
}

function dropDown(one, attributes, view) {
  const many = (one.max_values ?? 1) > 1;
  const nothing = !many && h("option", { value: "" }, one.placeholder || "Choose…");
  const node = h("select", { ...attributes, multiple: many }, nothing, optionNodes(one, view));
  return [node, () => [...node.selectedOptions].map((option) => option.value).filter(Boolean)];
}

function group(one, { id, required }) {
  const type = one.type === 21 ? "radio" : "checkbox";
  const must = required && type === "radio";
  const boxes = one.options.map((option) =>
    h("input", { type, name: id, value: option.value, checked: option.default, required: must }));
  const rows = boxes.map((box, i) => h("label", { class: "choice" }, box, one.options[i].label,
    one.options[i].description && h("span", { class: "subtext" }, one.options[i].description)));
  const read = () => boxes.filter((box) => box.checked).map((box) => box.value);
  return [h("fieldset", {}, rows), type === "radio" ? () => read()[0] ?? null : read];
}
