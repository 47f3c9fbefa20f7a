"""Nouns of English and the things that each is a kind of, from WordNet.

`wordnet_nouns.txt.gz` has the 40,000 synsets (sets of synonyms) of WordNet 3.0 that a photo can show: what is below
"physical entity", and what is above a class of ImageNet. `benchmarks/wordnet_nouns.py` makes it from WordNet's own
files, and WORDNET_LICENCE beside it is their licence.
"""

from __future__ import annotations

import difflib
import gzip
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Mention", "Nouns", "corrected", "mentions", "nouns"]

_MOST_WORDS = 4  # of a noun such as "black and tan terrier"
_MOST_READ = 64  # words of a query; a longer one is a text, of which the rest says nothing of a photo
_LONGEST_WORD = 24  # letters; a longer one is no slip of a noun
_WORD = re.compile(r"[^\W_]+(?:['.-][^\W_]+)*")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Behind these stands what the thing is like, or where it is, and no longer the thing.
_PREPOSITIONS = _words(
    """
    about above against along among around as at behind beside between by during for from in inside into near of
    off on onto out over through to toward under upon with within without that which who whose where worn while
    """
)
# Nouns that only announce another one, and words that are far more often something else than a noun.
_EMPTY = _words(
    """
    a an the i me my one two three four five six seven eight nine ten some something anything thing things object
    objects photo photos picture pictures image images kind kinds sort type pair pairs piece pieces set group
    bunch lot front back top side man's woman's men women have has is are be do does can will it its he she they
    we you your his her their this that these those no not and or long short red green blue yellow black white
    grey gray brown pink purple orange big small large little old new warm cold hot light dark open close clean
    dirty day night play run
    """
)
_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot", "teeth": "tooth",
    "geese": "goose", "mice": "mouse", "oxen": "ox", "knives": "knife", "wolves": "wolf", "leaves": "leaf",
    "shelves": "shelf", "loaves": "loaf", "calves": "calf", "scarves": "scarf", "wives": "wife", "elves": "elf",
    "cacti": "cactus", "fungi": "fungus", "octopi": "octopus", "dice": "die", "lice": "louse",
}  # fmt: skip
_LEAST_CORRECTED, _LIKENESS = 5, 0.85  # letters of a word that may be a slip, and how like a noun it must be
_DERIVED = re.compile(r"(ed|ing|er|est|y|ly|ish|less|ful)$")
_ENDINGS = (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("oes", "o"), ("s", ""))


@dataclass(frozen=True, kw_only=True)
class Nouns:
    """The hierarchy of nouns.

    Attributes:
        ids: of the synsets as ImageNet names them, such as "n02123045".
        lemmas: the synonyms of each synset, the most usual first.
        parents: the synsets that each one is a kind of, by position.
        senses: the synsets that a lemma can mean, the most frequent meaning first.
    """

    ids: Sequence[str]
    lemmas: Sequence[tuple[str, ...]]
    parents: Sequence[tuple[int, ...]]
    senses: Mapping[str, tuple[int, ...]]

    def above(self, synset: int) -> dict[int, int]:
        """Return the synsets above one and how many steps up each is; itself with 0."""
        found, edge = {synset: 0}, [synset]
        while edge:
            upper = [parent for one in edge for parent in self.parents[one] if parent not in found]
            found |= dict.fromkeys(upper, found[edge[0]] + 1)
            edge = list(dict.fromkeys(upper))
        return found

    def meanings(self, phrase: str) -> dict[int, int]:
        """Return the synsets that a phrase can mean, as written or in the singular, and the rank of each meaning.

        Rank 0 is the most frequent meaning of a form; "pants" has two, of "pants" and of "pant".
        """
        found: dict[int, int] = {}
        for form in _forms(phrase):
            for rank, synset in enumerate(self.senses.get(form, ())):
                found[synset] = min(rank, found.get(synset, rank))
        return dict(sorted(found.items(), key=lambda pair: pair[1]))


@dataclass(frozen=True)
class Mention:
    """A noun in a text.

    Attributes:
        text: as it is written, in lower case.
        meanings: the synsets that it can mean, each with its rank, the most frequent first.
        head: the text is about this thing, not about what it is like or where it is.
    """

    text: str
    meanings: Mapping[int, int]
    head: bool


