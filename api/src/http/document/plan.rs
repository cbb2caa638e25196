//! What an operation selects, decided before it runs (specification, sections 6.3.2 CollectFields and 6.4.1
//! CoerceArgumentValues).
//!
//! From it come two things: the document that async-graphql executes, in which fields of one response key are merged, so
//! that a mutation that stands there twice runs once; and the form of the answer, for [`super::complete`].

use std::collections::HashMap;

use apollo_compiler::{
    ExecutableDocument, Node,
    ast::{self, Type, Value},
    collections::HashSet,
    executable::{DirectiveList, Field, InlineFragment, Operation, Selection, SelectionSet},
    schema::ExtendedType,
};
use async_graphql::{Name, Pos, Positioned, Value as Const, Variables, indexmap::IndexMap, parser::types as executed};
use async_graphql_value::{Number, Value as Literal};

use super::rules::{Rules, position};

/// Response key of a hidden `__typename`, by which an object of a union or interface tells what it is. No client can ask
/// for this key, because it is no name.
pub const MARK: &str = "@type";

/// What is decided about one operation.
pub struct Plan {
    /// For async-graphql.
    pub document: executed::ExecutableDocument,
    /// For the answer.
    pub root: Fields,
}

/// The response keys of an object, in order.
pub struct Fields(pub Vec<(Name, Form)>);

/// What a value must look like.
pub struct Form {
    pub nullable: bool,
    pub kind: Kind,
}

pub enum Kind {
    /// A scalar or an enum.
    Leaf,
    List(Box<Form>),
    Object(Fields),
    /// By the name of the object's type.
    Abstract(HashMap<Name, Fields>),
}

/// What a variable decides about the selections, beside its value.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    Absent,
    Present,
    /// The value of a condition of `@skip` or `@include`.
    Condition(bool),
}

/// The variables that are conditions of `@skip` or `@include`.
pub fn conditions(document: &ExecutableDocument) -> HashSet<Name> {
    let mut found = HashSet::default();
    let fragments = document.fragments.values().map(|fragment| &fragment.selection_set);
    for set in document.operations.iter().map(|operation| &operation.selection_set).chain(fragments) {
        find_conditions(set, &mut found);
    }
    found
}

/// What the variables decide. Equal decisions have the same plan.
pub fn decisions(conditions: &HashSet<Name>, operation: &Operation, variables: &Variables) -> Vec<Decision> {
    let decisions = operation.variables.iter().map(|variable| match variables.get(variable.name.as_str()) {
        None => Decision::Absent,
        Some(Const::Boolean(value)) if conditions.contains(variable.name.as_str()) => Decision::Condition(*value),
        Some(_) => Decision::Present,
    });
    decisions.collect()
}

fn find_conditions(set: &SelectionSet, found: &mut HashSet<Name>) {
    for selection in &set.selections {
        let nested = match selection {
            Selection::Field(field) => Some(&field.selection_set),
            Selection::InlineFragment(inline) => Some(&inline.selection_set),
            Selection::FragmentSpread(_) => None,
        };
        for directive in selection.directives().iter() {
            let condition = directive.specified_argument_by_name("if").and_then(|value| value.as_variable());
            found.extend(condition.map(|name| Name::new(name.as_str())));
        }
        if let Some(nested) = nested {
            find_conditions(nested, found);
        }
    }
}

/// Plans an operation of a valid document.
pub fn make(rules: &Rules, document: &ExecutableDocument, operation: &Operation, variables: &Variables) -> Plan {
    let planner = Planner { rules, document, variables };
    let root = operation.selection_set.ty.as_str();
    let sets = [&operation.selection_set];
    let definitions = operation.variables.iter().map(|variable| {
        let at = position(variable, &document.sources);
        let ty = executed::Type::new(&variable.ty.to_string())?;
        // The default is among the coerced values already.
        let definition = executed::VariableDefinition {
            name: Positioned::new(Name::new(variable.name.as_str()), at),
            var_type: Positioned::new(ty, at),
            directives: Vec::new(),
            default_value: None,
        };
        Some(Positioned::new(definition, at))
    });
    let definition = executed::OperationDefinition {
        ty: match operation.operation_type {
            ast::OperationType::Query => executed::OperationType::Query,
            ast::OperationType::Mutation => executed::OperationType::Mutation,
            ast::OperationType::Subscription => executed::OperationType::Subscription,
        },
        variable_definitions: definitions.flatten().collect(),
        directives: Vec::new(),
        selection_set: planner.selection_set(planner.of_object(root, &sets), Pos::default()),
    };
    let operations = executed::DocumentOperations::Single(Positioned::new(definition, Pos::default()));
    Plan {
        document: executed::ExecutableDocument { operations, fragments: HashMap::new() },
        root: planner.fields(root, &sets),
    }
}

