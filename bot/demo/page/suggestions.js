/** The listbox above the command line; the focus stays in the input that it serves. */
import { h } from "./dom.js";

export class Suggestions {
  #list;
  #input = null;
  #items = [];
  #active = -1;

  constructor(list) {
    this.#list = list;
  }

  /** Show items ({name, detail?, pick()}) for an input, with the one at `first` marked (-1: none). */
  offer(input, items, first) {
    this.close();
    if (!items.length) return;
    [this.#input, this.#items] = [input, items];
    this.#list.replaceChildren(...items.map((item, i) => this.#row(item, i)));
    this.#list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    this.#mark(first);
  }

  close() {
    this.#input?.setAttribute("aria-expanded", "false");
    this.#input?.removeAttribute("aria-activedescendant");
    this.#list.hidden = true;
    this.#list.replaceChildren();
    [this.#items, this.#active] = [[], -1];
  }

  /** Handle a key press; true when it was meant for the list. */
  key(event) {
    if (!this.#items.length || event.target !== this.#input || event.isComposing) return false;
    const { length } = this.#items;
    const isMarked = this.#active >= 0;
    if (event.key === "ArrowDown") this.#mark((this.#active + 1) % length);
    else if (event.key === "ArrowUp") this.#mark((Math.max(this.#active, 0) - 1 + length) % length);
    else if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && isMarked) this.#pick(this.#active);
    else if (event.key === "Tab" && !event.shiftKey && isMarked) {
      this.#pick(this.#active);
      if (document.activeElement === event.target) return true; // an option was filled: Tab goes on to the next
    } else return false;
    event.preventDefault();
    return true;
  }

  #row(item, i) {
    const keepFocus = (event) => event.preventDefault();
    return h("li", { id: `suggestion-${i}`, role: "option", mousedown: keepFocus, click: () => this.#pick(i) },
      h("span", {}, item.name), item.detail && h("span", { class: "detail" }, item.detail));
  }

  #mark(index) {
    this.#active = index;
    const rows = [...this.#list.children];
    rows.forEach((row, i) => row.setAttribute("aria-selected", String(i === index)));
    rows[index]?.scrollIntoView({ block: "nearest" });
    if (rows[index]) this.#input.setAttribute("aria-activedescendant", rows[index].id);
  }

  #pick(index) {
    const { pick } = this.#items[index];
    this.close();
    pick();
  }
}
