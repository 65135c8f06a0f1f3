// What the kinds draw with. What users type and what the model says only ever becomes text nodes,
// values of fields and attributes that hold text, never markup.

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", {ignoreBOM: true});

export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Text for those who hear the page.
export const unseen = (text) => element("span", {className: "unseen"}, text);

// A probability, whatever the server sent.
export const probable = (value) => Math.min(Math.max(Number(value) || 0, 0), 1);

export const percent = (value) => `${Math.round(probable(value) * 100)}\u00a0%`;

// With a minus that is as wide as a plus, and without one before 0.
export const decimal = (value, digits = 2) =>
  Number(value).toFixed(digits).replace(/^-(?=.*[1-9])/, "−").replace("-", "");

export const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

// Offsets count bytes, so texts are cut as bytes. Lone surrogates become U+FFFD, here and there.
export const wellFormed = (text) => decoder.decode(encoder.encode(text));

export function slicer(text) {
  const bytes = encoder.encode(text);
  return (start, end) => decoder.decode(bytes.subarray(start, end));
}

// The words of an answer with what it says of their tokens: those of one place are one word.
export function wordsOf(answer, text, values) {
  const slice = slicer(text);
  const words = [];
  answer.tokens.forEach((token, index) => {
    const [start, end] = [answer.start_offset[index], answer.end_offset[index]];
    if (start === end) return; // [CLS], [SEP], padding or a blank
    const last = words.at(-1);
    if (last && start < last.end) {
      last.end = Math.max(last.end, end);
      last.text = slice(last.start, last.end);
    } else {
      words.push({start, end, text: slice(start, end), tokens: []});
    }
    words.at(-1).tokens.push({text: token, value: Number(values[index])});
  });
  return words;
}

// The text as it was typed, with its words as `drawn` has them.
export function textOf(text, words, drawn) {
  const slice = slicer(text);
  const line = element("div", {className: "text", dir: "auto"});
  let end = 0;
  for (const word of words) {
    line.append(slice(end, word.start), drawn(word));
    end = word.end;
  }
  const rest = slice(end);
  line.append(rest.trim() && words.length
    ? element("span", {className: "cut", title: "Not read by the model"}, rest) : rest);
  return line;
}

export function shareOf(probability) {
  const bar = element("span", {className: "bar"});
  bar.style.setProperty("--share", probable(probability));
  return element("div", {className: "share"}, bar,
    element("span", {className: "number"}, percent(probability)));
}

// The first cell of a row is its heading.
export function table(caption, headings, rows) {
  return element("table", {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {},
      ...headings.map((heading) => element("th", {scope: "col"}, heading)))),
    element("tbody", {}, ...rows.map(({className = "", cells: [first, ...others]}) =>
      element("tr", {className}, element("th", {scope: "row"}, first),
        ...others.map((cell) => element("td", {}, cell))))));
}
