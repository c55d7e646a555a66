//! One formula: TeX in, MathML out, in a form that survives mdBook's own Markdown pass.

use math_core::{LatexToMathML, MathCoreConfig, MathDisplay};

/// Inline, `$…$`, or a line of its own, `$$…$$`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Inline,
    Display,
}

/// Why a formula was refused, and in which of its lines, from 0.
#[derive(Debug)]
pub struct Refused {
    pub line: usize,
    pub reason: String,
}

/// The MathML of a formula, on one line.
pub fn render(tex: &str, style: Style) -> Result<String, Refused> {
    let display = match style {
        Style::Inline => MathDisplay::Inline,
        Style::Display => MathDisplay::Block,
    };
    let converter =
        LatexToMathML::new(MathCoreConfig::default()).expect("no macros, so none that fail");
    if tex.trim().is_empty() {
        return Err(Refused { line: 0, reason: "it is empty".into() });
    }
    match converter.convert_with_local_state(tex, display) {
        // Chromium does not draw `menclose`: without the strike the formula would mean something else.
        Ok(result) if result.mathml.contains("<menclose") => Err(Refused {
            line: 0,
            reason: "it strikes something out, which not every browser draws".into(),
        }),
        Ok(result) => {
            let mathml = lines_over_and_under(&result.mathml);
            let mathml = hide_from_markdown(&taller_roots(&own_rows(&mathml)));
            Ok(match style {
                Style::Inline => mathml,
                // The wrapper scrolls if the formula is wider than the screen. A paragraph may hold a span,
                // not a div.
                Style::Display => format!(r#"<span class="math-display">{mathml}</span>"#),
            })
        }
        Err(error) => {
            let before = tex.get(..error.0.start.min(tex.trim_end().len())).unwrap_or(tex);
            let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            Err(Refused {
                line: before.matches('\n').count(),
                reason: reason.trim_end_matches('.').into(),
            })
        }
    }
}

/// Replaces the combining character of `\overline` and `\underline`, which fonts draw too far to the left,
/// by one that stretches.
fn lines_over_and_under(mathml: &str) -> String {
    mathml
        .replace("\u{332}</mo></mover>", "\u{203e}</mo></mover>")
        .replace("\u{332}</mo></munder>", "_</mo></munder>")
}

/// Puts each delimiter of a chosen size, `\\Big)`, into a row of its own: Chromium draws one that has an exponent small,
/// and low.
fn own_rows(mathml: &str) -> String {
    let mut out = String::with_capacity(mathml.len() + 64);
    for (i, part) in mathml.split("<mo").enumerate() {
        let sized = part.split('>').next().is_some_and(|tag| tag.contains(" minsize="));
        match part.split_once("</mo>") {
            Some((operator, rest)) if i > 0 && sized => {
                out.push_str(&format!("<mrow><mo{operator}</mo></mrow>{rest}"));
            }
            _ => out.push_str(&format!("{}{part}", if i > 0 { "<mo" } else { "" })),
        }
    }
    out
}

/// An invisible line as high as a tall letter. With a letter that reaches below the line, the font's smallest root sign
/// still covers both.
const STRUT: &str = r#"<mspace height="0.7em"/>"#;

/// Makes room above a small letter in a root. The smallest root sign is higher than the letter, and a browser hangs it
/// from its top.
fn taller_roots(mathml: &str) -> String {
    // What reaches further below the line fills the sign, and with a strut would get the next larger one.
    const DEEP: [&str; 6] = ["<msqrt", "<mroot", "<msub", "<munder", "<mfrac", "<mtable"];
    let mut out = String::with_capacity(mathml.len() + 64);
    let mut rest = mathml;
    while let Some(start) = [rest.find("<msqrt>"), rest.find("<mroot>")].into_iter().flatten().min()
    {
        let (before, root) = rest.split_at(start + "<msqrt>".len());
        let base = &root[..element_end(root)];
        out.push_str(before);
        if DEEP.iter().any(|deep| base.contains(deep)) {
            rest = root;
        } else {
            out.push_str(&format!("<mrow>{base}{STRUT}</mrow>"));
            rest = &root[base.len()..];
        }
    }
    out + rest
}

/// Where the element that a text begins with ends.
fn element_end(mathml: &str) -> usize {
    let mut depth = 0;
    for (at, _) in mathml.match_indices('<') {
        let tag = mathml[at..].split_inclusive('>').next().unwrap_or_default();
        depth += match tag {
            _ if tag.starts_with("</") => -1,
            _ if tag.ends_with("/>") => 0,
            _ => 1,
        };
        if depth <= 0 {
            return at + tag.len();
        }
    }
    mathml.len()
}

/// Writes the punctuation between tags as character references, so that `*`, `_`, `|`, … mean nothing to
/// Markdown. A browser shows the same formula.
fn hide_from_markdown(mathml: &str) -> String {
    let mut out = String::with_capacity(mathml.len() + 64);
    let (mut in_tag, mut in_reference) = (false, false);
    for c in mathml.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                out.push(c);
                continue;
            }
            '&' => in_reference = true,
            _ => {}
        }
        let plain = if in_tag { c != '|' } else { in_reference || !c.is_ascii_punctuation() };
        match c {
            '\n' => out.push(' '),
            _ if plain => out.push(c),
            _ => out.push_str(&reference(c)),
        }
        if c == ';' {
            in_reference = false;
        }
    }
    out
}

