//! Names of parts of the desk as people read them: by key, by display name, and without case, kinds of blanks and Unicode composition.

use std::fmt::Display;

use docket_core::{desk::Parts, ids::Key};
use unicode_normalization::UnicodeNormalization;

/// The key of the part that a name means, and true; or a free key for a new part of this name, and false. Another name's key is
/// never taken: then it is one from the name's hash.
pub fn key_for_name<K: Ord + Clone + From<Key> + Display, T>(
    parts: &Parts<K, T>,
    name: &str,
    name_of: impl Fn(&T) -> &str,
) -> (K, bool) {
    let plain = K::from(Key::from_name(name));
    if parts.get(&plain).is_some_and(|part| name_of(&part.definition) == name) {
        return (plain, true);
    }
    let live = || parts.iter().filter(|(_, part)| !part.retired);
    let exactly = live().find(|(key, part)| name_of(&part.definition) == name || key.to_string() == name);
    let read = || {
        let wanted = as_read(name);
        live().find(|(key, part)| as_read(name_of(&part.definition)) == wanted || key.to_string() == wanted)
    };
    if let Some((key, _)) = exactly.or_else(read) {
        return (key.clone(), true);
    }
    if !parts.contains_key(&plain) {
        return (plain, false);
    }
    let hashed = K::from(Key::from_hash(name));
    let there = parts.contains_key(&hashed);
    (hashed, there)
}

/// What two names that people read as one have in common.
fn as_read(name: &str) -> String {
    let composed: String = name.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use docket_core::{
        desk::{Desk, TeamDefined, TeamDefinition, TeamRetired},
        ids::{Position, TeamKey},
    };

    use super::*;

    fn desk(teams: &[(&str, &str)]) -> Desk {
        let mut desk = Desk::default();
        for (key, name) in teams {
            let team = TeamDefinition { key: TeamKey::try_new(key).unwrap(), name: (*name).into() };
            desk.evolve(&TeamDefined { team }.into(), Position::new(1));
        }
        desk
    }

    fn found(desk: &Desk, name: &str) -> (String, bool) {
        let (key, there) = key_for_name(&desk.teams, name, |team| team.name.as_str());
        (key.to_string(), there)
    }

    #[test]
    fn a_part_is_found_by_its_key_and_by_its_name_as_people_read_it() {
        let desk = desk(&[("front", "Front office"), ("cafe", "Caf\u{e9}"), ("two", "Second\u{a0}line")]);
        for (name, key) in [
            ("Front office", "front"),
            ("front", "front"),
            ("FRONT  Office", "front"),
            ("Front\u{a0}office", "front"),
            ("Cafe\u{301}", "cafe"),
            ("second line", "two"),
        ] {
            assert_eq!(found(&desk, name), (key.to_owned(), true), "{name}");
        }
    }

    #[test]
    fn another_name_gets_another_key_and_keeps_it() {
        let mut desk = desk(&[("a-b", "A+B")]);
        let (key, there) = found(&desk, "A B");
        assert!(!there && key != "a-b", "{key}");
        let team = TeamDefinition { key: key.parse().unwrap(), name: "A B".into() };
        desk.evolve(&TeamDefined { team }.into(), Position::new(2));
        assert_eq!(found(&desk, "A B"), (key, true));
        assert_eq!(found(&desk, "A+B"), ("a-b".into(), true));
    }

    #[test]
    fn what_was_retired_is_found_by_its_own_name_alone() {
        let mut desk = desk(&[("front", "Front")]);
        desk.evolve(&TeamRetired { key: TeamKey::try_new("front").unwrap() }.into(), Position::new(2));
        assert_eq!(found(&desk, "Front"), ("front".into(), true));
        assert!(!found(&desk, "FRONT").1);
    }
}
