// What pre-trained models answer beside replaced words: what is masked, how plausible texts are.

import {decimal, element, percent, plural, shareOf, table, textOf, unseen, wordsOf}
  from "./parts.js";

const MASK = "[MASK]";

// The text with one token instead of a mask; a token that continues a word follows it directly.
function filled(parts, number, token) {
  const before = parts.slice(0, number + 1).join(MASK);
  const after = parts.slice(number + 1).join(MASK);
  const start = token.startsWith("##") ? before.trimEnd() : before;
  return start + token.replace(/^(##|\u2581)/, "") + after;
}

function choice(token, number, parts, page) {
  const button = element("button", {type: "button", className: "choice"}, token);
  button.setAttribute("aria-label", `${token}, press to put it in place of mask ${number + 1}`);
  button.addEventListener("click", async () => {
    await page.set({text: filled(parts, number, token)});
    page.focus("text");
  });
  return button;
}

export const fillMask = {
  title: "Fill masks",
  introduction: `Write ${MASK} where the model should guess a word. Press a guess to put it in.`,
  inputs: ["text"],
  outputs: ["positions", "tokens", "probabilities", "mask"],
  examples: [
    {text: "The ship sailed across the Atlantic [MASK]."},
    {text: "He was born in [MASK] and studied at the [MASK] of Oxford."},
    {text: "The river flows into the [MASK]."},
  ],
  tools: [{
    label: `Insert ${MASK}`,
    use(page) {
      const field = page.field("text");
      field.setRangeText(MASK, field.selectionStart, field.selectionEnd, "end");
      field.dispatchEvent(new Event("input"));
      field.focus();
    },
  }],

  draw(place, [answer], {text}, page) {
    const parts = text.split(MASK);
    const found = answer.mask.filter(Boolean).length;
    const line = element("div", {className: "text", dir: "auto"}, parts[0]);
    parts.slice(1).forEach((part, number) => {
      line.append(number < found
        ? element("mark", {title: percent(answer.probabilities[number][0])},
          answer.tokens[number][0])
        : element("span", {className: "cut", title: "Not read by the model"}, MASK), part);
    });
    place.append(line);
    for (let number = 0; number < found; number++) {
      place.append(table(found > 1 ? `Guesses for mask ${number + 1}` : "Guesses",
        ["Token", "Probability"], answer.tokens[number].map((token, rank) => ({
          cells: [choice(token, number, parts, page), shareOf(answer.probabilities[number][rank])],
        }))));
    }
    const best = answer.tokens.slice(0, found).map(([token], number) =>
      `“${token}”, ${percent(answer.probabilities[number][0])}`);
    return found ? `Likeliest: ${best.join("; ")}.` : `There is no ${MASK} in the text.`;
  },
};

function scored(text, answer) {
  const words = wordsOf(answer, text, answer.token_scores);
  for (const word of words) {
    word.score = word.tokens.reduce((sum, {value}) => sum + value, 0);
  }
  const least = Math.min(...words.map(({score}) => score));
  return {text, words, score: Number(answer.score),
    least: words.length > 1 ? words.find(({score}) => score === least) : null};
}

function drawnWord(word, isLeast) {
  return element("span", {className: isLeast ? "scored least" : "scored"},
    element("span", {}, word.text), element("small", {}, unseen(" "), decimal(word.score)));
}

export const plausibility = {
  title: "Plausibility",
  introduction: "How plausible is a text, by the sum of its tokens’ scores? Higher is more " +
    "plausible. Write alternatives on lines of their own; they compare best at equal length.",
  inputs: ["text"],
  outputs: ["score", "token_scores", "tokens", "start_offset", "end_offset"],
  labels: {text: "Texts, one per line"},
  examples: [
    {text: "The king lived in a castle.\nThe king lived on a castle.\nThe king lived in a cattle."},
    {text: "The children were playing in the garden.\nThe children was playing in the garden."},
  ],

  rowsOf: ({text}) => text.split("\n").filter((line) => line.trim()).map((line) => ({text: line})),

  draw(place, answers, _, page) {
    const texts = answers.map((answer, index) => scored(page.rows[index].text, answer));
    if (!texts.length) return "Type a text.";
    const ranked = [...texts].sort((one, other) => other.score - one.score);
    const [best] = ranked;
    place.append(table(texts.length > 1 ? "Texts, the most plausible first" : "The text",
      texts.length > 1 ? ["Text", "Score", "Behind"] : ["Text", "Score"],
      ranked.map((each) => ({
        className: each === best && texts.length > 1 ? "chosen" : "",
        cells: [
          textOf(each.text, each.words, (word) => drawnWord(word, word === each.least)),
          element("span", {className: "number"}, decimal(each.score)),
          ...(texts.length > 1 ? [element("span", {className: "number"},
            each === best ? "✓ best" : decimal(best.score - each.score))] : []),
        ],
      }))));
    place.append(element("p", {className: "note"},
      "Below each word is its score; the least plausible word of a text is underlined."));
    return texts.length > 1
      ? `Most plausible of ${texts.length}: “${best.text}”, score ${decimal(best.score)}.`
      : `Score ${decimal(best.score)}, of ${plural(best.words.length, "word")}.` +
        (best.least ? ` Least plausible: “${best.least.text}”.` : "");
  },
};
