// Elements, made and changed with as little work for the browser as there need be.

export const $ = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function again(element, style) {
  element.classList.remove(style);
  void element.offsetWidth; // so that the animation starts anew
  element.classList.add(style);
}

// Text in which `backquotes` mark what is typed.
export const prose = (text) =>
  text.split("`").map((part, n) => (n % 2 ? make("code", {}, part) : part));
