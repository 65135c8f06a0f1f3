"""What the tags of a file are: spans and in which scheme, or plain; and which of them are odd."""

import re

from absl import logging

from electra_tf.errors import UserError
from electra_tf.tasks import class_names
from electra_tf.tasks.readers import tables
from electra_tf.tasks.tagging import spans
from electra_tf.tasks.tagging.files import TaggedSentences

PLAIN = "plain"  # tags that make up no spans, such as parts of speech
_TYPED = re.compile(r"[BI]-.+")


def scheme_of(sentences: TaggedSentences) -> str:
    """BIO, IOB1, BIOES or PLAIN; UserError if only some of the tags are those of spans."""
    tags = sentences.tag_lines
    others = [tag for tag in tags if not spans.is_span_tag(tag)]
    if not others and set(tags) != {"O"}:
        return spans.recognise(sentences.required_tags)
    typed = [tag for tag in tags if _TYPED.fullmatch(tag)]
    if typed:
        raise UserError(
            f"The tags of spans must be O or begin with B-, I-, E- or S-, as {typed[0]!r} does; "
            f"scheme={PLAIN} takes any tags. Received: {others[0]!r} in "
            f"{tables.at(sentences.path, tags[others[0]])}"
        )
    return PLAIN


def require_distinct(sentences: TaggedSentences, scheme: str) -> None:
    """Raises UserError where two plain tags, or the types of two spans, are probably one."""
    lines: dict[str, int] = {}
    for tag, line in sentences.tag_lines.items():
        lines.setdefault(tag if scheme == PLAIN else tag.partition("-")[2], line)
    class_names.require_distinct(lines, "Tags", sentences.path)


def warn_of_breaks(sentences: TaggedSentences, scheme: str) -> None:
    """Warns of tags in another scheme, such as IOB1 where the training file has BIO."""
    if scheme == PLAIN:
        return
    lines = [
        line
        for tags, line in zip(sentences.required_tags, sentences.first_lines, strict=True)
        if spans.tags_of(spans.spans_of(tags), len(tags), scheme) != tags
    ]
    if lines:
        logging.warning(
            "%s: the tags of %d of %d sentences do not keep to the scheme, which is %s, the first "
            "in line %d",
            sentences.path,
            len(lines),
            len(sentences),
            scheme,
            lines[0],
        )
