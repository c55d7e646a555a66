// Search: mdBook's own drops every letter that is not Latin, and takes code for prose. This one reads the same index.
//
// * A symbol and its name are one word: γ is gamma, x̂ is x hat, LayerNorm is layer norm.
// * Words of a heading count most, then prose, then code. The start of a page comes before its other sections; its
//   exercises, and what follows them, come behind. For a symbol, the first section "The formula" that has it is first.
// * A section has every word that was asked for, or the start of one; words side by side count more.

/* global elasticlunr */

(() => {
    "use strict";

    if (window.elasticlunr === undefined) {
        return;
    }

    const GREEK = {
        α: "alpha", β: "beta", γ: "gamma", δ: "delta", ε: "epsilon", ζ: "zeta", η: "eta", θ: "theta", ι: "iota",
        κ: "kappa", λ: "lambda", μ: "mu", ν: "nu", ξ: "xi", ο: "omicron", π: "pi", ρ: "rho", ς: "sigma", σ: "sigma",
        τ: "tau", υ: "upsilon", φ: "phi", χ: "chi", ψ: "psi", ω: "omega",
    };
    // Words that say nothing, unless they are all that is asked for.
    const FILLERS = new Set("a an and are as at by does for how in is it of on or the to what why with".split(" "));
    // The preprocessor sets one before each block of code, and another behind.
    const CODE = "\u2063";

    function wordsOf(text) {
        return text
            .replace(/([a-z])([A-Z])|([A-Z])([A-Z][a-z])/g, "$1$3 $2$4")
            // σ² is sigma.
            .replace(/[⁰¹²³⁴-⁹⁺⁻]+/g, " ")
            .normalize("NFKD")
            .toLowerCase()
            .replace(/normali[sz]ation/g, "norm")
            // In a formula each sign stands alone.
            .replace(/(?<!\p{L})d\s+(?=[α-ω])/gu, "d")
            // The hat stands behind, as does its name.
            .replace(/(?<![\p{L}\p{N}])x[\s_]*(?:[\u0302^ˆ]|hat(?![\p{L}\p{N}]))/gu, " x hat ")
            .replace(/\p{M}/gu, "")
            .replace(/[α-ω]/g, (letter) => GREEK[letter])
            .split(/[^\p{L}\p{N}]+/u)
            .filter((word) => word !== "")
            .map((word) => (word === "eps" ? "epsilon" : word))
            // One word for one and for many.
            .map((word) => (word.length > 3 && !word.endsWith("ss") ? word.replace(/s$/, "") : word));
    }

    class Field {
        constructor(text, weight) {
            const words = wordsOf(text);
            this.weight = weight;
            this.text = ` ${words.join(" ")} `;
            this.length = words.length;
            this.counts = new Map();
            for (const word of words) {
                this.counts.set(word, (this.counts.get(word) ?? 0) + 1);
            }
        }

        /// How much the field says of a word, from 0 to its weight: less per mention in a long text.
        score(word, averageLength) {
            let count = this.counts.get(word) ?? 0;
            if (count === 0 && word.length > 1) {
                for (const [own, times] of this.counts) {
                    count += own.startsWith(word) ? times * word.length / own.length / 2 : 0;
                }
            }
            return this.weight * count / (count + 0.5 + this.length / averageLength);
        }
    }

    const pageOf = ({ breadcrumbs }) => breadcrumbs.split(" » ").slice(0, -1).join();
    // A letter, or what a letter is called: μ is the mean, σ² the variance.
    const SYMBOLS = new Set([...Object.values(GREEK), "hat", "mean", "variance"]);
    const isSymbol = (word) => word.length === 1 || SYMBOLS.has(word);

    class Section {
        constructor(ref, doc, factor) {
            const parts = doc.body.split(CODE);
            const text = (rest) => parts.filter((_, i) => i % 2 === rest).join(" ");
            const [prose, code] = [text(0), text(1)];
            this.ref = ref;
            this.doc = { ...doc, body: `${prose} ${code}` };
            this.title = new Field(doc.title.replace(/^[\d.]+ /, ""), 6);
            this.prose = new Field(prose, 4);
            this.code = new Field(code, 0.5);
            this.factor = factor;
        }

        score(words, averages) {
            const fields = [this.title, this.prose, this.code];
            const scores = words.map(({ word, rarity }) => rarity
                * fields.reduce((sum, field, i) => sum + field.score(word, averages[i]), 0));
            const phrase = ` ${words.map(({ word }) => word).join(" ")}`;
            const together = words.length > 1 && fields.some((field) => field.text.includes(phrase));
            const isTitle = this.title.text === `${phrase} `;
            return {
                found: scores.filter((score) => score > 0).length,
                score: scores.reduce((sum, score) => sum + score, 0)
                    * this.factor * (together ? 2 : 1) * (isTitle ? 2 : 1),
            };
        }
    }

    function read(docs) {
        let [page, behind] = ["", false];
        const sections = Object.entries(docs).map(([ref, doc]) => {
            const isStart = pageOf(doc) !== page;
            page = pageOf(doc);
            behind = !isStart && (behind || doc.title === "Exercises");
            return new Section(ref, doc, isStart ? 1.5 : behind ? 0.4 : 1);
        });
        const average = (field) =>
            sections.reduce((sum, section) => sum + section[field].length, 0) / sections.length + 1;
        return { sections, averages: ["title", "prose", "code"].map(average) };
    }

    let index;

    elasticlunr.Index.prototype.search = function search(query) {
        index ??= read(this.documentStore.docs);
        const { sections, averages } = index;
        const all = wordsOf(query);
        const telling = all.filter((word) => !FILLERS.has(word));
        const words = (telling.length > 0 ? telling : all).map((word) => {
            const having = sections.filter(({ title, prose }) =>
                [title, prose].some((field) => field.score(word, 1) > 0)).length;
            return { word, rarity: Math.log(1 + sections.length / (having + 1)) };
        });
        const results = sections.map((section) => ({ section, ...section.score(words, averages) }));
        const most = Math.max(1, ...results.map(({ found }) => found));
        const best = results.filter(({ found }) => found === most);
        const defines = words.every(({ word }) => isSymbol(word))
            ? best.find(({ section }) => section.doc.title === "The formula")
            : undefined;
        return best
            .sort((a, b) => (b === defines) - (a === defines) || b.score - a.score)
            .map(({ section: { ref, doc }, score }) => ({ ref, doc, score }));
    };
})();