@cache
def nouns() -> Nouns:
    """Return the hierarchy that ships with hubel."""
    packed = files("hubel.retrieval").joinpath("wordnet_nouns.txt.gz").read_bytes()
    ids, lemmas, parents = [], [], []
    ranked: dict[str, list[tuple[int, int]]] = {}
    lines = [line for line in gzip.decompress(packed).decode("utf-8").splitlines() if not line.startswith("#")]
    place = {line[: line.index("\t")]: row for row, line in enumerate(lines)}
    for row, line in enumerate(lines):
        identity, above, words = line.split("\t")
        named = []
        for word in words.split(","):
            lemma, _, sense = word.partition("#")
            named.append(lemma)
            ranked.setdefault(lemma, []).append((int(sense or 0), row))
        ids.append(f"n{identity.zfill(8)}")
        lemmas.append(tuple(named))
        parents.append(tuple(place[one] for one in above.split()))
    senses = {lemma: tuple(row for _, row in sorted(found)) for lemma, found in ranked.items()}
    return Nouns(ids=ids, lemmas=lemmas, parents=parents, senses=senses)


def mentions(text: str, known: Nouns) -> list[Mention]:
    """Return the nouns of a text in their order, the longest that match, such as "fire engine" rather than "fire".

    >>> [(one.text, one.head) for one in mentions("a red fire engine on a bridge", nouns())]
    [('fire engine', True), ('bridge', False)]
    """
    words = _WORD.findall(unicodedata.normalize("NFKC", text).lower())[:_MOST_READ]
    found = list(_spans(words, known))
    ends = [at for at, word in enumerate(words) if word in _PREPOSITIONS and any(start < at for start, *_ in found)]
    first_part = [start for start, *_ in found if not ends or start < ends[0]]
    heads = set(first_part[-1:])
    return [Mention(phrase, meant, start in heads) for start, phrase, meant in found]


def corrected(text: str, known: Nouns, is_word: Callable[[str], bool]) -> str:
    """Return a text in which unknown words are replaced: by two that were run together, or by the noun most like one.

    Args:
        text: of a user.
        known: the nouns.
        is_word: tells whether a word in lower case is one of the language.

    >>> corrected("a longsleeve and a giraff", nouns(), lambda word: word in ("a", "and"))
    'a long sleeve and a giraffe'
    """

    def better(match: re.Match[str]) -> str:
        word = match[0].lower()
        stem = _DERIVED.sub("", word)
        whole = (word,) if stem == word else (word, stem, f"{stem}e", stem[:-1])
        strange = len(word) >= _LEAST_CORRECTED and word.isascii() and word.isalpha() and len(word) <= _LONGEST_WORD
        if not strange or any(is_word(one) or known.meanings(one) for one in whole):
            return match[0]
        for at in range(2, len(word) - 2):
            if known.meanings(two := f"{word[:at]} {word[at:]}"):
                return two
        like = [one for one in known.senses if one[0] == word[0] and abs(len(one) - len(word)) <= 2 and one.isalpha()]
        return next(iter(difflib.get_close_matches(word, like, 1, _LIKENESS)), match[0])

    first = list(_WORD.finditer(text))[:_MOST_READ]
    end = first[-1].end() if first else 0
    return _WORD.sub(better, text[:end]) + text[end:]


def _spans(words: Sequence[str], known: Nouns) -> Iterator[tuple[int, str, Mapping[int, int]]]:
    """Yield start, text and meanings of the nouns; of "red fire" and "fire engine" the one that starts with a thing."""
    found = [_longest(words, start, known) for start in range(len(words))]
    start = 0
    while start < len(words):
        length, meant = found[start]
        beside = found[start + 1][0] if start + 1 < len(words) else 0
        if length == 0 or (length <= beside and words[start] in _EMPTY):
            start += 1
            continue
        yield start, " ".join(words[start : start + length]), meant
        start += length


def _longest(words: Sequence[str], start: int, known: Nouns) -> tuple[int, Mapping[int, int]]:
    """Return the words of the longest noun that starts at a place, and its meanings; 0 where none does."""
    for length in range(min(_MOST_WORDS, len(words) - start), 0, -1):
        part = words[start : start + length]
        if part[0] in _PREPOSITIONS or part[-1] in _PREPOSITIONS or (length == 1 and part[0] in _EMPTY):
            continue
        if meant := known.meanings(" ".join(part)):
            return length, meant
    return 0, {}


def _forms(phrase: str) -> Iterator[str]:
    """Yield a phrase and what may be its singular; a hyphen may stand for a space, or for nothing."""
    spellings = dict.fromkeys((phrase, phrase.replace("-", " "), phrase.replace("-", "")))
    for spelling in spellings:
        yield spelling
        rest, _, last = spelling.rpartition(" ")
        start = f"{rest} " if rest else ""
        if last in _IRREGULAR:
            yield start + _IRREGULAR[last]
        for ending, single in _ENDINGS:
            if last.endswith(ending) and len(last) > len(ending) + 1 and not last.endswith(("ss", "us", "is")):
                yield start + last.removesuffix(ending) + single
