/** The command line: pick a slash command, fill its options, send. Knows nothing of messages. */
import { h } from "./dom.js";

const SUBCOMMAND = 1, GROUP = 2, INTEGER = 4, BOOLEAN = 5, USER = 6, CHANNEL = 7, NUMBER = 10;
const DEBOUNCE_MS = 120;

/** Wire the form. `send(words, options)` resolves to an error sentence or null, `suggest(words, options, focused)`
 *  to choices, `places()` to {people, channels}. Returns setCommands(tree) and focus(). */
export function makeComposer(form, { send, suggest, places }) {
  const [entry, list, hint, slots, submit, answer] =
    ["entry", "suggestions", "hint", "slots", "send", "answer"].map((id) => form.querySelector(`#${id}`));
  let leaves = [], chosen = null, fields = [], ask = 0, timer;
  const popup = makePopup(list);

  const say = (text, bad = false) => {
    answer.textContent = text;
    answer.classList.toggle("error", bad);
  };

  function showCommands() {
    const text = entry.value.trimStart().toLowerCase();
    const exact = leaves.find((leaf) => `/${leaf.path} ` === text);
    if (exact) return choose(exact);
    const words = text.slice(1);
    const found = text.startsWith("/") ? leaves.filter((leaf) => leaf.path.includes(words.trim())) : [];
    found.sort((a, b) => b.path.startsWith(words) - a.path.startsWith(words));
    hint.textContent = text && !text.startsWith("/") ? "Commands start with /" : text && !found.length ? "No command is called that." : "";
    popup.offer(entry, found.map((leaf) => ({ name: `/${leaf.path}`, detail: leaf.description, pick: () => choose(leaf) })), 0);
  }

  function choose(leaf) {
    popup.close();
    say("");
    chosen = leaf;
    entry.value = `/${leaf.path}`;
    fields = (leaf.options ?? []).map(makeField);
    slots.replaceChildren(h("span", { class: "path" }, `/${leaf.path}`), ...fields.map((field) => field.label));
    entry.hidden = true;
    hint.textContent = leaf.description;
    (fields[0]?.input ?? submit).focus();
  }

  function hush() {
    clearTimeout(timer);
    popup.close();
    return ++ask;
  }

  function reset(text = "") {
    hush();
    [chosen, fields, entry.hidden, entry.value, hint.textContent] = [null, [], false, text, ""];
    slots.replaceChildren();
    entry.focus();
  }

  function makeField(option) {
    const input = h("input", {
      id: `option-${option.name}`, autocomplete: "off", role: "combobox", "aria-controls": "suggestions", "aria-expanded": "false",
      "aria-autocomplete": "list", "aria-describedby": "hint", "aria-required": String(Boolean(option.required)),
      maxlength: option.max_length, spellcheck: "false",
    });
    const mark = h("span", { class: "mark" }, option.required ? "required" : "optional");
    const label = h("label", { for: input.id }, h("span", {}, option.name), mark, input);
    const field = { option, input, label, picked: null, fixed: fixedChoices(option, places()) };
    input.addEventListener("focus", () => {
      hint.textContent = `${option.name} — ${option.description}`;
      showChoices(field);
    });
    input.addEventListener("input", () => showChoices(field));
    return field;
  }

  function showChoices(field) {
    const mine = hush();
    const text = field.input.value.trim().toLowerCase();
    const offer = (choices) => {
      if (mine !== ask || document.activeElement !== field.input) return; // a stale answer
      const exact = choices.some((choice) => choice.name.toLowerCase() === text || String(choice.value) === text);
      const pick = (choice) => () => {
        hush();
        field.picked = choice;
        field.input.value = choice.name;
      };
      popup.offer(field.input, choices.map((choice) => ({ name: choice.name, pick: pick(choice) })), text && !exact ? 0 : -1);
    };
    if (field.fixed) return offer(field.fixed.filter((choice) => choice.name.toLowerCase().includes(text)));
    if (!field.option.autocomplete) return;
    timer = setTimeout(() => suggest(chosen.words, filled(), field.option.name).then(offer, (error) => mine === ask && say(error.message, true)), DEBOUNCE_MS);
  }

  const filled = () => Object.fromEntries(fields.filter((field) => field.input.value.trim()).map((field) => [field.option.name, valueOf(field)]));

  async function submitted(event) {
    event.preventDefault();
    if (submit.disabled) return;
    if (!chosen) return say(entry.value.trim() ? "Pick a command from the list first." : "Type / to see the commands.", true);
    for (const field of fields) {
      const problem = problemOf(field);
      field.input.setAttribute("aria-invalid", String(Boolean(problem)));
      if (problem) {
        say(problem, true);
        return field.input.focus();
      }
    }
    hush();
    const { path, words } = chosen;
    say(`Sending /${path} …`);
    submit.disabled = true;
    const error = await send(words, filled());
    submit.disabled = false;
    if (error) return say(error, true);
    reset();
    say(`Sent /${path}.`);
  }

  entry.addEventListener("input", showCommands);
  entry.addEventListener("focus", () => entry.value && showCommands());
  form.addEventListener("submit", submitted);
  form.addEventListener("keydown", (event) => {
    if (popup.key(event)) return;
    const back = event.key === "Escape" || (event.key === "Backspace" && event.target === fields[0]?.input && !event.target.value);
    if (chosen && back) {
      event.preventDefault();
      reset(`/${chosen.path}`);
    }
  });
  form.addEventListener("focusout", (event) => form.contains(event.relatedTarget) || popup.close());
  return {
    setCommands: (tree) => (leaves = tree.filter((one) => (one.type ?? 1) === 1).flatMap((one) => leavesOf(one))),
    focus: () => (fields[0]?.input ?? entry).focus(),
  };
}

