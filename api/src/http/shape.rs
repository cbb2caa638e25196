//! How much a document asks for, told before it is validated: async-graphql walks fragments again at every spread, so a
//! kilobyte of chained fragments, each spread twice, would keep a core busy for minutes.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned,
    parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet},
};

/// Fields of the document with all fragments put in their places.
const MAX_SELECTIONS: u64 = 800;
/// Fields that are given another name.
const MAX_ALIASES: u64 = 50;
/// Mutations in one operation: each is a commit.
const MAX_MUTATIONS: u64 = 20;
/// Directives on one field.
const MAX_DIRECTIVES: usize = 5;

/// Why a document asks for too much; `None` when it does not.
pub fn excess(document: &ExecutableDocument) -> Option<String> {
    let mut fragments = Fragments { document, counted: HashMap::new() };
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        let counts = fragments.count(&operation.selection_set);
        if counts.selections > MAX_SELECTIONS {
            return Some(format!("the operation selects more than {MAX_SELECTIONS} fields, fragments put in place"));
        }
        if counts.aliases > MAX_ALIASES {
            return Some(format!("the operation has more than {MAX_ALIASES} aliases"));
        }
        if counts.directives > MAX_DIRECTIVES {
            return Some(format!("a field has more than {MAX_DIRECTIVES} directives"));
        }
        let root = fragments.count_root(&operation.selection_set);
        if operation.ty == OperationType::Mutation && root > MAX_MUTATIONS {
            return Some(format!("the operation has more than {MAX_MUTATIONS} mutations"));
        }
    }
    None
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    selections: u64,
    aliases: u64,
    directives: usize,
}

impl Counts {
    const fn add(&mut self, other: Self) {
        self.selections = self.selections.saturating_add(other.selections);
        self.aliases = self.aliases.saturating_add(other.aliases);
        if other.directives > self.directives {
            self.directives = other.directives;
        }
    }
}

struct Fragments<'a> {
    document: &'a ExecutableDocument,
    /// Each fragment is counted once. One that is being counted stands at nothing: circles are for the validation.
    counted: HashMap<&'a Name, Counts>,
}

impl<'a> Fragments<'a> {
    fn count(&mut self, set: &'a Positioned<SelectionSet>) -> Counts {
        let mut counts = Counts::default();
        for selection in &set.node.items {
            match &selection.node {
                Selection::Field(field) => {
                    counts.add(Counts {
                        selections: 1,
                        aliases: u64::from(field.node.alias.is_some()),
                        directives: field.node.directives.len(),
                    });
                    counts.add(self.count(&field.node.selection_set));
                }
                Selection::InlineFragment(inline) => counts.add(self.count(&inline.node.selection_set)),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let counted = match self.counted.get(name) {
                        Some(counted) => *counted,
                        None => match self.document.fragments.get_key_value(name) {
                            Some((name, fragment)) => {
                                self.counted.insert(name, Counts::default());
                                let counted = self.count(&fragment.node.selection_set);
                                self.counted.insert(name, counted);
                                counted
                            }
                            None => Counts::default(),
                        },
                    };
                    counts.add(counted);
                }
            }
        }
        counts
    }

    /// Fields right at the root.
    fn count_root(&self, set: &SelectionSetAt) -> u64 {
        set.node
            .items
            .iter()
            .map(|selection| match &selection.node {
                Selection::Field(_) => 1,
                Selection::InlineFragment(inline) => self.count_root(&inline.node.selection_set),
                Selection::FragmentSpread(spread) => {
                    // Bounded above by the counted selections, which were checked before.
                    self.counted.get(&spread.node.fragment_name.node).map_or(0, |counts| counts.selections)
                }
            })
            .sum()
    }
}

type SelectionSetAt = Positioned<SelectionSet>;

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn excess_of(query: &str) -> Option<String> {
        excess(&parse_query(query).unwrap())
    }

    #[test]
    fn chained_fragments_that_double_are_refused_at_once() {
        for depth in [10, 20, 30, 60] {
            let mut query = String::from("{ ...f0 }\n");
            for n in 0..depth {
                query.push_str(&format!("fragment f{n} on Query {{ ...f{} ...f{} }}\n", n + 1, n + 1));
            }
            query.push_str(&format!("fragment f{depth} on Query {{ __typename }}"));
            assert!(excess_of(&query).is_some_and(|why| why.contains("fields")), "2^{depth}");
        }
    }

    #[test]
    fn a_circle_of_fragments_ends() {
        assert_eq!(excess_of("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"), None);
    }

    #[test]
    fn too_many_fields_aliases_mutations_and_directives_are_refused() {
        let many = |n: usize, part: &dyn Fn(usize) -> String| (0..n).map(part).collect::<Vec<_>>().join(" ");
        assert_eq!(excess_of(&format!("{{ {} }}", many(800, &|_| "__typename".into()))), None);
        assert!(excess_of(&format!("{{ {} }}", many(801, &|_| "__typename".into()))).is_some());
        assert!(excess_of(&format!("{{ {} }}", many(51, &|n| format!("a{n}: __typename")))).is_some());
        assert!(excess_of(&format!("mutation {{ {} }}", many(21, &|_| "x".into()))).is_some());
        assert!(excess_of(&format!("{{ x {} }}", many(6, &|_| "@skip(if: false)".into()))).is_some());
    }
}
