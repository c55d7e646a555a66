//! The flags by which a block finds the crate and what the crate depends on, from what Cargo says.

use semver::{Version, VersionReq};
use serde_json::Value;
use std::path::Path;

/// The package that blocks use, from `cargo metadata --no-deps`.
#[derive(Debug)]
pub struct Package {
    pub name: String,
    id: String,
    edition: String,
    dependencies: Vec<Dependency>,
    /// Whether the press is a package of the same workspace.
    pub with_press: bool,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    required: VersionReq,
    /// What the crate is called in the package's code, if not by its own name.
    rename: Option<String>,
}

impl Package {
    /// The package whose manifest is `manifest`.
    pub fn read(metadata: &str, manifest: &Path) -> Result<Self, String> {
        let metadata: Value = serde_json::from_str(metadata)
            .map_err(|error| format!("cargo metadata: expected JSON, got {error}"))?;
        let packages = || metadata["packages"].as_array().into_iter().flatten();
        let own = packages().find(|package| text(package, "manifest_path") == manifest.to_str());
        let own = own.ok_or("Cargo.toml: expected a package with a library, got none")?;
        let dependency = |entry: &Value| {
            Some(Dependency {
                name: text(entry, "name")?.to_owned(),
                required: text(entry, "req")?.parse().ok()?,
                rename: text(entry, "rename").map(str::to_owned),
            })
        };
        let of_the_library = |entry: &&Value| entry["kind"].is_null();
        let all = own["dependencies"].as_array().into_iter().flatten();
        Ok(Self {
            name: text(own, "name").unwrap_or_default().to_owned(),
            id: text(own, "id").unwrap_or_default().to_owned(),
            edition: text(own, "edition").unwrap_or("2024").to_owned(),
            dependencies: all.filter(of_the_library).filter_map(dependency).collect(),
            with_press: packages().any(|package| package["name"] == env!("CARGO_PKG_NAME")),
        })
    }

    /// The flags, from what `cargo build --message-format=json` wrote to stdout.
    pub fn flags(&self, messages: &str) -> Vec<String> {
        let mut flags = vec![format!("--edition={}", self.edition)];
        let mut folders = Vec::new();
        for line in messages.lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
            if message["reason"] == "build-script-executed" {
                let paths = message["linked_paths"].as_array().into_iter().flatten();
                folders.extend(paths.filter_map(Value::as_str).map(str::to_owned));
            }
            let Some(file) = library(&message) else { continue };
            let folder = Path::new(file).parent().unwrap_or(Path::new(""));
            folders.push(format!("dependency={}", folder.display()));
            if let Some(name) = self.name_in_a_block(&message) {
                flags.extend(["--extern".to_owned(), format!("{name}={file}")]);
            }
            if text(&message, "package_id") == Some(&self.id) {
                let features = message["features"].as_array().into_iter().flatten();
                for feature in features.filter_map(Value::as_str) {
                    flags.extend(["--cfg".to_owned(), format!("feature=\"{feature}\"")]);
                }
            }
        }
        folders.sort();
        folders.dedup();
        flags.extend(folders.into_iter().flat_map(|folder| ["-L".to_owned(), folder]));
        flags
    }

    /// What a block calls the library of this message: `None` if it cannot name the library.
    fn name_in_a_block(&self, message: &Value) -> Option<String> {
        let id = text(message, "package_id")?;
        let own_name = text(&message["target"], "name")?;
        let name = if id == self.id {
            own_name
        } else {
            let (name, version) = name_and_version(id)?;
            let same = |dependency: &&Dependency| {
                dependency.name == name && dependency.required.matches(&version)
            };
            self.dependencies.iter().find(same)?.rename.as_deref().unwrap_or(own_name)
        };
        Some(name.replace('-', "_"))
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str()
}

/// `registry+https://…#ndarray@0.17.2` or, of a folder called like its package, `path+file:///…/small#0.1.0`.
fn name_and_version(id: &str) -> Option<(&str, Version)> {
    let (source, rest) = id.rsplit_once('#')?;
    let (name, version) =
        rest.rsplit_once('@').unwrap_or((source.split('?').next()?.rsplit('/').next()?, rest));
    Some((name, version.parse().ok()?))
}

