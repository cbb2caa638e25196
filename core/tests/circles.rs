//! No file of this crate imports, by whatever way round, a file that imports it: what lies below can be read without what
//! lies above.
//!
//! # What it sees
//! Imports (`use`, with trees, globs, aliases and `super`) and paths written out in code (`crate::…`, `super::…`, those that
//! begin with a child module or an imported one, also behind `$crate`). A path leads to the file that defines its last name:
//! names that a file only passes on (`pub use`) are followed to where they come from, and passing on a name is no use of it.
//! Code for tests is left out.
//!
//! # What it does not see
//! Methods that are implemented in another file than their type (`Clocks::timers` is one), names that a macro puts together,
//! names that are passed on by `*`, and paths in the text of attributes (`with = "crate::time::rfc3339"`). It reads tokens and
//! is no compiler: a path that it cannot follow to the end counts as one to the last module that it knows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read the sources has nothing to say")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::Path,
};

type Module = Vec<String>;

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let mut sources = BTreeMap::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    let graph = Graph::of(&sources);
    assert!(graph.edges.values().map(BTreeSet::len).sum::<usize>() > 100, "the sources were not understood: {graph:?}");
    if let Some(circle) = graph.circle() {
        panic!("a circle of imports: {}", circle.join(" -> "));
    }
}

#[test]
fn a_circle_is_found_and_named() {
    let circle = |files: &[(&str, &str)]| {
        let sources = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Graph::of(&sources).circle().map(|circle| circle.join(" "))
    };
    let root = ("lib.rs", "mod a; pub mod b;");
    let b_mod = ("b/mod.rs", "mod c; pub use c::Thing;");
    // By an import, by a name that is passed on, by a path in code, and by one from within a module of the file.
    for a in [
        "use crate::b::{self, Thing};",
        "fn f(_: crate::b::Thing) {}",
        "mod inner { use super::super::b::Thing; }",
        "use crate::b; fn f(_: b::Thing) {}",
        "macro_rules! m { () => { $crate::b::Thing }; }",
    ] {
        let c = ("b/c.rs", "use crate::a::A; pub struct Thing;");
        assert_eq!(circle(&[root, ("a.rs", a), b_mod, c]).as_deref(), Some("a.rs b/c.rs a.rs"), "{a}");
    }
    // What is passed on and used is an import as any other.
    let uses = ("b/mod.rs", "mod c; pub use c::Thing; pub struct Other(Thing);");
    let c = ("b/c.rs", "use super::Other; pub struct Thing;");
    assert_eq!(circle(&[root, ("a.rs", ""), uses, c]).as_deref(), Some("b/c.rs b/mod.rs b/c.rs"));
    // Tests, comments and texts may name what they like.
    for a in [
        "#[cfg(test)] mod tests { use crate::b::Thing; }",
        "#[cfg(test)] use crate::b::Thing; pub struct A;",
        "// use crate::b::Thing;\n/* /* */ use crate::b::Thing; */",
        "const A: &str = \"use crate::b::Thing;\"; const B: &str = r#\"\" crate::b::Thing\"#; const C: char = '\"';",
    ] {
        let c = ("b/c.rs", "use crate::a::A; pub struct Thing<'a>(&'a str);");
        assert_eq!(circle(&[root, ("a.rs", a), b_mod, c]), None, "{a}");
    }
}

/// Reads the sources below a directory, by their paths within it.
fn read(directory: &Path, prefix: &str, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            read(&entry.path(), &format!("{name}/"), sources);
        } else if name.ends_with(".rs") {
            sources.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
}

