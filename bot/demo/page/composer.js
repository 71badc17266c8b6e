/** The command line: pick a slash command, fill its options, send. Knows nothing of messages. */
import { h } from "./dom.js";
import { Suggestions } from "./suggestions.js";

const SUBCOMMAND = 1, GROUP = 2, INTEGER = 4, BOOLEAN = 5;
const SLASH_COMMAND = 1;
const DEBOUNCE_MS = 120;

export class Composer {
  #at = {}; // the elements of the form by id
  #suggestions;
  #commands = []; // every command that can be sent: {words, path, description, options}
  #chosen = null;
  #fields = [];
  #question = 0; // the number of the newest autocomplete question; older answers are stale
  #timer;

  /** `send(words, options)` resolves to an error sentence or null, `suggest(words, options, focused)` to choices. */
  constructor(form, { send, suggest }) {
    Object.assign(this, { form, send, suggest });
    for (const node of form.querySelectorAll("[id]")) this.#at[node.id] = node;
    this.#suggestions = new Suggestions(this.#at.suggestions);
    this.#at.entry.addEventListener("input", () => this.#offerCommands());
    this.#at.entry.addEventListener("focus", () => this.#at.entry.value && this.#offerCommands());
    form.addEventListener("submit", (event) => this.#submit(event));
    form.addEventListener("keydown", (event) => this.#suggestions.key(event) || this.#leave(event));
    form.addEventListener("focusout", (event) => form.contains(event.relatedTarget) || this.#suggestions.close());
  }

  /** Take over the command tree as it is registered with Discord. */
  setCommands(tree) {
    this.#commands = tree.filter((one) => (one.type ?? SLASH_COMMAND) === SLASH_COMMAND).flatMap((one) => leaves(one));
  }

  focus() {
    (this.#fields[0]?.input ?? this.#at.entry).focus();
  }

  #say(text, isError = false) {
    this.#at.answer.textContent = text;
    this.#at.answer.classList.toggle("error", isError);
  }

  #offerCommands() {
    const typed = this.#at.entry.value.trimStart().toLowerCase();
    const exact = this.#commands.find((command) => `/${command.path} ` === typed);
    if (exact) return this.#choose(exact);
    const words = typed.slice(1);
    const found = this.#commands.filter((command) => typed.startsWith("/") && command.path.includes(words.trim()));
    found.sort((a, b) => b.path.startsWith(words) - a.path.startsWith(words));
    this.#at.hint.textContent = !typed || found.length ? "" : words ? "No such command." : "Commands start with /";
    const item = (one) => ({ name: `/${one.path}`, detail: one.description, pick: () => this.#choose(one) });
    this.#suggestions.offer(this.#at.entry, found.map(item), 0);
  }

  #choose(command) {
    this.#hush();
    this.#say("");
    this.#chosen = command;
    this.#fields = (command.options ?? []).map((option) => this.#field(option));
    const path = h("span", { class: "path" }, `/${command.path}`);
    this.#at.slots.replaceChildren(path, ...this.#fields.map((field) => field.label));
    this.#at.entry.hidden = true;
    this.#at.hint.textContent = command.description;
    (this.#fields[0]?.input ?? this.#at.send).focus();
  }

  #field(option) {
    const input = h("input", {
      id: `option-${option.name}`, role: "combobox", autocomplete: "off", spellcheck: "false",
      maxlength: option.max_length,
      "aria-controls": "suggestions", "aria-expanded": "false", "aria-autocomplete": "list", "aria-describedby": "hint",
      "aria-required": String(Boolean(option.required)),
    });
    const mark = h("span", { class: "mark" }, option.required ? "required" : "optional");
    const label = h("label", { for: input.id }, h("span", {}, option.name), mark, input);
    const field = { option, input, label, picked: null, fixed: fixedChoices(option) };
    input.addEventListener("input", () => {
      input.removeAttribute("aria-invalid");
      this.#say("");
      this.#ask(field);
    });
    input.addEventListener("focus", () => {
      this.#at.hint.textContent = `${option.name} — ${option.description}`;
      this.#ask(field);
    });
    return field;
  }

  /** Stop whatever is being suggested or asked; returns the number of the next question. */
  #hush() {
    clearTimeout(this.#timer);
    this.#suggestions.close();
    return ++this.#question;
  }

  #ask(field) {
    const question = this.#hush();
    const { fixed, option } = field;
    const isStale = () => question !== this.#question || document.activeElement !== field.input;
    if (fixed) return this.#offerChoices(field, fixed.filter((choice) => lower(choice.name).includes(typed(field))));
    if (!option.autocomplete) return;
    this.#timer = setTimeout(async () => {
      try {
        const choices = await this.suggest(this.#chosen.words, this.#filled(), option.name);
        if (!isStale()) this.#offerChoices(field, choices);
      } catch (error) {
        if (!isStale()) this.#say(error.message, true);
      }
    }, DEBOUNCE_MS);
  }

  #offerChoices(field, choices) {
    const pick = (choice) => {
      this.#hush();
      field.picked = choice;
      field.input.value = choice.name;
    };
    const isOpen = typed(field) && !choices.some((choice) => isNamed(choice, typed(field)));
    const items = choices.map((choice) => ({ name: choice.name, pick: () => pick(choice) }));
    this.#suggestions.offer(field.input, items, isOpen ? 0 : -1);
  }

