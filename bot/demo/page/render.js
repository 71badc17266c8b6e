/** One Discord message → DOM: legacy content, embeds and rows, and components v2. */
import { h, link, webUrl } from "./dom.js";
import { inline, markdown } from "./markdown.js";

export const EPHEMERAL = 1 << 6;
export const LOADING = 1 << 7;
const V2 = 1 << 15;
const USED = { 2: "a command", 3: "a button", 5: "a form" };
const STYLES = { 1: "primary", 2: "secondary", 3: "success", 4: "danger" };
const TEXT_FILE = /\.(log|txt|md|json)$/i;
const FOLD_LIMIT = 200_000;

/** The children of a message's article. `view` holds names, act(), open(), dismiss(), busy() and note(). */
export function renderMessage(message, view) {
  const body = h("div", { class: "body" }, head(message, view), ...content(message, view));
  if (message.flags & EPHEMERAL) {
    const dismiss = { type: "button", class: "plain", click: () => view.dismiss(message) };
    body.append(h("p", { class: "private" }, "Only you can see this · ", h("button", dismiss, "Dismiss message")));
  }
  const note = view.note(message.id);
  if (note) body.append(h("p", { class: "error", role: "alert" }, note));
  if (message.thread) body.append(threadCard(message.thread, view));
  return [avatar(message.author), body];
}

/** What a user is called here. */
export function nameOf(user) {
  return user.global_name || user.username;
}

function avatar(author) {
  const node = h("div", { class: "avatar", "aria-hidden": "true" }, [...nameOf(author)][0].toUpperCase());
  node.style.setProperty("--hue", Number(BigInt(author.id) % 360n));
  return node;
}

function head(message, view) {
  const at = new Date(message.timestamp);
  const used = message.interaction_metadata;
  return h("header", {},
    used && h("p", { class: "used" }, `${nameOf(used.user)} used ${USED[used.type]}`),
    h("span", { class: "author" }, nameOf(message.author)),
    message.author.bot && h("span", { class: "tag" }, "APP"),
    h("time", { datetime: message.timestamp, title: at.toLocaleString() },
      at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })),
    message.edited_timestamp && h("span", { class: "edited" }, "(edited)"));
}

function content(message, view) {
  if (message.flags & LOADING) return [h("p", { class: "thinking" }, `${nameOf(message.author)} is thinking…`)];
  const context = { ...view, message, file: (name) => message.attachments?.find((one) => one.filename === name) };
  if (message.flags & V2) return message.components.map((one) => component(one, context));
  return [
    ...markdown(message.content, view.names),
    ...(message.attachments ?? []).map(attachment),
    ...(message.embeds ?? []).map((one) => embed(one, context)),
    ...(message.components ?? []).map((one) => component(one, context)),
  ];
}

const COMPONENTS = {
  1: (one, view) => h("div", { class: "row" }, children(one, view)),
  2: button,
  10: (one, view) => h("div", { class: "text" }, markdown(one.content, view.names)),
  13: (one, view) => attachment(view.file(one.name) ?? { filename: one.name, url: one.file.url, size: one.size }),
  14: () => h("hr"),
  17: container,
};

function component(one, view) {
  const unknown = () => h("p", { class: "subtext" }, `(this page cannot show component type ${one.type})`);
  return (COMPONENTS[one.type] ?? unknown)(one, view);
}

const children = (one, view) => one.components.map((child) => component(child, view));
const colour = (number) => `#${number.toString(16).padStart(6, "0")}`;

/** While it works a button is disabled in words only: a really disabled one would lose the focus. */
function button(one, view) {
  const busy = view.busy(view.message.id, one.custom_id);
  return h("button", {
    type: "button", class: `button ${STYLES[one.style]}`, "data-act": one.custom_id, disabled: one.disabled,
    "aria-disabled": busy && "true", "aria-busy": busy && "true", click: () => view.act(view.message, one.custom_id),
  }, one.label, busy && " · working…");
}

function container(one, view) {
  const node = h("div", { class: "container" }, children(one, view));
  if (Number.isInteger(one.accent_color)) node.style.borderInlineStartColor = colour(one.accent_color);
  return node;
}

function embed(one, view) {
  const node = h("div", { class: "container" },
    one.title && h("h3", {}, inline(one.title, view.names)), markdown(one.description, view.names));
  if (one.color) node.style.borderInlineStartColor = colour(one.color);
  return node;
}

function attachment(file) {
  const size = file.size < 1024 ? `${file.size} bytes` : `${(file.size / 1024).toFixed(1)} KB`;
  const node = h("div", { class: "file" }, h("p", {}, "File: ", link(file.url, file.filename), ` · ${size}`));
  const address = webUrl(file.url);
  if (address?.origin !== location.origin || !TEXT_FILE.test(file.filename)) return node;
  const text = h("pre", { tabindex: "0", "aria-label": file.filename }, "Loading…");
  const fold = h("details", { "data-fold": file.filename }, h("summary", {}, `Show ${file.filename} here`), text);
  fold.addEventListener("toggle", () => read(address, text), { once: true });
  node.append(fold);
  return node;
}

async function read(address, node) {
  try {
    const text = await (await fetch(address)).text();
    const isLong = text.length > FOLD_LIMIT;
    node.textContent = isLong ? `${text.slice(0, FOLD_LIMIT)}\n… cut here; the link above has all of it` : text;
  } catch {
    node.textContent = "The file could not be read. Try the link above.";
  }
}

function threadCard(thread, view) {
  return h("p", { class: "thread" }, h("button", { type: "button", class: "plain", click: () => view.open(thread.id) },
    `Open thread: ${thread.name}`));
}