/// Which file imports which.
#[derive(Debug)]
struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn of(sources: &BTreeMap<String, String>) -> Self {
        let mut known = Names::default();
        let scopes: Vec<Scope> = sources.iter().flat_map(|(file, text)| Scope::all_of(file, text)).collect();
        let tests: BTreeSet<Module> = scopes.iter().flat_map(|scope| scope.tests.clone()).collect();
        let is_test = |module: &Module| (0..=module.len()).any(|length| tests.contains(&module[..length]));
        let scopes: Vec<Scope> = scopes.into_iter().filter(|scope| !is_test(&scope.module)).collect();
        for scope in &scopes {
            known.modules.insert(scope.module.clone(), scope.file.clone());
        }
        for scope in &scopes {
            let imports = scope.imports.iter().map(|import| (import.name.clone(), import.path.clone())).collect();
            known.imports.insert(scope.module.clone(), imports);
        }
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for scope in &scopes {
            let mentioned: BTreeSet<&String> = scope.paths.iter().flatten().collect();
            let used = |import: &&Import| !import.passed_on || mentioned.contains(&import.name);
            let imports = scope.imports.iter().filter(used).map(|import| &import.path);
            // A name alone is one that the file imports, or has itself.
            for path in imports.chain(scope.paths.iter().filter(|path| path.len() > 1)) {
                if let Some(file) = known.file_of(&scope.module, path, 0).filter(|file| *file != scope.file) {
                    edges.entry(scope.file.clone()).or_default().insert(file);
                }
            }
        }
        Self { edges }
    }

    /// The shortest circle, from the first file that is in one of that length.
    fn circle(&self) -> Option<Vec<String>> {
        self.edges.keys().filter_map(|start| self.way_back_to(start)).min_by_key(Vec::len)
    }

    fn way_back_to(&self, start: &String) -> Option<Vec<String>> {
        let mut reached_from: BTreeMap<&String, &String> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(file) = queue.pop_front() {
            for next in self.edges.get(file).into_iter().flatten() {
                if next == start {
                    let mut way = vec![start.clone(), file.clone()];
                    while way.last() != Some(start) {
                        way.push(reached_from[way.last().unwrap()].clone());
                    }
                    way.reverse();
                    return Some(way);
                }
                if !reached_from.contains_key(next) {
                    reached_from.insert(next, file);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

/// What names lead to.
#[derive(Default)]
struct Names {
    /// The file of each module.
    modules: BTreeMap<Module, String>,
    /// The names that each module imports or passes on, and their paths as written there.
    imports: BTreeMap<Module, Vec<(String, Module)>>,
}

impl Names {
    /// The file that a path leads to as it is written in a module; none when it leads out of the crate.
    fn file_of(&self, module: &Module, path: &[String], steps: usize) -> Option<String> {
        let mut here = module.clone();
        let mut rest = path;
        let (first, after) = rest.split_first()?;
        match first.as_str() {
            "crate" => (here, rest) = (vec![], after),
            "self" => rest = after,
            "super" => {}
            name => {
                // A name of its own: a child module, or one that it imports.
                let child = self.modules.contains_key(&[&here[..], &[name.to_owned()]].concat());
                let imported = self.imports.get(&here).is_some_and(|names| names.iter().any(|(n, _)| n == name));
                if !(child || imported && !after.is_empty()) {
                    return None;
                }
            }
        }
        while let Some((name, after)) = rest.split_first() {
            if name == "super" {
                here.pop()?;
                rest = after;
                continue;
            }
            let child = [&here[..], std::slice::from_ref(name)].concat();
            if self.modules.contains_key(&child) {
                (here, rest) = (child, after);
                continue;
            }
            return self.passed_on(&here, name, after, steps).or_else(|| self.modules.get(&here).cloned());
        }
        self.modules.get(&here).cloned()
    }

    /// The file that a name leads to which a module has from elsewhere.
    fn passed_on(&self, module: &Module, name: &String, after: &[String], steps: usize) -> Option<String> {
        if steps > 16 {
            return None;
        }
        let imports = self.imports.get(module)?;
        let (_, path) = imports.iter().find(|(imported, _)| imported == name)?;
        self.file_of(module, &[&path[..], after].concat(), steps + 1)
    }
}

#[derive(Debug)]
struct Import {
    path: Module,
    name: String,
    passed_on: bool,
}

/// A module as it is written: a file, or a module within one.
#[derive(Debug)]
struct Scope {
    file: String,
    module: Module,
    imports: Vec<Import>,
    /// Every path in code, also of one name only.
    paths: Vec<Module>,
    /// Modules that are for tests only.
    tests: Vec<Module>,
}

impl Scope {
    fn all_of(file: &str, text: &str) -> Vec<Self> {
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod").split('/');
        let module: Module = module.filter(|name| *name != "lib").map(str::to_owned).collect();
        let mut scopes = Vec::new();
        Self::read(file, module, &tokens(text), &mut scopes);
        scopes
    }

    fn read(file: &str, module: Module, tokens: &[String], scopes: &mut Vec<Self>) {
        let (mut imports, mut paths, mut tests) = (vec![], vec![], vec![]);
        let mut at = 0;
        let token = |at: usize| tokens.get(at).map_or("", String::as_str);
        while at < tokens.len() {
            if tokens[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"].map(str::to_owned)) {
                let end = end_of_item(tokens, at + 7);
                let name = tokens[at..end].iter().skip_while(|token| *token != "mod").nth(1);
                tests.extend(name.map(|name| [&module[..], std::slice::from_ref(name)].concat()));
                at = end;
            } else if token(at) == "mod" && token(at + 2) == "{" {
                let end = end_of_item(tokens, at);
                let child = [&module[..], &tokens[at + 1..=at + 1]].concat();
                Self::read(file, child, &tokens[at + 3..end - 1], scopes);
                at = end;
            } else if token(at) == "mod" && token(at + 2) == ";" {
                at += 3;
            } else if token(at) == "use" && token(at + 1) != "<" {
                let passed_on = at > 0 && (token(at - 1) == "pub" || token(at - 1) == ")");
                tree(tokens, &mut (at + 1), &vec![], &mut |path, name| imports.push(Import { path, name, passed_on }));
                at = end_of_item(tokens, at);
            } else if is_name(token(at)) {
                let start = at;
                while token(at + 1) == "::" && is_name(token(at + 2)) {
                    at += 2;
                }
                let path = tokens[start..=at].iter().filter(|token| *token != "::").cloned().collect();
                at += 1;
                // What comes after a point or a type is a method or a field.
                if start == 0 || (token(start - 1) != "." && token(start - 1) != "::") {
                    paths.push(path);
                }
            } else {
                at += 1;
            }
        }
        scopes.push(Self { file: file.to_owned(), module, imports, paths, tests });
    }
}

/// Where the item that begins here is over: behind its semicolon or its braces.
fn end_of_item(tokens: &[String], start: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && (token == ";" || token == "}" && tokens.get(at + 1).is_none_or(|next| next != ";")) {
            return at + 1;
        }
    }
    tokens.len()
}

/// Reads a tree of imports, and tells each path and the name that it gets.
fn tree(tokens: &[String], at: &mut usize, prefix: &Module, tell: &mut impl FnMut(Module, String)) {
    let mut path = prefix.clone();
    loop {
        let token = tokens.get(*at).map_or(";", String::as_str);
        *at += 1;
        match token {
            "::" => {}
            "{" => {
                while tokens.get(*at).is_some_and(|token| token != "}") {
                    tree(tokens, at, &path, tell);
                    *at += usize::from(tokens.get(*at).is_some_and(|token| token == ","));
                }
                *at += 1;
                return;
            }
            "as" => {
                let name = tokens.get(*at).cloned().unwrap_or_default();
                *at += 1;
                return tell(path, name);
            }
            "*" => return tell(path, "*".to_owned()),
            "self" if !path.is_empty() => {}
            token if is_name(token) => path.push(token.to_owned()),
            _ => {
                *at -= 1;
                let name = path.last().cloned().unwrap_or_default();
                return tell(path, name);
            }
        }
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The names and signs of a source, without comments, texts and lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            end_of_comment(rest)
        } else if let Some(length) = end_of_raw_text(rest) {
            length
        } else if first == '"' {
            end_of_text(rest, '"')
        } else if first == '\'' {
            // A character ends with a quote; a lifetime does not.
            let mut chars = rest.chars().skip(1);
            let escaped = chars.next() == Some('\\');
            if escaped || chars.next() == Some('\'') { end_of_text(rest, '\'') } else { 1 + name_length(&rest[1..]) }
        } else if is_name(rest) {
            tokens.push(rest[..name_length(rest)].to_owned());
            name_length(rest)
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() && first != '$' {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn end_of_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a raw text such as `r#"…"#`, when one begins here.
fn end_of_raw_text(text: &str) -> Option<usize> {
    let open = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = open.len() - open.trim_start_matches('#').len();
    let inner = open[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inner.find(&close)?;
    Some(text.len() - inner.len() + end + close.len())
}

fn end_of_text(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
