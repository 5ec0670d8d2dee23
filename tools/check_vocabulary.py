"""Words that this project does not use, and what it says instead.

    python tools/check_vocabulary.py [--count] [PATH ...]

Checks names in Python files, their docstrings and comments, messages and Markdown. Exceptions are
in `tools/vocabulary_exceptions.txt`, one `path word` a line: there the word has another meaning.
"""

from __future__ import annotations

import argparse
import ast
import collections
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKED = ("tacdiff_ros", "msg", "srv", "action", "config", "launch", "README.md", "docs")
EXCEPTIONS = Path(__file__).with_name("vocabulary_exceptions.txt")

# Parts of names, between underscores.
NAMES = {
    r"dots?": "marker",
    r"units?": "sensor",
    r"places?": "position",
    r"spots?": "position, blob",
    r"shares?": "fraction, ratio",
    r"deviations?": "stddev",
    r"confidence": "stddev",
    r"most|largest|longest": "max",
    r"least|fewest|shortest": "min",
    r"told|tells?": "progress, callback",
    r"likeness": "correlation, score",
    r"nudged?|nudges": "step, epsilon",
    r"answers?": "result",
    r"found": "result, estimate",
    r"seen": "measured, visible",
    r"drawn|shown": "rendered",
    r"explained": "inlier",
    r"untouched": "reference, undeformed",
    r"beyond": "correction",
    r"thrown": "reflected",
    r"opinions?|judged?": "discriminator output, check",
    r"looked|looks?": "validate, inspect",
    r"learn": "train",
    r"foresee|foreseen": "predict",
    r"honest": "converged",
}
# Phrases of docstrings, comments, messages and documents.
PHRASES = {
    r"\bdots?\b": "marker",
    r"\bspots?\b": "blob, position",
    r"\b(sensor|virtual|random|new|each|same|another|the) units?\b(?! (vector|cell|of))": "sensor",
    r"\bshares? of\b": "fraction of",
    r"\blikeness\b": "correlation, score",
    r"\bnudg\w+": "step, perturb",
    r"\bthrown back\b|\bthrows? back\b": "reflected",
    r"\bnear light\b": "local inter-reflection",
    r"\b(is|are|was|were) told\b": "reported, notified",
    r"\bforese\w+": "predict",
    r"\bhonest\w*": "converged",
    r"\bhanded out\b": "returned",
    r"\baimed at\b": "target",
    r"\b(goes|go|went|going) on with\b": "resume",
    r"\bthe untouched\b(?! (gel|sensor|surface|pad|image))": "reference image",
    r"\bwhere it is\b|\bwhat is seen\b|\bas it is seen\b": "position; visible",
}
# Fragments: entries of Args and Attributes, parameter descriptions and help texts without a noun.
FRAGMENT = re.compile(
    r"^\s*[a-z_][\w, ]*: (of|to|in|for|as|at|by|that|which|with|from|so|how) ", re.M
)
TEXTS = re.compile(r'(?:description|help)=\s*\(?\s*f?"(of|to|in|for|as|at|by|that|which|so) ')


def main() -> int:
    """Print what is found, or only numbers; 1 where something is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", action="store_true", help="numbers by word only")
    parser.add_argument("paths", nargs="*", type=Path, help="default: all that is checked")
    options = parser.parse_args()
    allowed = read_exceptions()
    findings = [
        (path, line, word, say)
        for path in files(options.paths or [ROOT / name for name in CHECKED])
        for line, word, say in check(path)
        if (str(path.relative_to(ROOT)), word) not in allowed
    ]
    if options.count:
        for word, number in collections.Counter(word for _, _, word, _ in findings).most_common():
            print(f"{number:6d} {word}")
    else:
        for path, line, word, say in findings:
            print(f"{path.relative_to(ROOT)}:{line}: '{word}': say {say}")
    print(f"{len(findings)} words to replace", file=sys.stderr)
    return 1 if findings else 0


def read_exceptions() -> set[tuple[str, str]]:
    """Pairs of path and word."""
    lines = EXCEPTIONS.read_text().splitlines() if EXCEPTIONS.exists() else []
    pairs = (line.split("#")[0].split(maxsplit=1) for line in lines)
    return {(pair[0], pair[1].strip()) for pair in pairs if len(pair) == 2}


def files(paths: list[Path]) -> Iterator[Path]:
    """Files to check, in order."""
    for path in paths:
        for file in sorted(path.resolve().rglob("*")) if path.is_dir() else [path.resolve()]:
            if file.suffix in (".py", ".md", ".msg", ".srv", ".action", ".yaml"):
                yield file


def check(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, word and replacement of what is found in a file."""
    text = path.read_text()
    if path.suffix != ".py":
        prose = (
            text if path.suffix == ".md" else "\n".join(_comment(line) for line in text.split("\n"))
        )
        yield from _phrases(prose, 1)
        return
    yield from _names(text)
    for line, comment in _comments(text):
        yield from _phrases(comment, line)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            docstring = ast.get_docstring(node, clean=False)
            if docstring:
                line = node.body[0].lineno
                yield from _phrases(docstring, line)
                for match in FRAGMENT.finditer(docstring):
                    yield line + docstring[: match.end()].count("\n"), "fragment", "a noun phrase"
    for match in TEXTS.finditer(text):
        yield text[: match.start()].count("\n") + 1, "fragment", "a noun phrase"


def _names(text: str) -> Iterator[tuple[int, str, str]]:
    """Names that are defined in a file: what others define may be called so."""
    seen = set()
    for node in ast.walk(ast.parse(text)):
        for name in _defined(node):
            parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
            for pattern, say in NAMES.items():
                if (name, pattern) in seen:
                    continue
                if any(re.fullmatch(pattern, part) for part in parts):
                    seen.add((name, pattern))
                    yield node.lineno, name, say


def _defined(node: ast.AST) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return [node.attr]
    if isinstance(node, ast.arg):
        return [node.arg]
    return []


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _comment(line: str) -> str:
    return line[line.index("#") :] if "#" in line else ""


def _phrases(text: str, first_line: int) -> Iterator[tuple[int, str, str]]:
    plain = re.sub(r"`[^`]*`", "", text)
    for pattern, say in PHRASES.items():
        for match in re.finditer(pattern, plain, re.IGNORECASE):
            yield first_line + plain[: match.start()].count("\n"), match.group(0).lower(), say


if __name__ == "__main__":
    raise SystemExit(main())
