//! Dependencies run api → projections → store → core, never back, and what the design leaves out stays out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate of the product may depend on, of the workspace.
const LAYERS: [(&str, &[&str]); 4] = [
    ("docket-core", &[]),
    ("docket-store", &["docket-core"]),
    ("docket-projections", &["docket-core", "docket-store"]),
    ("docket-api", &["docket-core", "docket-store", "docket-projections"]),
];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let of = |package: &cargo_metadata::Package| {
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        normal.map(|dependency| dependency.name.clone()).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), of(package))).collect()
}

#[test]
fn dependencies_point_one_way() {
    let dependencies = dependencies();
    for (name, allowed) in LAYERS {
        let ours: Vec<&String> = dependencies[name].iter().filter(|d| d.starts_with("docket-")).collect();
        for dependency in ours {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_rules_need_no_runtime_no_files_and_no_randomness_and_only_the_edge_knows_graphql() {
    let dependencies = dependencies();
    for foreign in ["tokio", "futures-util", "sled", "getrandom", "fastrand", "tracing", "axum"] {
        assert!(!dependencies["docket-core"].contains(foreign), "docket-core must not depend on {foreign}");
    }
    for name in ["docket-core", "docket-store", "docket-projections"] {
        for edge in ["async-graphql", "axum", "clap", "reqwest"] {
            assert!(!dependencies[name].contains(edge), "{name} must not depend on {edge}");
        }
    }
    for name in ["docket-core", "docket-projections", "docket-api"] {
        assert!(!dependencies[name].contains("sled"), "only the store knows sled");
    }
}
