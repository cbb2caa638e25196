//! The committed schema is the one that is served. Regenerate it with `docket schema > schema.graphql`.

#[test]
fn the_committed_schema_is_the_one_that_is_served() {
    let committed = include_str!("../../schema.graphql");
    assert!(
        committed.trim_end() == docket_api::graphql::sdl().trim_end(),
        "schema.graphql is out of date: run `cargo run -- schema > schema.graphql` and look at the difference"
    );
}
