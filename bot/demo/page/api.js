/** The people API of the loopback Discord, and its event stream. Errors are sentences. */
async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  const request = body && { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await fetch(`/people/${path}`, request).catch(() => {
    throw new Error("The demo server does not answer. Is it still running?");
  });
  if (answer.ok) return answer.json();
  throw new Error((await answer.text()) || `The demo server answered ${answer.status}.`);
}

const as = (person) => `person=${encodeURIComponent(person)}`;
export const state = (person) => call(`state?${as(person)}`);
export const messages = (person, channel) => call(`channels/${channel}/messages?${as(person)}`);
export const command = (body) => call("command", body);
export const autocomplete = (body) => call("autocomplete", body);
export const click = (body) => call("click", body);
export const modal = (body) => call("modal", body);

const EVENTS = ["message", "edit", "delete", "thread", "commands"];
const RETRY_MS = 1500;

/** Follow one person's events until the returned function is called.
 *  `onConnection(true)` comes after every (re)connect: what was missed meanwhile must be read again. */
export function follow(person, onEvent, onConnection) {
  let source, timer;
  const connect = () => {
    source = new EventSource(`/people/events?${as(person)}`);
    source.onopen = () => onConnection(true);
    source.onerror = () => {
      source.close();
      onConnection(false);
      timer = setTimeout(connect, RETRY_MS);
    };
    for (const name of EVENTS) source.addEventListener(name, (event) => onEvent(name, JSON.parse(event.data)));
  };
  connect();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
