/** The page: who is looking, at which channel, and what arrives. */
import * as api from "./api.js";
import { Composer } from "./composer.js";
import { h } from "./dom.js";
import { MessageLog } from "./log.js";
import { refreshTimes } from "./markdown.js";
import { openModal } from "./modal.js";
import { nameOf } from "./render.js";

const REFRESH_MS = 10_000;
const $ = (id) => document.getElementById(id);

const [who, where] = location.hash.slice(1).split("/");
let person = who || "operator", channel = where;
let world = { people: [], channels: [], commands: [] };
let stop = () => {};
let work = Promise.resolve(); // events and reads one after the other, so that no read overtakes an event
const busy = new Set(), notes = new Map(), unread = new Set();

const places = () => world.channels.flatMap((one) => [one, ...one.threads]);
const named = (list = [], id) => list.find((one) => String(one.id) === id)?.name;
const view = {
  names: {
    user: (id) => named(world.people, id) ?? log.users().filter((user) => user.id === id).map(nameOf)[0] ?? "someone",
    role: (id) => named(world.roles, id) ?? "a role",
    channel: (id) => named(places(), id) ?? "a channel",
  },
  busy: (message, customId) => busy.has(`${message}:${customId}`),
  note: (message) => notes.get(message),
  open: (id) => go(person, id),
  act,
  dismiss: (message) => {
    log.dismiss(message.id);
    composer.focus();
  },
};
const log = new MessageLog($("log"), view);
const composer = new Composer($("composer"), {
  suggest: async (path, options, focused) => {
    const { choices } = await api.autocomplete({ person, channel, path, options, focused });
    return choices;
  },
  send: (path, options) => {
    log.toEnd();
    return settle(api.command({ person, channel, path, options }));
  },
});

/** Wait for what an interaction led to; resolves to an error sentence or null. Messages come with the events. */
async function settle(asking) {
  try {
    const { outcome, error, modal } = await asking;
    if (modal) showModal(modal);
    return outcome === "failed" ? error || "The application did not respond" : null;
  } catch (error) {
    return error.message;
  }
}

async function showModal(modal) {
  await openModal(modal, (fields) => settle(api.modal({ person, modal: modal.id, fields })));
  if (document.activeElement === document.body) composer.focus();
}

async function act(message, customId) {
  const key = `${message.id}:${customId}`;
  if (busy.has(key)) return;
  busy.add(key);
  notes.delete(message.id);
  log.redraw(message.id);
  const error = await settle(api.click({ person, message: message.id, custom_id: customId }));
  busy.delete(key);
  if (error) notes.set(message.id, error);
  log.redraw(message.id);
}

function listChannels() {
  const focused = nav.contains(document.activeElement) && document.activeElement.dataset.channel;
  const threads = (one) => one.threads.map((thread) => h("li", {}, place(thread, true)));
  const item = (one) => h("li", {}, place(one, false), one.threads.length > 0 && h("ul", {}, threads(one)));
  nav.replaceChildren(h("ul", {}, world.channels.map(item)));
  if (focused) nav.querySelector(`[data-channel="${focused}"]`)?.focus();
  const here = places().find((one) => one.id === channel);
  const parent = world.channels.find((one) => one.threads.includes(here));
  $("title").textContent = parent ? `${here.name} (thread in #${parent.name})` : `# ${here.name}`;
  document.title = `${here.name} · Stationmaster demo`;
}

function place(one, isThread) {
  return h("button", {
    type: "button", class: isThread ? "channel thread" : "channel", "aria-current": one.id === channel && "page",
    "data-channel": one.id, click: () => go(person, one.id),
  }, h("span", { "aria-hidden": "true" }, isThread ? "↳ " : "# "), one.name,
  one.archived && h("span", { class: "mark" }, "archived"), unread.has(one.id) && h("span", { class: "badge" }, "new"));
}

/** Read the world again. A channel that is gone, or that nobody chose yet, becomes the first one. */
async function readWorld() {
  world = await api.state(person);
  if (!places().some((one) => one.id === channel)) {
    channel = world.channels[0].id;
    log.clear();
    enqueue(readMessages);
  }
  $("person").replaceChildren(...world.people.map(({ key, name, roles }) =>
    h("option", { value: key, selected: key === person }, `${name} (${roles.join(", ") || "no role"})`)));
  composer.setCommands(world.commands);
  listChannels();
}

async function readMessages() {
  const [reader, place] = [person, channel];
  const messages = await api.messages(person, channel);
  if (reader !== person || place !== channel) return;
  unread.delete(channel);
  history.replaceState(null, "", `#${person}/${channel}`);
  log.replace(messages);
  listChannels();
}

const EVENTS = {
  message(message) {
    if (message.channel_id === channel) return log.put(message);
    unread.add(message.channel_id);
    listChannels();
  },
  edit: (message) => log.edit(message),
  delete: ({ id }) => log.remove(id),
  thread: readWorld,
  commands: readWorld,
};

function enqueue(job) {
  work = work.then(job).catch((error) => ($("connection").textContent = error.message));
}

/** Look at a channel as a person. */
function go(nextPerson, nextChannel) {
  const isSamePerson = nextPerson === person;
  [person, channel] = [nextPerson, nextChannel];
  showDrawer(false);
  log.clear();
  if (isSamePerson) enqueue(readMessages);
  else listen();
  composer.focus();
}

function listen() {
  stop();
  unread.clear();
  const listener = person;
  const mine = (job) => enqueue(() => listener === person && job());
  stop = api.follow(person, (name, data) => mine(() => EVENTS[name](data)), (isUp) => {
    $("connection").textContent = isUp ? "" : "Connection lost. Trying again …";
    if (isUp) [readWorld, readMessages].forEach(mine);
  });
}

function showDrawer(isOpen) {
  document.body.classList.toggle("drawer", isOpen);
  $("drawer").setAttribute("aria-expanded", String(isOpen));
}

const nav = $("channels");
$("person").addEventListener("change", (event) => go(event.target.value, channel));
$("drawer").addEventListener("click", () => {
  showDrawer(!document.body.classList.contains("drawer"));
  nav.querySelector("button")?.focus();
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select, dialog");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) composer.focus(); // as in Discord
});
setInterval(() => refreshTimes($("log")), REFRESH_MS);
listen();
