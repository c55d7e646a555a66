//! What served pages load besides their own files: the scripts and the style that reload them and run their blocks.

use crate::run::{self, Runner};
use crate::workers;

/// A file for the pages.
pub struct Asset {
    pub path: &'static str,
    /// The content type.
    pub kind: &'static str,
    pub text: &'static str,
}

/// The scripts are modules, which load each other by these names.
macro_rules! assets {
    ($($name:literal is $kind:expr),* $(,)?) => {
        [$(Asset {
            path: concat!("/-/", $name),
            kind: $kind,
            text: include_str!(concat!("page/", $name)),
        }),*]
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

pub const ASSETS: [Asset; 12] = assets![
    "block.js" is SCRIPT,
    "edit.js" is SCRIPT,
    "editor.js" is SCRIPT,
    "element.js" is SCRIPT,
    "live.js" is SCRIPT,
    "output.js" is SCRIPT,
    "progress.js" is SCRIPT,
    "reload.js" is SCRIPT,
    "run.css" is STYLE,
    "run.js" is SCRIPT,
    "store.js" is SCRIPT,
    "stream.js" is SCRIPT,
];

/// The tags in the head of a served page: the script that reloads the page, and what runs its blocks.
pub fn tags(runner: Option<&Runner>) -> String {
    let mut tags = r#"<script type="module" src="/-/live.js"></script>"#.to_owned();
    if let Some(runner) = runner {
        let (token, max) = (&runner.token, run::MAX_CODE);
        tags += &format!(
            r#"<meta name="run-token" content="{token}"><meta name="run-most" content="{max}"><link rel="stylesheet" href="/-/run.css"><script type="module" src="/-/run.js"></script>"#
        );
    }
    tags + "<script>" + workers::SCRIPT + "</script>"
}
