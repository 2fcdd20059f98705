"""Tells whether program text stands in a text, and in which language; by lines that hardly occur in prose."""

# ruff: noqa: E501  # a pattern broken over many lines is no easier to read

from __future__ import annotations

import re
from collections.abc import Iterable

# A fence may name its language.
_FENCE = re.compile(r"^[ \t>*-]*(?:```+|~~~+)[ \t]*\{?\.?([A-Za-z+#\-]+)", re.MULTILINE)
_NAMES = {
    "python": "python py python3 pycon ipython jupyter",
    "sql": "sql mysql postgresql postgres plsql tsql sqlite",
    "shell": "sh bash shell zsh console terminal powershell ps1 bat cmd fish shell-session",
    "html": "html htm xhtml vue svelte",
    "javascript": "javascript js typescript ts jsx tsx node mjs",
}
LANGUAGES = tuple(_NAMES)
_LANGUAGE_OF = {name: language for language, names in _NAMES.items() for name in names.split()}

_ARGUMENTS = r"\([^()\n]{0,200}\)"
# Enough by one line.
_SURE = {
    "python": [
        rf"^[ \t]*(?:async )?def \w+{_ARGUMENTS}[^\n:]{{0,80}}:",
        r"^[ \t]*class \w+(?:\([^()\n]{0,100}\))?:[ \t]*$",
        r"^[ \t]*from [\w.]+ import (?:\w+|\(|\*)(?:[ \t]*,[ \t]*\w+)*[ \t]*(?:as \w+)?[ \t]*\)?$",
        r"^[ \t]*if __name__ == [\"']__main__[\"']:",
        r"^[ \t]*(?:for \w+(?:, ?\w+)* in (?:range|enumerate|zip|open|sorted|\w+\.(?:items|keys|values))\(|with open\()[^\n]{0,120}:",
        r"^[ \t]*print\(f?[\"'][^\n]{0,200}\)[ \t]*$",
        r"^>>> ",
    ],
    "sql": [
        r"\bselect\s+(?:distinct\s+)?(?:\*|count\(|[\w.\"`]+(?:\s*,\s*[\w.\"`()*]+)+|[\w.\"`]+)\s+from\s+[\w.\"`]+(?:\s+(?:where|join|inner|left|right|order by|group by|limit|as)\b|\s*;|\s*$)",
        r"\binsert\s+into\s+[\w.\"`]+\s*(?:\([^()]{1,300}\)\s*)?(?:values\s*\(|select\b)",
        r"\bupdate\s+[\w.\"`]+\s+set\s+[\w.\"`]+\s*=",
        r"\bdelete\s+from\s+[\w.\"`]+\s*(?:where\b|;|$)",
        r"\bcreate\s+(?:or\s+replace\s+)?(?:temporary\s+|unique\s+)?(?:table|view|index)\s+(?:if\s+not\s+exists\s+)?[\w.\"`]+\s*(?:\(|as\b|on\b)",
        r"\b(?:drop|truncate|alter)\s+table\s+(?:if\s+exists\s+)?[\w.\"`]+\s*(?:;|$|add|drop|cascade)",
    ],
    "shell": [
        r"^#!\s*/(?:usr/)?bin/(?:env )?(?:ba|z|da|fi)?sh",
        r"^[ \t]*(?:\$|#|>|PS>) (?:sudo|apt|apt-get|yum|brew|pip|npm|git|docker|kubectl|curl|wget|cd|ls|cat|rm|cp|mv|mkdir|chmod|chown|ssh|scp|tar|grep|sed|awk|export|echo|make|systemctl)\b",
        r"^[ \t]*(?:sudo )?rm -[rRf]{1,3} ",
        r"^[ \t]*sudo (?:apt|apt-get|yum|dnf|systemctl|chmod|chown|rm|cp|mv|service|su|docker|sh|bash)\b",
        r"^[ \t]*(?:curl|wget) (?:-\w+ )*[\"']?https?://[^\n]{1,300}",
        r"\|\s*(?:sudo )?(?:ba|z)?sh\b[ \t]*(?:-|$)",
        r"^[ \t]*if \[\[? [^\n]{1,120}\]\]?; then",
        r"^[ \t]*for \w+ in [^\n]{1,120}; do",
        r"^[ \t]*(?:git (?:clone|commit|push|pull|checkout|rebase|add)|docker (?:run|build|exec|compose)|npm (?:install|run)|pip3? install|kubectl (?:get|apply|delete|exec)|chmod [0-7+ugoax]{2,4}|tar -\w+|apt(?:-get)? install) [\w./:@\"'=-]",
    ],
    "html": [
        r"<!doctype html",
        r"<(?:html|head|body|div|span|table|form|script|style|iframe|section|nav|header|footer|button|input|ul|ol|svg)\b[^<>\n]{0,300}>",
        r"<(?:a|img|link|meta)\s+[\w\-]+=[^<>\n]{1,300}>",
        r"</(?:html|head|body|div|span|table|form|script|style|a|p|ul|li|h[1-6]|button)>",
    ],
    "javascript": [
        rf"\bfunction\s*\w*\s*{_ARGUMENTS}\s*\{{",
        r"^[ \t]*(?:export )?(?:const|let|var) [\w{}\[\], ]{1,80} = [^\n]{1,300};?[ \t]*$",
        r"\bconsole\.(?:log|error|warn)\(",
        r"=>\s*\{|\)\s*=>\s*[\w({]",
        r"\bdocument\.(?:getElementById|querySelector|createElement|cookie|write|addEventListener|body)\b",
        r"^[ \t]*import [\w{}*, ]{1,120} from [\"'][^\"'\n]{1,120}[\"'];?",
        r"\brequire\([\"'][^\"'\n]{1,120}[\"']\)",
        r"^[ \t]*(?:await |return )?(?:fetch|axios\.\w+|addEventListener|setTimeout)\(",
        r"\bmodule\.exports\b",
    ],
}
# Two such lines are enough.
_WEAK = {
    "python": [
        r"^[ \t]*import [a-z_][\w.]*(?: as \w+)?(?:, [a-z_][\w.]*)*[ \t]*$",
        r"^[ \t]*(?:for \w+ in \w[\w.()\[\]]*|while [\w .<>=!()]{1,60}|if [\w .<>=!()\[\]\"']{1,80}|else|elif [\w .<>=!()]{1,60}|try|except(?: \w+(?: as \w+)?)?|with [\w.()\"', ]{1,80} as \w+):[ \t]*$",
        r"^[ \t]*\w+ = (?:\[[^\n]{0,200}\]|\{[^\n]{0,200}\}|[\w.]+\([^\n]{0,200}\)|f?[\"'][^\n]{0,200}[\"']|\d+)[ \t]*$",
        r"^[ \t]*(?:return|yield|raise|assert|await) [^\n.]{1,120}$",
        r"^[ \t]*[a-z_]\w*(?:\.\w+)+\([^\n]{0,200}\)[ \t]*$",
        r"^[ \t]*self\.\w+ = ",
    ],
    "shell": [
        r"^[ \t]*(?:cd|ls|cp|mv|mkdir|export|echo|cat|grep|chmod|source|touch|alias) [\w./~$\"'=-]+[^\n.]{0,120}$",
        r"^[ \t]*[A-Z_]{2,}=[^\s]+[ \t]*$",
        r"\$\{?\w+\}?.{0,60}\$\(",
        r"^[ \t]*(?:fi|done|esac)[ \t]*$",
    ],
    "javascript": [
        r"^[ \t]*[\w.]+\([^\n]{0,200}\);[ \t]*$",
        r"^[ \t]*(?:if|for|while) \([^\n]{1,120}\) \{[ \t]*$",
        r"^[ \t]*\}[);,]*[ \t]*$",
        r"^[ \t]*return [^\n]{1,120};[ \t]*$",
        r"^[ \t]*\w+(?:\.\w+)* = [^\n]{1,200};[ \t]*$",
    ],
}


def _compiled(patterns: dict[str, list[str]]) -> dict[str, re.Pattern[str]]:
    flags = re.MULTILINE
    return {
        language: re.compile(
            "|".join(f"(?:{one})" for one in some), flags | (re.IGNORECASE if language in ("sql", "html") else 0)
        )
        for language, some in patterns.items()
    }


_SURE_OF = _compiled(_SURE)
_WEAK_OF = _compiled(_WEAK)


def languages_in(text: str, wanted: Iterable[str]) -> list[str]:
    """Which of the wanted languages a text holds."""
    fenced = {_LANGUAGE_OF.get(match[1].lower()) for match in _FENCE.finditer(text)}
    return [language for language in wanted if language in fenced or _holds(language, text)]


def _holds(language: str, text: str) -> bool:
    if _SURE_OF[language].search(text):
        return True
    weak = _WEAK_OF.get(language)
    if weak is None:
        return False
    lines = {text.count("\n", 0, match.start()) for match in weak.finditer(text)}
    return len(lines) >= 2