/// A character in a form that means nothing to Markdown.
pub fn reference(c: char) -> String {
    if c.is_ascii_punctuation() { format!("&#{};", u32::from(c)) } else { c.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inline_formula_is_one_math_element() {
        let mathml = render(r"\frac{x-\mu}{\sqrt{\sigma^2+\epsilon}}", Style::Inline).unwrap();
        assert!(mathml.starts_with("<math>") && mathml.ends_with("</math>"), "{mathml}");
        assert!(mathml.contains("<mfrac>") && mathml.contains("<msqrt>"), "{mathml}");
    }

    #[test]
    fn a_display_formula_is_a_block_that_can_scroll() {
        let mathml = render("y = x", Style::Display).unwrap();
        assert!(
            mathml.starts_with(r#"<span class="math-display"><math display="block">"#),
            "{mathml}"
        );
        assert!(!mathml.contains('\n'));
    }

    #[test]
    fn text_that_markdown_would_read_is_written_as_references() {
        let mathml = render(r"a * b_i | c \| d [e] `", Style::Inline).unwrap();
        let text: String = mathml
            .split('<')
            .filter_map(|part| part.split_once('>'))
            .map(|(_, text)| text)
            .collect();
        for c in ['*', '_', '|', '[', ']', '`', '\\'] {
            assert!(!text.contains(c), "{c} is left in {text}");
        }
        assert!(
            mathml.contains("&#91;") && mathml.contains("&#42;") | mathml.contains('∗'),
            "{mathml}"
        );
    }

    #[test]
    fn a_line_over_a_formula_stretches() {
        assert!(render(r"\overline{x+y}", Style::Inline).unwrap().contains('\u{203e}'));
        assert!(render(r"\underline{x+y}", Style::Inline).unwrap().contains("&#95;</mo></munder>"));
    }

    #[test]
    fn a_delimiter_of_a_chosen_size_has_its_own_row() {
        let size = r#" minsize="1.623em" maxsize="1.623em""#;
        assert_eq!(
            render(r"\Big(x\Big)^2", Style::Inline).unwrap(),
            format!(
                "<math><mrow><mo{size}>&#40;</mo></mrow><mi>x</mi>\
                 <msup><mrow><mo{size}>&#41;</mo></mrow><mn>2</mn></msup></math>"
            )
        );
        assert!(!render(r"(x)^2", Style::Inline).unwrap().contains("<mrow>"));
    }

    #[test]
    fn a_root_has_room_above_a_small_letter() {
        let root = |tex| render(tex, Style::Inline).unwrap();
        assert_eq!(
            root(r"\sqrt{\varepsilon}"),
            format!("<math><msqrt><mrow><mi>ε</mi>{STRUT}</mrow></msqrt></math>")
        );
        assert_eq!(
            root(r"\sqrt[3]{a\hat{b}} + \sqrt x").matches(STRUT).count(),
            2,
            "{}",
            root(r"\sqrt[3]{a\hat{b}} + \sqrt x")
        );
        assert!(root(r"\sqrt[3]{x}").contains(&format!("{STRUT}</mrow><mn>3</mn></mroot>")));
        assert!(root(r"\sqrt[3]{x}").starts_with("<math><mroot><mrow><mi>x</mi>"));
        for deep in [r"\sqrt{x_i}", r"\sqrt{\frac{a}{b}}", r"\sqrt{\sum_i x}", r"\sqrt{x_i + y}"] {
            assert!(!root(deep).contains(STRUT), "{deep}");
        }
        // The inner one, of which the outer one is as high as it is.
        assert_eq!(root(r"\sqrt{\sqrt{x}}").matches(STRUT).count(), 1);
    }

    #[test]
    fn references_are_left_alone() {
        assert_eq!(
            hide_from_markdown("<mo a=\"|\">&lt;</mo><mi>*</mi>"),
            "<mo a=\"&#124;\">&lt;</mo><mi>&#42;</mi>"
        );
    }

    #[test]
    fn what_does_not_parse_says_why_and_on_which_line() {
        let refused = render("a\n+ \\nonsense", Style::Display).unwrap_err();
        assert_eq!(refused.line, 1);
        assert!(refused.reason.contains("nonsense"), "{}", refused.reason);
        assert!(render(" ", Style::Inline).is_err());
        assert!(render(r"\cancel{x}", Style::Inline).is_err());
    }

    #[test]
    fn the_formulas_of_a_normalization_book_parse() {
        for tex in [
            r"\mu = \frac{1}{d}\sum_{i=1}^{d} x_i",
            r"\hat{x}_i = \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}}",
            r"\operatorname{LN}(x) = \gamma \odot \hat{x} + \beta",
            r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
            r"\begin{aligned} a &= b \\ &= c \end{aligned}",
            r"\frac{\partial L}{\partial \hat x_i}, \quad x \in \mathbb{R}^{n \times d}",
            r"\underbrace{a + b}_{\text{the mean}}",
            r"f(x) = \begin{cases} x & x > 0 \\ 0 & \text{otherwise} \end{cases}",
            r"\left\lVert x \right\rVert_2 \le \max(0, 1 - 10^{-5})",
            r"\bar{x}\, \tilde y\, \mathbf{W}^\top\, \mathcal{L}\, \dot{x}\, \nabla_\theta",
        ] {
            for style in [Style::Inline, Style::Display] {
                assert!(
                    render(tex, style).is_ok(),
                    "{tex}: {}",
                    render(tex, style).unwrap_err().reason
                );
            }
        }
    }
}
