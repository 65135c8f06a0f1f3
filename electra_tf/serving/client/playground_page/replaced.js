// Replaced words: every token is shaded by its probability, and words can be swapped.

import {byId, element, percent, plural, probable, slicer, textOf, wordsOf} from "./parts.js";

const SHOWN_FROM = 0.1; // the probability from which it stands below the word
const swaps = []; // {before, old, start, fresh}: the text before, the words, and the place in bytes

// What each token covers of the word as typed; the tokens themselves, lower-cased and without
// accents, where that cannot be told.
function pieces(word) {
  if (word.tokens.length === 1) return [word.text];
  const plain = word.tokens.map(({text}) => text.replace(/^(##|\u2581)/, ""));
  const lengths = plain.map((piece) => [...piece].length);
  const letters = [...word.text];
  if (lengths.reduce((sum, length) => sum + length) !== letters.length) return plain;
  return lengths.map((length) => letters.splice(0, length).join(""));
}

// A button; but punctuation, too small to press beside a word, is only shown.
function drawn(word, text, page) {
  const texted = pieces(word);
  const isButton = /[\p{L}\p{N}\p{So}]/u.test(word.text);
  const place = element(isButton ? "button" : "span", {className: "word"},
    ...word.tokens.map((token, index) => {
      const probability = probable(token.value);
      const piece = element("span",
        {className: "token", title: `${token.text} ${percent(probability)}`}, texted[index]);
      piece.style.setProperty("--probability", probability);
      piece.dataset.probability = probability;
      return piece;
    }));
  if (word.probability >= SHOWN_FROM) {
    const share = element("small", {className: "below"}, ` ${Math.round(word.probability * 100)}`);
    share.setAttribute("aria-hidden", "true");
    place.append(share);
  }
  if (!isButton) return place;
  place.type = "button";
  place.setAttribute("aria-label",
    `${word.text}, ${percent(word.probability)} likely replaced, press to swap`);
  place.dataset.start = word.start;
  place.addEventListener("click", () => { // not on a drawing that another one will replace
    if (!byId("answer").hasAttribute("aria-busy")) edit(place, word, text, page);
  });
  return place;
}

function edit(button, word, text, page) {
  const slice = slicer(text);
  const editor = element("input", {className: "editor", value: word.text,
    size: Math.max([...word.text].length, 2), spellcheck: false});
  editor.setAttribute("aria-label", `Instead of ${word.text}; Enter swaps, Escape keeps`);
  let open = true;

  async function close(swap, focus) {
    if (!open) return;
    open = false;
    if (!swap || editor.value === word.text) {
      editor.replaceWith(button);
      if (focus) button.focus();
      return;
    }
    swaps.push({before: text, old: word, start: word.start});
    await page.set({text: slice(0, word.start) + editor.value + slice(word.end)});
    const swapped = byId("answer").querySelector(`[data-start="${word.start}"]`);
    if (focus) (swapped ?? byId("undo")).focus();
  }

  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Escape") {
      event.preventDefault();
      close(event.key === "Enter", true);
    }
  });
  editor.addEventListener("blur", () => close(true, false));
  button.replaceWith(editor);
  editor.focus();
  editor.select();
}

function drawSwaps(page) {
  byId("swaps").hidden = !swaps.length;
  byId("swaps").querySelector("ol").replaceChildren(...swaps.map(({old, fresh, rank, among}) =>
    fresh ? element("li", {}, `“${old.text}” `, element("b", {}, percent(old.probability)), " → “",
      fresh.text, "” ", element("b", {}, percent(fresh.probability)),
      `: suspicion ${rank} of ${among}`)
      : element("li", {}, `“${old.text}” → nothing`)));
  byId("undo").onclick = () => { if (swaps.length) page.set({text: swaps.pop().before}); };
}

const legend = () => element("p", {className: "legend"}, element("span", {}, "fits"),
  element("span", {className: "scale"}), element("span", {}, "looks replaced; numbers are %"));

export const replaced = {
  title: "Replaced words",
  introduction: "Each token is shaded by the probability of having been replaced. Press a word " +
    "to swap it.",
  inputs: ["text"],
  outputs: ["replaced_probability", "tokens", "start_offset", "end_offset"],
  examples: [
    {text: "The river flows through the city into the sea."},
    {text: "The band released its first of in 1994."},
    {text: "She won the gold medal at the 1996 Summer Olympics."},
  ],

  forget() {
    swaps.length = 0;
    byId("swaps").hidden = true;
  },

  draw(place, [answer], {text}, page) {
    const words = wordsOf(answer, text, answer.replaced_probability);
    for (const word of words) {
      word.probability = Math.max(...word.tokens.map(({value}) => probable(value)));
    }
    place.append(textOf(text, words, (word) => drawn(word, text, page)));
    if (words.length) place.append(legend());
    const rank = [...words].sort((one, other) => other.probability - one.probability);
    const last = swaps.at(-1);
    if (last && !last.fresh) {
      last.fresh = words.find((word) => word.start === last.start);
      last.rank = rank.indexOf(last.fresh) + 1;
      last.among = rank.length;
    }
    drawSwaps(page);
    return words.length
      ? `${plural(words.length, "word")}. Most suspicious: “${rank[0].text}”, ${percent(rank[0].probability)}.`
      : "Type a sentence.";
  },
};
