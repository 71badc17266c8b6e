/** The message log: what is shown, in the order of the ids, without moving what is being read. */
import { h } from "./dom.js";
import { EPHEMERAL, LOADING, renderMessage } from "./render.js";

export class MessageLog {
  #root;
  #view;
  #shown = new Map(); // message id → {message, node}
  #dismissed = new Set();
  #atEnd = true; // then new messages scroll the log

  constructor(root, view) {
    [this.#root, this.#view] = [root, view];
    root.addEventListener("scroll", () => (this.#atEnd = root.scrollHeight - root.scrollTop - root.clientHeight < 40));
    new ResizeObserver(() => this.#atEnd && this.toEnd()).observe(root); // the command line grows and shrinks
  }

  get isEmpty() {
    return !this.#shown.size;
  }

  /** Everybody who wrote or was pinged here. */
  users() {
    return [...this.#shown.values()].flatMap(({ message }) => [message.author, ...(message.mentions ?? [])]);
  }

  toEnd() {
    this.#atEnd = true;
    this.#root.scrollTop = this.#root.scrollHeight;
  }

  clear() {
    this.#root.setAttribute("aria-busy", "true");
    this.#root.setAttribute("aria-live", "off"); // history is not news
    this.#shown.clear();
    this.#root.replaceChildren();
    this.#atEnd = true;
  }

  /** Show exactly these messages, and the ephemeral ones already here: the server may have forgotten them. */
  replace(messages) {
    const there = new Set(messages.map((message) => message.id));
    this.#keepPlace(() => {
      for (const [id, { message }] of this.#shown) if (!there.has(id) && !(message.flags & EPHEMERAL)) this.#take(id);
      messages.forEach((message) => this.#put(message));
    });
    this.#root.setAttribute("aria-busy", "false");
    this.#root.setAttribute("aria-live", "polite");
  }

  put(message) {
    this.#keepPlace(() => this.#put(message));
  }

  edit(message) {
    if (this.#shown.has(message.id)) this.put(message);
  }

  redraw(id) {
    if (this.#shown.has(id)) this.#keepPlace(() => this.#draw(this.#shown.get(id)));
  }

  remove(id) {
    this.#keepPlace(() => this.#take(id));
  }

  dismiss(id) {
    this.#dismissed.add(id);
    this.remove(id);
  }

  #keepPlace(change) {
    const eyes = this.#root.getBoundingClientRect().top + this.#root.clientHeight / 3;
    const anchor = [...this.#root.children].find((node) => node.getBoundingClientRect().bottom > eyes);
    const before = anchor?.getBoundingClientRect().top;
    change();
    if (this.#atEnd) this.toEnd();
    else if (anchor?.isConnected) this.#root.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  #put(message) {
    if (this.#dismissed.has(message.id)) return;
    const known = this.#shown.get(message.id);
    if (known) {
      // Edits are silent, messages notify: only the answer that replaces "thinking…" is read out.
      known.node.setAttribute("aria-live", known.message.flags & LOADING ? "polite" : "off");
      known.message = { ...known.message, ...message };
      return this.#draw(known);
    }
    const kind = message.flags & EPHEMERAL ? "ephemeral" : "";
    const node = h("article", { "data-id": message.id, tabindex: "-1", class: kind });
    const after = [...this.#root.children].find((other) => BigInt(other.dataset.id) > BigInt(message.id));
    this.#shown.set(message.id, { message, node });
    this.#draw({ message, node });
    this.#root.insertBefore(node, after ?? null);
  }

  /** Draw again what may have changed; the focus and unfolded files stay as they are. */
  #draw({ message, node }) {
    const focused = document.activeElement;
    const hadFocus = node.contains(focused) && node !== focused;
    const folds = [...node.querySelectorAll("details[open]")];
    const find = (key, value) => node.querySelector(`[data-${key}="${CSS.escape(value ?? "")}"]`);
    node.replaceChildren(...renderMessage(message, this.#view));
    for (const fold of folds) find("fold", fold.dataset.fold)?.replaceWith(fold);
    if (hadFocus) (find("act", focused.dataset.act) ?? node).focus();
  }

  #take(id) {
    this.#shown.get(id)?.node.remove();
    this.#shown.delete(id);
  }
}