/// The file of the library that was compiled, if the message is of a library.
fn library(message: &Value) -> Option<&str> {
    let kinds = message["target"]["kind"].as_array()?;
    let is_library =
        |kind: &Value| ["lib", "rlib", "dylib", "proc-macro"].iter().any(|own| kind == own);
    if message["reason"] != "compiler-artifact" || !kinds.iter().any(is_library) {
        return None;
    }
    let files = || message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let with = |ends: &[&str]| files().find(|file| ends.iter().any(|end| file.ends_with(end)));
    with(&[".rlib"]).or_else(|| with(&[".so", ".dylib", ".dll"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn artifact(id: &str, kind: &str, name: &str, files: &[&str]) -> String {
        json!({ "reason": "compiler-artifact", "package_id": id, "filenames": files,
            "features": ["fast"], "target": { "kind": [kind], "name": name } })
        .to_string()
    }

    #[test]
    fn a_block_sees_the_crate_and_its_dependencies_and_no_others() {
        let dependency = |name: &str, req: &str, kind: Value, rename: Value| json!({ "name": name, "req": req, "kind": kind, "rename": rename });
        let metadata = json!({ "packages": [
            { "name": "other", "id": "path+file:///w/other#0.1.0", "manifest_path": "/w/other/Cargo.toml" },
            { "name": "small", "id": "path+file:///w#small@0.1.0", "manifest_path": "/w/Cargo.toml",
              "edition": "2021", "dependencies": [
                dependency("rand", "^0.9", Value::Null, Value::Null),
                dependency("two-words", "^1", Value::Null, Value::Null),
                dependency("long", "^2", Value::Null, "l".into()),
                dependency("derive", "^1", Value::Null, Value::Null),
                dependency("beside", "*", Value::Null, Value::Null),
                dependency("proptest", "^1", "dev".into(), Value::Null),
            ] },
        ] });
        let package = Package::read(&metadata.to_string(), Path::new("/w/Cargo.toml")).unwrap();
        assert_eq!((package.name.as_str(), package.with_press), ("small", false));
        let deps = "/w/target/debug/deps";
        let messages = [
            json!({ "reason": "build-script-executed", "linked_paths": ["native=/w/out"] })
                .to_string(),
            artifact("r+https://x/y#rand@0.9.1", "custom-build", "build-script-build", &["/w/b"]),
            artifact("r+https://x/y#rand@0.10.1", "lib", "rand", &["/w/target/debug/deps/a.rlib"]),
            artifact(
                "r+https://x/y#rand@0.9.1",
                "lib",
                "rand",
                &["/w/target/debug/deps/b.rlib", "/w/target/debug/deps/b.rmeta"],
            ),
            artifact(
                "r+https://x/y#two-words@1.2.0",
                "lib",
                "two-words",
                &["/w/target/debug/deps/c.rlib"],
            ),
            artifact("r+https://x/y#long@2.0.0", "lib", "long", &["/w/target/debug/deps/d.rlib"]),
            artifact(
                "r+https://x/y#derive@1.0.0",
                "proc-macro",
                "derive",
                &["/w/target/debug/deps/e.so"],
            ),
            artifact(
                "path+file:///v/beside#0.1.0",
                "lib",
                "beside",
                &["/w/target/debug/deps/f.rlib"],
            ),
            artifact(
                "r+https://x/y#unseen@1.0.0",
                "lib",
                "unseen",
                &["/w/target/debug/deps/g.rlib"],
            ),
            artifact("path+file:///w#small@0.1.0", "lib", "small", &["/w/target/debug/h.rlib"]),
            "not JSON".to_owned(),
        ]
        .join("\n");
        let expected = [
            "--edition=2021",
            "--extern",
            &format!("rand={deps}/b.rlib"),
            "--extern",
            &format!("two_words={deps}/c.rlib"),
            "--extern",
            &format!("l={deps}/d.rlib"),
            "--extern",
            &format!("derive={deps}/e.so"),
            "--extern",
            &format!("beside={deps}/f.rlib"),
            "--extern",
            "small=/w/target/debug/h.rlib",
            "--cfg",
            "feature=\"fast\"",
            "-L",
            "dependency=/w/target/debug",
            "-L",
            "dependency=/w/target/debug/deps",
            "-L",
            "native=/w/out",
        ];
        assert_eq!(package.flags(&messages), expected);
    }

    #[test]
    fn a_folder_without_a_package_is_named() {
        let metadata = json!({ "packages": [] }).to_string();
        let refused = Package::read(&metadata, Path::new("/w/Cargo.toml")).unwrap_err();
        assert_eq!(refused, "Cargo.toml: expected a package with a library, got none");
    }
}
