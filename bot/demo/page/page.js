/** The page: who is looking, at which channel, and what arrives. Messages are drawn by render.js. */
import * as api from "./api.js";
import { makeComposer } from "./composer.js";
import { h } from "./dom.js";
import { refreshTimes } from "./markdown.js";
import { openModal } from "./modal.js";
import { EPHEMERAL, LOADING, nameOf, renderMessage } from "./render.js";

const SILENT = "The application did not respond";
const $ = (id) => document.getElementById(id);
const [log, nav] = [$("log"), $("channels")];

const [who, where] = location.hash.slice(1).split("/");
let person = who || "operator", channel = where;
let world = { people: [], channels: [], commands: [] };
let shown = new Map(); // message id → {message, node}
let stop = () => {};
let atEnd = true; // of the log: then new messages scroll it
let work = Promise.resolve(); // events and reads one after the other, so that no read overtakes an event
const busy = new Set(), notes = new Map(), dismissed = new Set(), unread = new Set();

const places = () => world.channels.flatMap((one) => [one, ...one.threads]);
const named = (list, id) => list.find((one) => String(one.id) === id)?.name;
const view = {
  names: {
    user: (id) => named(world.people, id) ?? shownUser(id) ?? "someone",
    role: (id) => named(world.roles ?? [], id) ?? "a role",
    channel: (id) => named(places(), id) ?? "a channel",
  },
  people: () => world.people,
  busy: (message, customId) => busy.has(`${message}:${customId}`),
  note: (message) => notes.get(message),
  open: (id) => go(person, id),
  dismiss: (message) => {
    dismissed.add(message.id);
    remove(message.id);
    composer.focus();
  },
  act,
};
const composer = makeComposer($("composer"), {
  send: async (path, options) => {
    toEnd();
    return settle(api.command({ person, channel, path, options }));
  },
  suggest: async (path, options, focused) => (await api.autocomplete({ person, channel, path, options, focused })).choices,
  places: () => ({ people: world.people, channels: places() }),
});

function shownUser(id) {
  const users = [...shown.values()].flatMap(({ message }) => [message.author, ...(message.mentions ?? [])]);
  const user = users.find((one) => one.id === id);
  return user && nameOf(user);
}

/** Wait for what an interaction led to; resolves to an error sentence or null. */
async function settle(asking) {
  const asked = channel;
  try {
    const answer = await asking;
    if (answer.outcome === "failed") return answer.error || SILENT;
    if (answer.message && asked === channel) keepPlace(() => put(answer.message));
    if (answer.modal) showModal(answer.modal);
    return null;
  } catch (error) {
    return error.message;
  }
}

async function showModal(modal) {
  await openModal(modal, view, (fields) => settle(api.modal({ person, modal: modal.id, fields })));
  if (document.activeElement === document.body) composer.focus();
}

async function act(message, customId, values) {
  const key = `${message.id}:${customId}`;
  busy.add(key);
  notes.delete(message.id);
  redraw(message.id);
  const error = await settle(api.click({ person, message: message.id, custom_id: customId, ...(values && { values }) }));
  busy.delete(key);
  if (error) notes.set(message.id, error);
  redraw(message.id);
}

function redraw(id) {
  const one = shown.get(id);
  if (one) keepPlace(() => draw(one));
}

function toEnd() {
  atEnd = true;
  log.scrollTop = log.scrollHeight;
}

/** Change the log without moving what is being read; stay at the end when already there. */
function keepPlace(change) {
  const eyes = log.getBoundingClientRect().top + log.clientHeight / 3;
  const anchor = [...log.children].find((node) => node.getBoundingClientRect().bottom > eyes);
  const before = anchor?.getBoundingClientRect().top;
  change();
  if (atEnd) toEnd();
  else if (anchor?.isConnected) log.scrollTop += anchor.getBoundingClientRect().top - before;
}

function put(message) {
  if (dismissed.has(message.id)) return;
  const known = shown.get(message.id);
  if (known) {
    // Edits are silent, messages notify: only the answer that replaces "thinking…" is read out.
    known.node.setAttribute("aria-live", known.message.flags & LOADING ? "polite" : "off");
    known.message = { ...known.message, ...message };
    return draw(known);
  }
  const node = h("article", { "data-id": message.id, class: message.flags & EPHEMERAL ? "ephemeral" : "" });
  shown.set(message.id, { message, node });
  draw(shown.get(message.id));
  log.insertBefore(node, [...log.children].find((other) => BigInt(other.dataset.id) > BigInt(message.id)) ?? null);
}

