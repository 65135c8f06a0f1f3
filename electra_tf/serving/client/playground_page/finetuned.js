// What fine-tuned models answer: labels, numbers, tags, answers to questions.

import {decimal, element, percent, plural, shareOf, slicer, table, unseen}
  from "./parts.js";

const HUES = 6; // in page.css
const ONE = [{text: "The film is a quiet triumph, and I would watch it again."}];
const PAIR = [{text: "A man is playing a guitar.", text_pair: "Someone plays an instrument."}];

const forTexts = (signature) => "text_pair" in signature.inputs
  ? {examples: PAIR, labels: {text: "First text"}} : {examples: ONE};

function drawLabels(place, answer, isChosen, caption) {
  place.append(table(caption, ["Label", "Probability"], answer.labels.map((label, index) => ({
    className: isChosen(label, index) ? "chosen" : "",
    cells: [
      element("span", {dir: "auto"}, label, ...(isChosen(label, index)
        ? [element("span", {className: "tick"}, " ✓", unseen(" chosen"))] : [])),
      shareOf(answer.probabilities[index]),
    ],
  }))));
}

export const oneLabel = {
  title: "Classification",
  introduction: "Which label does the text have? The probabilities add up to 100 %.",
  inputs: [],
  outputs: ["label", "labels", "probabilities"],
  adapted: forTexts,

  draw(place, [answer]) {
    drawLabels(place, answer, (label) => label === answer.label, "Labels");
    return `Label: “${answer.label}”, ${percent(Math.max(...answer.probabilities))}.`;
  },
};

export const severalLabels = {
  title: "Labels",
  introduction: "Which labels does the text have? Any number of them may be chosen: each has a " +
    "probability of its own.",
  inputs: [],
  outputs: ["chosen", "labels", "probabilities"],
  adapted: forTexts,

  draw(place, [answer]) {
    const isChosen = (_, index) => Boolean(answer.chosen[index]);
    drawLabels(place, answer, isChosen, "Labels");
    const chosen = answer.labels.filter(isChosen).map((label) => `“${label}”`);
    return `${plural(chosen.length, "label")} chosen${
      chosen.length ? `: ${chosen.join(", ")}` : ""}.`;
  },
};

// The only output of a signature comes without its name.
export const number = {
  title: "Regression",
  introduction: "A number, in the units of the labels that the model was trained on.",
  inputs: [],
  outputs: ["score"],
  isAlone: true,
  adapted: forTexts,

  draw(place, [answer]) {
    place.append(element("p", {className: "figure"}, decimal(answer?.score ?? answer, 3)));
    return `Number: ${decimal(answer?.score ?? answer, 3)}.`;
  },
};

// Spans by the rule of electra_tf/tasks/tagging/spans.py; of other tags each word is one.
function spansOf(answer) {
  const places = answer.mask.flatMap((isWord, index) => isWord ? [index] : []);
  const areSpans = places.every((index) => /^(O|[BIES](-.+)?)$/su.test(answer.tags[index]));
  const spans = [];
  let before = "O";
  for (const index of places) {
    const tag = answer.tags[index];
    const [letter, type] = areSpans ? [tag[0], tag.slice(2)] : ["B", tag];
    const place = {end: answer.end_offset[index], probability: answer.probability[index]};
    const last = spans.at(-1);
    if ("IE".includes(letter) && "BI".includes(before) && last?.type === type) {
      last.end = place.end;
      last.probability = Math.min(last.probability, place.probability);
    } else if (letter !== "O") {
      spans.push({type, start: answer.start_offset[index], ...place});
    }
    before = letter;
  }
  return {spans, areSpans, end: places.length ? answer.end_offset[places.at(-1)] : 0};
}

const hues = new Map(); // of the types that were seen, so that each keeps its own

let isTableOpen; // once someone opened or closed it

function hueOf(type) {
  if (!hues.has(type)) hues.set(type, hues.size % HUES);
  return hues.get(type);
}

export const tags = {
  title: "Tagging",
  introduction: "What the model finds in the text, with its label. Words are what spaces separate.",
  inputs: ["text"],
  outputs: ["words", "tags", "probability", "start_offset", "end_offset", "mask"],
  examples: [
    {text: "Marie Curie was born in Warsaw and later worked in Paris ."},
    {text: "The Bank of England raised its rates by half a point on Thursday ."},
  ],

  draw(place, [answer], {text}) {
    const slice = slicer(text);
    const {spans, areSpans} = spansOf(answer);
    const line = element("div", {className: "text", dir: "auto"});
    let end = 0;
    for (const span of spans) {
      line.append(slice(end, span.start),
        element("span", {className: `tagged hue-${hueOf(span.type)}`,
          title: percent(span.probability)}, slice(span.start, span.end),
        element("small", {}, unseen(" "), span.type || "span")));
      end = span.end;
    }
    line.append(slice(end));
    place.append(line);
    const noun = areSpans ? "span" : "word";
    if (spans.length) {
      place.append(element("details", {open: isTableOpen ?? areSpans},
        element("summary", {onclick: ({target}) => { isTableOpen = !target.parentNode.open; }},
          `${plural(spans.length, noun)} as a table`),
        table(areSpans ? "Spans" : "Words", ["Text", "Label", "Probability"],
          spans.map((span) => ({cells: [
            element("span", {dir: "auto"}, slice(span.start, span.end)), span.type || "span",
            shareOf(span.probability),
          ]})))));
    }
    return text.trim() ? `${plural(spans.length, noun)} ${areSpans ? "found" : "tagged"}.`
      : "Type a text.";
  },
};

export const questions = {
  title: "Question answering",
  introduction: "The answer to a question is cut from the context, where it is marked.",
  inputs: ["question", "context"],
  outputs: ["answer", "score", "start_offset", "end_offset"],
  examples: [
    {question: "Where does the river flow?",
      context: "The Danube rises in the Black Forest and flows into the Black Sea."},
    {question: "Who wrote the novel?",
      context: "Dracula is a novel of 1897. Bram Stoker wrote it in London."},
  ],

  draw(place, [answer], {context}) {
    const slice = slicer(context);
    const [start, end] = [answer.start_offset, answer.end_offset];
    const likeliest = slice(start, end);
    place.append(element("p", {className: "figure", dir: "auto"}, answer.answer || "No answer"));
    if (!answer.answer && likeliest) {
      place.append(element("p", {className: "note"},
        `The likeliest span would be “${likeliest}”.`));
    }
    place.append(element("div", {className: "text long", dir: "auto"}, slice(0, start),
      answer.answer ? element("mark", {}, likeliest) : likeliest, slice(end)));
    return `${answer.answer ? `Answer: “${answer.answer}”` : "No answer"}. ` +
      `Score ${decimal(answer.score)}` + ("null_score" in answer
      ? `, of having no answer ${decimal(answer.null_score)}.` : ".");
  },
};