function leavesOf(node, above = []) {
  const words = [...above, node.name];
  const deeper = (node.options ?? []).filter((option) => option.type === SUBCOMMAND || option.type === GROUP);
  if (deeper.length) return deeper.flatMap((option) => leavesOf(option, words));
  return [{ words, path: words.join(" "), description: node.description, options: node.options }];
}

function fixedChoices(option, { people, channels }) {
  if (option.type === BOOLEAN) return [{ name: "True", value: true }, { name: "False", value: false }];
  if (option.type === USER) return people.map((person) => ({ name: person.name, value: person.id }));
  if (option.type === CHANNEL) return channels.map((channel) => ({ name: channel.name, value: channel.id }));
  return option.choices?.length ? option.choices : null;
}

function choiceOf({ fixed, picked, input }) {
  const text = input.value.trim();
  if (picked?.name === text) return picked;
  return fixed?.find((choice) => choice.name.toLowerCase() === text.toLowerCase() || String(choice.value) === text);
}

function valueOf(field) {
  const text = field.input.value.trim();
  const choice = choiceOf(field);
  if (choice) return choice.value;
  return [INTEGER, NUMBER].includes(field.option.type) && text && !isNaN(text) ? Number(text) : text;
}

function problemOf(field) {
  const { option, fixed } = field;
  const value = valueOf(field);
  if (value === "") return option.required ? `${option.name} is required.` : null;
  if (fixed && !choiceOf(field)) return `${option.name} must be one of: ${fixed.map((choice) => choice.name).join(", ")}.`;
  if (option.type === INTEGER && !Number.isInteger(value)) return `${option.name} must be a whole number.`;
  return null;
}

/** The listbox above the line; the focus stays in the input it serves. */
function makePopup(list) {
  let input = null, items = [], active = -1;

  const mark = (index) => {
    active = index;
    [...list.children].forEach((node, i) => node.setAttribute("aria-selected", String(i === active)));
    list.children[active]?.scrollIntoView({ block: "nearest" });
    if (active >= 0) input.setAttribute("aria-activedescendant", list.children[active].id);
    else input.removeAttribute("aria-activedescendant");
  };
  const close = () => {
    input?.setAttribute("aria-expanded", "false");
    input?.removeAttribute("aria-activedescendant");
    list.hidden = true;
    list.replaceChildren();
    [items, active] = [[], -1];
  };
  const pick = (index) => {
    const { pick } = items[index];
    close();
    pick();
  };
  function offer(target, offered, first) {
    close();
    if (!offered.length) return;
    [input, items] = [target, offered];
    list.replaceChildren(...items.map((item, i) => h("li", {
      id: `suggestion-${i}`, role: "option", mousedown: (event) => event.preventDefault(), click: () => pick(i),
    }, h("span", {}, item.name), item.detail && h("span", { class: "detail" }, item.detail))));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(first);
  }
  /** True when the key was for the list. */
  function key(event) {
    if (!items.length || event.target !== input || event.isComposing) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) mark((Math.max(active, step < 0 ? 0 : -1) + step + items.length) % items.length);
    else if (event.key === "Escape") close();
    else if (event.key === "Enter" && active >= 0) pick(active);
    else if (event.key === "Tab" && !event.shiftKey && active >= 0) {
      const before = document.activeElement;
      pick(active);
      if (document.activeElement === before) return true; // an option was filled: Tab goes on to the next
    } else return false;
    event.preventDefault();
    return true;
  }
  return { offer, close, key };
}