/// The names of a subscription's root fields, one for each response key; `None` when variables decide about them.
pub fn root_of_subscription<'a>(
    rules: &Rules,
    document: &'a ExecutableDocument,
    operation: &'a Operation,
) -> Option<Vec<&'a str>> {
    let set = &operation.selection_set;
    let variables = Variables::default();
    let planner = Planner { rules, document, variables: &variables };
    let (mut seen, mut groups) = (HashSet::default(), IndexMap::new());
    if planner.depends_on_variables(set, &mut HashSet::default()) {
        return None;
    }
    planner.collect_into(&set.ty, set, &mut seen, &mut groups);
    Some(groups.values().filter_map(|group: &Group<'a>| Some(group.first()?.name.as_str())).collect())
}

/// A literal for async-graphql, with what its variables stand for. `None`: a variable that was not given, which leaves out
/// the argument or the input field that it stands for.
pub fn literal(value: &Value, variable: &dyn Fn(&str) -> Option<Literal>) -> Option<Literal> {
    Some(match value {
        Value::Null => Literal::Null,
        Value::Enum(name) => Literal::Enum(Name::new(name.as_str())),
        Value::Variable(name) => return variable(name.as_str()),
        Value::String(text) => Literal::String(text.clone()),
        Value::Boolean(value) => Literal::Boolean(*value),
        Value::Float(float) => number(float.as_str()),
        Value::Int(int) => number(int.as_str()),
        // An item cannot be left out, it is null then (3.11).
        Value::List(items) => {
            Literal::List(items.iter().map(|item| literal(item, variable).unwrap_or_default()).collect())
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.filter_map(|(name, value)| Some((Name::new(name.as_str()), literal(value, variable)?)));
            Literal::Object(fields.collect())
        }
    })
}

fn number(text: &str) -> Literal {
    let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    let number = whole.or_else(|| Number::from_f64(text.parse().ok()?));
    number.map_or(Literal::Null, Literal::Number)
}

/// Fields of one response key.
type Group<'a> = Vec<&'a Node<Field>>;

struct Planner<'p, 'a> {
    rules: &'p Rules,
    document: &'a ExecutableDocument,
    variables: &'p Variables,
}

impl<'a> Planner<'_, 'a> {
    /// False when `@skip` or `@include` leave a selection out.
    fn included(&self, directives: &DirectiveList) -> bool {
        directives.iter().all(|directive| {
            let wanted = match directive.name.as_str() {
                "skip" => false,
                "include" => true,
                _ => return true,
            };
            let given = directive.specified_argument_by_name("if").map(|value| match value.as_variable() {
                Some(name) => self.variables.get(name.as_str()) == Some(&Const::Boolean(true)),
                None => value.to_bool() == Some(true),
            });
            given.unwrap_or(wanted) == wanted
        })
    }

    /// True when a variable decides about a selection of this set, fields below it not looked at.
    fn depends_on_variables(&self, set: &'a SelectionSet, seen: &mut HashSet<&'a str>) -> bool {
        set.selections.iter().any(|selection| {
            let conditions = selection.directives().iter().filter_map(|one| one.specified_argument_by_name("if"));
            let mut variables = conditions.filter_map(|value| value.as_variable());
            variables.next().is_some()
                || self.fragment(selection, seen).is_some_and(|(_, set)| self.depends_on_variables(set, seen))
        })
    }

    /// The selection set of a fragment and the type that it is for; `None` when it is left out or was there before.
    fn fragment(
        &self,
        selection: &'a Selection,
        seen: &mut HashSet<&'a str>,
    ) -> Option<(Option<&'a str>, &'a SelectionSet)> {
        match selection {
            Selection::Field(_) => None,
            Selection::InlineFragment(inline) => {
                let inline: &InlineFragment = inline;
                Some((inline.type_condition.as_ref().map(|name| name.as_str()), &inline.selection_set))
            }
            Selection::FragmentSpread(spread) => {
                let fragment = self.document.fragments.get(&spread.fragment_name)?;
                let set = &fragment.selection_set;
                seen.insert(fragment.name.as_str()).then_some((Some(set.ty.as_str()), set))
            }
        }
    }

    /// The fields of an object of type `ty`, by response key in the order of the document.
    fn collect(&self, ty: &str, sets: &[&'a SelectionSet]) -> IndexMap<&'a str, Group<'a>> {
        let (mut groups, mut seen): (IndexMap<&'a str, Group<'a>>, _) = (IndexMap::new(), HashSet::default());
        for set in sets {
            self.collect_into(ty, set, &mut seen, &mut groups);
        }
        groups
    }

    fn collect_into(
        &self,
        ty: &str,
        set: &'a SelectionSet,
        seen: &mut HashSet<&'a str>,
        groups: &mut IndexMap<&'a str, Group<'a>>,
    ) {
        for selection in set.selections.iter().filter(|selection| self.included(selection.directives())) {
            if let Selection::Field(field) = selection {
                groups.entry(field.response_key().as_str()).or_default().push(field);
            } else if let Some((condition, set)) = self.fragment(selection, seen)
                && condition.is_none_or(|condition| self.applies(condition, ty))
            {
                self.collect_into(ty, set, seen, groups);
            }
        }
    }

    /// A fragment for `condition` applies to an object of type `ty`.
    fn applies(&self, condition: &str, ty: &str) -> bool {
        condition == ty || self.rules.schema.is_subtype(condition, ty)
    }

    // The form of the answer.

    fn fields(&self, ty: &str, sets: &[&'a SelectionSet]) -> Fields {
        let groups = self.collect(ty, sets);
        let fields = groups.into_iter().filter_map(|(key, group)| {
            let first = group.first()?;
            let sets: Vec<_> = group.iter().map(|field| &field.selection_set).collect();
            let defined = self.rules.schema.type_field(ty, &first.name);
            let defined = defined.map_or(&first.definition.ty, |defined| &defined.ty);
            Some((Name::new(key), self.form(defined, &sets)))
        });
        Fields(fields.collect())
    }

    fn form(&self, ty: &Type, sets: &[&'a SelectionSet]) -> Form {
        let nullable = !ty.is_non_null();
        if ty.is_list() {
            return Form { nullable, kind: Kind::List(Box::new(self.form(ty.item_type(), sets))) };
        }
        let name = ty.inner_named_type().as_str();
        let kind = match self.rules.schema.types.get(name) {
            Some(ExtendedType::Object(_)) => Kind::Object(self.fields(name, sets)),
            Some(ExtendedType::Interface(_) | ExtendedType::Union(_)) => {
                let possible = self.rules.possible(name);
                Kind::Abstract(possible.iter().map(|ty| (Name::new(ty), self.fields(ty, sets))).collect())
            }
            Some(ExtendedType::Scalar(_) | ExtendedType::Enum(_) | ExtendedType::InputObject(_)) | None => Kind::Leaf,
        };
        Form { nullable, kind }
    }

    // The document that is executed.

    fn selection_set(&self, items: Vec<executed::Selection>, at: Pos) -> Positioned<executed::SelectionSet> {
        let items = items.into_iter().map(|item| Positioned::new(item, at)).collect();
        Positioned::new(executed::SelectionSet { items }, at)
    }

    fn of_object(&self, ty: &str, sets: &[&'a SelectionSet]) -> Vec<executed::Selection> {
        let groups = self.collect(ty, sets);
        groups.values().filter_map(|group| self.field(group)).map(executed::Selection::Field).collect()
    }

    /// The selections of a union or interface. Its own fields stay at its own level, where async-graphql counts their
    /// complexity once; the rest goes into one fragment for each type that the document names.
    fn of_abstract(&self, ty: &str, sets: &[&'a SelectionSet]) -> Vec<executed::Selection> {
        let mut own: IndexMap<&'a str, Group<'a>> = IndexMap::new();
        let mut narrower: IndexMap<&'a str, Vec<&'a SelectionSet>> = IndexMap::new();
        let mut seen = HashSet::default();
        for set in sets {
            self.sort(ty, set, &mut seen, &mut own, &mut narrower);
        }
        let mut items: Vec<_> =
            own.values().filter_map(|group: &Group<'a>| self.field(group)).map(executed::Selection::Field).collect();
        for (condition, sets) in narrower {
            let mut inner = match self.rules.schema.types.get(condition) {
                Some(ExtendedType::Object(_)) => self.of_object(condition, &sets),
                _ => self.of_abstract(condition, &sets),
            };
            // What every object is asked for anyway is not asked for twice.
            inner.retain(|selection| match selection {
                executed::Selection::Field(field) => {
                    let leaf = field.node.selection_set.node.items.is_empty();
                    !(leaf && own.contains_key(field.node.response_key().node.as_str()))
                }
                executed::Selection::InlineFragment(_) | executed::Selection::FragmentSpread(_) => true,
            });
            if !inner.is_empty() {
                let on = Positioned::new(Name::new(condition), Pos::default());
                let fragment = executed::InlineFragment {
                    type_condition: Some(Positioned::new(executed::TypeCondition { on }, Pos::default())),
                    directives: Vec::new(),
                    selection_set: self.selection_set(inner, Pos::default()),
                };
                items.push(executed::Selection::InlineFragment(Positioned::new(fragment, Pos::default())));
            }
        }
        items
    }

    fn sort(
        &self,
        ty: &str,
        set: &'a SelectionSet,
        seen: &mut HashSet<&'a str>,
        own: &mut IndexMap<&'a str, Group<'a>>,
        narrower: &mut IndexMap<&'a str, Vec<&'a SelectionSet>>,
    ) {
        for selection in set.selections.iter().filter(|selection| self.included(selection.directives())) {
            if let Selection::Field(field) = selection {
                own.entry(field.response_key().as_str()).or_default().push(field);
            } else if let Some((condition, set)) = self.fragment(selection, seen) {
                match condition {
                    Some(condition) if condition != ty => narrower.entry(condition).or_default().push(set),
                    Some(_) | None => self.sort(ty, set, seen, own, narrower),
                }
            }
        }
    }

    fn field(&self, group: &Group<'a>) -> Option<Positioned<executed::Field>> {
        let first = group.first()?;
        let at = position(first, &self.document.sources);
        let here = |name: &str| Positioned::new(Name::new(name), at);
        let variable = |name: &str| self.variables.get(name).map(|_| Literal::Variable(Name::new(name)));
        let arguments = first.arguments.iter().filter_map(|argument| {
            let value = literal(&argument.value, &variable)?;
            let at = position(&argument.value, &self.document.sources);
            Some((here(argument.name.as_str()), Positioned::new(value, at)))
        });
        let sets: Vec<_> = group.iter().map(|field| &field.selection_set).collect();
        let name = first.definition.ty.inner_named_type().as_str();
        let (mut items, marked) = match self.rules.schema.types.get(name) {
            Some(ExtendedType::Object(_)) => {
                let items = self.of_object(name, &sets);
                // An object of which nothing is selected is still there.
                let empty = items.is_empty();
                (items, empty)
            }
            Some(ExtendedType::Interface(_) | ExtendedType::Union(_)) => (self.of_abstract(name, &sets), true),
            Some(ExtendedType::Scalar(_) | ExtendedType::Enum(_) | ExtendedType::InputObject(_)) | None => {
                (Vec::new(), false)
            }
        };
        if marked {
            let mark = executed::Field {
                alias: Some(here(MARK)),
                name: here("__typename"),
                arguments: Vec::new(),
                directives: Vec::new(),
                selection_set: self.selection_set(Vec::new(), at),
            };
            items.push(executed::Selection::Field(Positioned::new(mark, at)));
        }
        let field = executed::Field {
            alias: first.alias.as_ref().map(|alias| here(alias.as_str())),
            name: here(first.name.as_str()),
            arguments: arguments.collect(),
            directives: Vec::new(),
            selection_set: self.selection_set(items, at),
        };
        Some(Positioned::new(field, at))
    }
}
