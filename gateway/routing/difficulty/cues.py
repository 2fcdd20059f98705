"""Words that say of themselves how much is asked. Stems would need a stemmer for each language: forms are listed.

A cue is one or two words of `features.terms`, in lower case; in Chinese and Japanese every character is a word.
"""

from __future__ import annotations


def _cues(text: str) -> frozenset[str]:
    return frozenset(cue.strip() for cue in text.replace("\n", ",").split(",") if cue.strip())


# One fact, one number, one form changed.
LOOKUP = _cues(
    """
    capital of, what is, what's, who is, who was, who wrote, when did, when was, where is, how many, how much, how old
    spell, translate, convert, define, synonym, synonyms, antonym, plural, list, name, extract, hello, hi, hey, thanks
    thank you, good morning, yes or, true or, opposite of, stands for, meaning of
    was ist, wer ist, wer war, wann war, wo ist, wie viele, wie viel, wie heißt, übersetze, nenne, hauptstadt, danke
    hallo, quelle est, qui est, qui a, combien de, traduis, capitale, merci, bonjour, cuál es, quién es, cuántos
    cuántas, traduce, gracias, hola, qual è, chi è, quanti, traduci, grazie, ciao, qual é, quem é, quantos, traduza
    obrigado, obrigada, wat is, wie is, hoeveel, vertaal, co to, kto to, ile, przetłumacz, сколько, кто, столица
    переведи, спасибо, привет, 翻 译, 首 都, 多 少, 谢 谢, 你 好, 翻 訳, 何 で, 誰 で
    """
)

# A text made or remade, a thing explained, a function written.
CRAFT = _cues(
    """
    summarize, summarise, summary, rewrite, rephrase, explain, describe, draft, email, write, compose, outline, blog
    paragraph, function, script, regex, query, difference between, pros and, brainstorm, headline, slogan, tagline
    fasse, zusammen, erkläre, schreibe, formuliere, unterschied, résume, explique, rédige, écris, réécris
    resume, explica, escribe, redacta, riassumi, spiega, scrivi, resuma, explique, escreva, leg uit, schrijf, vat
    streść, wyjaśnij, napisz, объясни, напиши, кратко, перескажи, 总 结, 解 释, 写 一, 要 約, 説 明, 書 い
    """
)

# Many steps, proof, design under constraints, judgement.
DEEP = _cues(
    """
    prove, proof, disprove, derive, derivation, theorem, lemma, design, architect, architecture, analyze, analyse
    evaluate, critique, optimize, optimise, optimal, trade offs, tradeoffs, trade off, algorithm, complexity
    concurrency, deadlock, race condition, distributed, scalable, migration, refactor, root cause, strategy, roadmap
    diagnosis, differential, liability, counterexample, step by, rigorous, rigorously, constraints, invariant
    implications, simulate, model the, formally, jurisdiction, invariants, implement
    beweise, leite, herleiten, entwirf, entwickle, analysiere, bewerte, abwägung, démontre, démontrer, prouve, conçois
    analyse, évalue, demuestra, diseña, analiza, evalúa, dimostra, progetta, analizza, valuta, demonstre, prove que
    projete, analise, avalie, bewijs, ontwerp, analyseer, udowodnij, zaprojektuj, przeanalizuj, докажи, докажите
    разработай, спроектируй, проанализируй, 证 明, 设 计, 分 析, 推 导, 証 明, 設 計, 評 価
    """
)