function draw({ message, node }) {
  const focused = node.contains(document.activeElement) && document.activeElement.dataset.act;
  const folds = [...node.querySelectorAll("details[open]")];
  node.replaceChildren(...renderMessage(message, view));
  for (const fold of folds) node.querySelector(`details[data-fold="${CSS.escape(fold.dataset.fold)}"]`)?.replaceWith(fold);
  if (focused) node.querySelector(`[data-act="${CSS.escape(focused)}"]`)?.focus();
}

function remove(id) {
  shown.get(id)?.node.remove();
  shown.delete(id);
}

function listChannels() {
  const item = (one, thread) => h("li", {}, h("button", {
    type: "button", class: thread ? "channel thread" : "channel", "aria-current": one.id === channel && "page",
    "data-channel": one.id, click: () => go(person, one.id),
  }, h("span", { "aria-hidden": "true" }, thread ? "↳ " : "# "), one.name,
    one.archived && h("span", { class: "mark" }, "archived"), unread.has(one.id) && h("span", { class: "badge" }, "new")));
  const focused = nav.contains(document.activeElement) && document.activeElement.dataset.channel;
  nav.replaceChildren(h("ul", {}, world.channels.map((one) => {
    const node = item(one, false);
    if (one.threads.length) node.append(h("ul", {}, one.threads.map((thread) => item(thread, true))));
    return node;
  })));
  if (focused) nav.querySelector(`[data-channel="${focused}"]`)?.focus();
  const here = places().find((one) => one.id === channel);
  const parent = world.channels.find((one) => one.threads.includes(here));
  $("title").textContent = !here ? "…" : parent ? `${here.name} (thread in #${parent.name})` : `# ${here.name}`;
  document.title = `${here?.name ?? "Demo"} · Stationmaster demo`;
}

/** Read everything again: on the first connection, after every lost one, and when the person or channel changes. */
async function read(fresh) {
  world = await api.state(person);
  if (!places().some((one) => one.id === channel)) channel = world.channels[0]?.id;
  unread.delete(channel);
  history.replaceState(null, "", `#${person}/${channel}`);
  $("person").replaceChildren(...world.people.map((one) => h("option", { value: one.key, selected: one.key === person }, one.name)));
  composer.setCommands(world.commands);
  listChannels();
  const messages = await api.messages(person, channel);
  keepPlace(() => {
    const kept = new Set(messages.map((one) => one.id));
    for (const [id, { message }] of shown) if (!kept.has(id) && (fresh || !(message.flags & EPHEMERAL))) remove(id);
    messages.forEach(put);
  });
  if (fresh) toEnd();
  log.setAttribute("aria-busy", "false");
  log.setAttribute("aria-live", "polite");
}

const EVENTS = {
  message: (message) => (message.channel_id === channel ? keepPlace(() => put(message)) : noteUnread(message)),
  edit: (message) => shown.has(message.id) && keepPlace(() => put(message)),
  delete: ({ id }) => keepPlace(() => remove(id)),
  thread: async () => {
    world = await api.state(person);
    listChannels();
  },
  commands: async () => {
    world = await api.state(person);
    composer.setCommands(world.commands);
  },
};

function noteUnread(message) {
  unread.add(message.channel_id);
  listChannels();
}

function enqueue(job) {
  work = work.then(job).catch((error) => ($("connection").textContent = error.message));
}

function go(who, where) {
  document.body.classList.remove("drawer");
  $("drawer").setAttribute("aria-expanded", "false");
  const samePerson = who === person;
  if (!samePerson) unread.clear();
  [person, channel] = [who, where];
  log.setAttribute("aria-busy", "true");
  log.setAttribute("aria-live", "off"); // history is not news
  shown = new Map();
  log.replaceChildren();
  if (samePerson) enqueue(() => read(true));
  else listen();
  composer.focus();
}

function listen() {
  stop();
  const mine = person;
  const current = () => mine === person;
  stop = api.follow(
    mine,
    (name, data) => enqueue(() => current() && EVENTS[name](data)),
    (up) => {
      $("connection").textContent = up ? "" : "Connection lost. Trying again …";
      document.body.classList.toggle("lost", !up);
      if (up) enqueue(() => current() && read(!shown.size));
    },
  );
}

$("person").addEventListener("change", (event) => go(event.target.value, channel));
$("drawer").addEventListener("click", () => {
  const open = document.body.classList.toggle("drawer");
  $("drawer").setAttribute("aria-expanded", String(open));
  if (open) nav.querySelector("button")?.focus();
});
log.addEventListener("scroll", () => (atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40));
new ResizeObserver(() => atEnd && toEnd()).observe(log); // the command line grows and shrinks
setInterval(() => refreshTimes(log), 10_000);
listen();
