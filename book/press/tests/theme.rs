//! The colours of the figures can be told from the page, in every theme of mdBook.

use std::collections::HashMap;

/// mdBook's themes, and what they lay the page on.
const LIGHT: [(&str, [u8; 3]); 2] = [("light", [255, 255, 255]), ("rust", [0xe1, 0xe1, 0xdb])];
const DARK: [(&str, [u8; 3]); 3] =
    [("coal", [0x13, 0x15, 0x16]), ("navy", [0x16, 0x19, 0x23]), ("ayu", [0x0f, 0x14, 0x1a])];

/// The colours of series and words: the grid and the boxes stay faint.
fn colours<'a>(block: &'a str, prefix: &str) -> HashMap<&'a str, [u8; 3]> {
    block
        .lines()
        .filter_map(|line| line.trim().strip_prefix(prefix)?.strip_suffix(';')?.split_once(": #"))
        .filter(|(name, _)| !["grid", "box"].contains(name))
        .map(|(name, hex)| {
            (name, [0, 2, 4].map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()))
        })
        .collect()
}

/// The relative luminance of WCAG 2.
fn luminance(colour: [u8; 3]) -> f64 {
    let linear = colour.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_colour_keeps_three_to_one() {
    let css = include_str!("../../theme/evenkeel.css");
    let block = |start: &str| {
        let rest = &css[css.find(start).unwrap_or_else(|| panic!("{start}"))..];
        colours(rest.split('}').next().unwrap(), "--ek-")
    };
    let (light, dark) = (block(":root {"), block(".coal,\n.navy,\n.ayu {"));
    assert_eq!(light.len(), 9);
    let mut names: Vec<_> = light.keys().collect();
    names.sort();
    assert!(names.iter().all(|name| dark.contains_key(*name)) && dark.len() == light.len());
    assert_eq!(block("html:not(.js) {"), dark, "without scripts");
    for (themes, palette) in [(&LIGHT[..], light), (&DARK[..], dark)] {
        for (theme, page) in themes {
            for (name, colour) in &palette {
                let ratio = contrast(*colour, *page);
                assert!(ratio >= 3.0, "--ek-{name} on {theme}: {ratio:.2}");
                // Words are read, not only seen.
                assert!(
                    ratio >= 4.5 || !["ink", "muted"].contains(name),
                    "--ek-{name} on {theme}: {ratio:.2}"
                );
            }
        }
    }
}

#[test]
fn what_is_said_of_a_run_can_be_read() {
    let css = include_str!("../src/page/run.css");
    let block = |start: &str| {
        let rest = &css[css.find(start).unwrap_or_else(|| panic!("{start}"))..];
        colours(rest.split('}').next().unwrap(), "--run-")
    };
    for (themes, palette) in
        [(&LIGHT[..], block(":root {")), (&DARK[..], block(".coal,\n.navy,\n.ayu {"))]
    {
        assert_eq!(palette.len(), 2);
        for (theme, page) in themes {
            for (name, colour) in &palette {
                let ratio = contrast(*colour, *page);
                assert!(ratio >= 4.5, "--run-{name} on {theme}: {ratio:.2}");
            }
        }
    }
}