  #filled() {
    const filled = this.#fields.filter((field) => typed(field));
    return Object.fromEntries(filled.map((field) => [field.option.name, valueOf(field)]));
  }

  async #submit(event) {
    event.preventDefault();
    if (this.#at.send.disabled) return;
    if (!this.#chosen) return this.#say("Type / and pick a command from the list.", true);
    this.#hush();
    if (this.#complain()) return;
    const { path, words } = this.#chosen;
    this.#say(`Sending /${path} …`);
    this.#at.send.disabled = true;
    const error = await this.send(words, this.#filled());
    this.#at.send.disabled = false;
    if (error) return this.#say(error, true);
    this.#reset();
    this.#say(`Sent /${path}.`);
  }

  #complain() {
    for (const field of this.#fields) field.input.setAttribute("aria-invalid", String(Boolean(problemOf(field))));
    const wrong = this.#fields.find(problemOf);
    if (!wrong) return false;
    wrong.input.focus();
    this.#hush();
    this.#say(problemOf(wrong), true);
    return true;
  }

  #leave(event) {
    const isBack = event.key === "Backspace" && event.target === this.#fields[0]?.input && !event.target.value;
    if (!this.#chosen || (event.key !== "Escape" && !isBack)) return;
    event.preventDefault();
    this.#reset(`/${this.#chosen.path}`);
  }

  #reset(text = "") {
    const isElsewhere = document.activeElement !== document.body && !this.form.contains(document.activeElement);
    this.#hush();
    [this.#chosen, this.#fields] = [null, []];
    this.#at.slots.replaceChildren();
    [this.#at.entry.hidden, this.#at.entry.value, this.#at.hint.textContent] = [false, text, ""];
    if (!isElsewhere) this.#at.entry.focus();
  }
}

function leaves(node, above = []) {
  const words = [...above, node.name];
  const deeper = (node.options ?? []).filter((option) => option.type === SUBCOMMAND || option.type === GROUP);
  if (deeper.length) return deeper.flatMap((option) => leaves(option, words));
  return [{ words, path: words.join(" "), description: node.description, options: node.options }];
}

const lower = (text) => text.toLowerCase();
const typed = (field) => lower(field.input.value.trim());
const isNamed = (choice, text) => lower(choice.name) === text || lower(String(choice.value)) === text;

function fixedChoices(option) {
  if (option.type === BOOLEAN) return [{ name: "True", value: true }, { name: "False", value: false }];
  return option.choices?.length ? option.choices : null;
}

function choiceOf(field) {
  if (field.picked?.name === field.input.value) return field.picked;
  return field.fixed?.find((choice) => isNamed(choice, typed(field)));
}

function valueOf(field) {
  const text = field.input.value.trim();
  const isNumber = field.option.type === INTEGER && text && !isNaN(text);
  return choiceOf(field)?.value ?? (isNumber ? Number(text) : text);
}

function problemOf(field) {
  const { option, fixed } = field;
  if (!typed(field)) return option.required ? `${option.name} is required.` : null;
  if (fixed && !choiceOf(field)) return `${option.name} must be one of: ${fixed.map((one) => one.name).join(", ")}.`;
  if (option.type === INTEGER && !Number.isInteger(valueOf(field))) return `${option.name} must be a whole number.`;
  return null;
}
