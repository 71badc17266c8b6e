/** The only places where elements and links are made. */

/** Build an element. Children are nodes or plain text, never markup: what others wrote stays inert. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** The address as a URL when it is http or https, else null (so `javascript:` never becomes a link). */
export function webUrl(text) {
  const url = text && URL.canParse(text, location.href) ? new URL(text, location.href) : null;
  return url && /^https?:$/.test(url.protocol) ? url : null;
}

/** A link that opens beside the page; plain text when the address is not a web address. */
export function link(text, label) {
  const url = webUrl(text);
  if (!url) return h("span", {}, label);
  return h("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, label);
}
