//! Validation of documents (specification, section 5): the rules of apollo-compiler, and those that it leaves out.

use std::collections::HashMap;

use apollo_compiler::{
    ExecutableDocument, Node, Schema,
    ast::{Directive, DirectiveDefinition, InputValueDefinition, Type, Value, VariableDefinition},
    collections::HashSet,
    executable::{DirectiveList, Operation, Selection, SelectionSet},
    parser::SourceMap,
    schema::{ExtendedType, ObjectType},
    validation::Valid,
};
use async_graphql::{InputType, Pos, ServerError};

use super::{plan, removed::with_successor};
use crate::graphql::scalars::{BigInt, DateTime, Duration};

/// What the introspection of today's clients asks for and apollo-compiler does not know: the field of the draft about
/// input objects of which exactly one field is given.
const ONE_OF: &str = "type Query { isOneOf: Boolean }";

/// The schema as validation needs it.
pub struct Rules {
    pub schema: Valid<Schema>,
    possible: HashMap<String, Vec<String>>,
}

impl Rules {
    /// The rules of a schema in its own language.
    pub fn of(sdl: &str) -> Self {
        let mut schema = match Schema::parse(sdl, "schema.graphql") {
            Ok(schema) => schema,
            Err(broken) => broken.partial,
        };
        let one_of = Schema::parse(ONE_OF, "one-of.graphql").ok();
        let one_of = one_of.as_ref().and_then(|schema| schema.type_field("Query", "isOneOf").ok());
        if let (Some(ExtendedType::Object(meta)), Some(one_of)) = (schema.types.get_mut("__Type"), one_of) {
            meta.make_mut().fields.insert(one_of.name.clone(), one_of.clone());
        }
        // A test says that it is valid.
        let schema = schema.validate().unwrap_or_else(|broken| Valid::assume_valid(broken.partial));
        let objects = |kept: &dyn Fn(&ObjectType) -> bool| {
            let types = schema.types.values().filter_map(|ty| ty.as_object());
            types.filter(|object| kept(object)).map(|object| object.name.to_string()).collect()
        };
        let possible = schema.types.iter().filter_map(|(name, ty)| match ty {
            ExtendedType::Interface(_) => {
                Some((name.to_string(), objects(&|object| object.implements_interfaces.contains(name))))
            }
            ExtendedType::Union(union) => {
                Some((name.to_string(), objects(&|object| union.members.contains(&object.name))))
            }
            ExtendedType::Scalar(_)
            | ExtendedType::Object(_)
            | ExtendedType::Enum(_)
            | ExtendedType::InputObject(_) => None,
        });
        let possible = possible.collect();
        Self { schema, possible }
    }

    /// The types of objects that may stand where a union or interface is promised.
    pub fn possible(&self, name: &str) -> &[String] {
        self.possible.get(name).map_or(&[], Vec::as_slice)
    }

    /// Validates a document.
    pub fn validate(&self, text: String) -> Result<Valid<ExecutableDocument>, Vec<ServerError>> {
        let (document, mut errors) =
            match ExecutableDocument::parse_and_validate(&self.schema, text, "document.graphql") {
                Ok(document) => (document, Vec::new()),
                Err(broken) => {
                    let errors = broken.errors.iter().filter(|found| !stricter(found.error.unstable_error_name()));
                    let errors = errors.map(|found| {
                        let found = found.to_json();
                        let mut error = ServerError::new(with_successor(found.message), None);
                        let places = found.locations.iter();
                        error.locations = places.map(|at| Pos { line: at.line, column: at.column }).collect();
                        error
                    });
                    let errors: Vec<_> = errors.collect();
                    if !errors.is_empty() {
                        return Err(errors);
                    }
                    (Valid::assume_valid(broken.partial), errors)
                }
            };
        for operation in document.operations.iter() {
            let mut check = Check { rules: self, document: &document, operation, errors, seen: HashSet::default() };
            check.operation();
            errors = check.errors;
        }
        if errors.is_empty() { Ok(document) } else { Err(errors) }
    }

    /// What a literal or the value of a variable is to one of Docket's own scalars: `None` when it is good.
    pub fn wrong_scalar(scalar: &str, value: async_graphql::Value) -> Option<String> {
        match scalar {
            "DateTime" => reason(DateTime::parse(Some(value))),
            "BigInt" => reason(BigInt::parse(Some(value))),
            "Duration" => reason(Duration::parse(Some(value))),
            _ => None,
        }
    }
}

/// What apollo-compiler asks of subscriptions goes beyond the specification of 2021 and graphql-js: their rule is below.
fn stricter(rule: Option<&str>) -> bool {
    matches!(
        rule,
        Some(
            "SubscriptionUsesMultipleFields" | "SubscriptionUsesConditionalSelection" | "SubscriptionUsesIntrospection"
        )
    )
}

fn reason<T: InputType>(parsed: Result<T, async_graphql::InputValueError<T>>) -> Option<String> {
    parsed.err().map(|error| error.into_server_error(Pos::default()).message)
}

/// Where a node stands in its document.
pub fn position<T>(node: &Node<T>, sources: &SourceMap) -> Pos {
    let place = node.line_column_range(sources);
    place.map(|place| Pos { line: place.start.line, column: place.start.column }).unwrap_or_default()
}

/// What apollo-compiler leaves out, for one operation and the fragments that it reaches.
struct Check<'a> {
    rules: &'a Rules,
    document: &'a ExecutableDocument,
    operation: &'a Operation,
    errors: Vec<ServerError>,
    seen: HashSet<&'a str>,
}

impl<'a> Check<'a> {
    fn operation(&mut self) {
        for variable in &self.operation.variables {
            if let Some(value) = &variable.default_value {
                self.value(&variable.ty, value, false);
            }
            self.directives(&variable.directives);
        }
        self.directives(&self.operation.directives);
        self.set(&self.operation.selection_set);
        if self.operation.is_subscription() {
            self.subscription();
        }
    }

    /// Single Root Field (5.2.3.1).
    fn subscription(&mut self) {
        let operation = self.operation;
        let message = match plan::root_of_subscription(self.rules, self.document, operation) {
            Some(roots) if roots.len() > 1 => "a subscription has one root field: make several of them",
            Some(roots) if roots.iter().any(|name| name.starts_with("__")) => {
                "the root field of a subscription is none of introspection"
            }
            Some(_) => return,
            None => "the root field of a subscription does not depend on a variable",
        };
        self.errors.push(ServerError::new(message, None));
    }

    fn set(&mut self, set: &'a SelectionSet) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.definition.arguments, &field.arguments);
                    self.directives(&field.directives);
                    self.set(&field.selection_set);
                }
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives);
                    self.set(&inline.selection_set);
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives);
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                        && self.seen.insert(fragment.name.as_str())
                    {
                        self.directives(&fragment.directives);
                        self.set(&fragment.selection_set);
                    }
                }
            }
        }
    }

    fn directives(&mut self, directives: &'a DirectiveList) {
        for directive in directives.iter() {
            let directive: &Directive = directive;
            let defined: Option<&Node<DirectiveDefinition>> =
                self.rules.schema.directive_definitions.get(&directive.name);
            if let Some(defined) = defined {
                self.arguments(&defined.arguments, &directive.arguments);
            }
        }
    }

    fn arguments(&mut self, defined: &[Node<InputValueDefinition>], given: &'a [Node<apollo_compiler::ast::Argument>]) {
        for argument in given {
            if let Some(definition) = defined.iter().find(|definition| definition.name == argument.name) {
                self.value(&definition.ty, &argument.value, definition.default_value.is_some());
            }
        }
    }

    fn wrong(&mut self, node: &Node<Value>, message: String) {
        let at = position(node, &self.document.sources);
        self.errors.push(ServerError::new(message, Some(at)));
    }

    fn value(&mut self, ty: &Type, value: &'a Node<Value>, has_default: bool) {
        if let Value::Variable(name) = &**value {
            let variable = self.operation.variables.iter().find(|variable| variable.name == *name);
            if let Some(variable) = variable
                && !usage_allowed(variable, ty, has_default)
            {
                let message =
                    format!("variable ${name} is of type {}, and {ty} is expected here: change its type", variable.ty);
                self.wrong(value, message);
            }
            return;
        }
        if value.is_null() {
            return;
        }
        if ty.is_list() {
            // One value stands for a list of one (3.11).
            let items = value.as_list().unwrap_or(std::slice::from_ref(value));
            items.iter().for_each(|item| self.value(ty.item_type(), item, false));
            return;
        }
        match self.rules.schema.types.get(ty.inner_named_type()) {
            Some(ExtendedType::InputObject(object)) => {
                let Value::Object(fields) = &**value else { return };
                for (at, (name, field)) in fields.iter().enumerate() {
                    // Input Object Field Uniqueness (5.6.3).
                    if fields[..at].iter().any(|(before, _)| before == name) {
                        self.wrong(field, format!("the input field {name} is given twice: give it once"));
                    }
                    if let Some(definition) = object.fields.get(name) {
                        self.value(&definition.ty, field, definition.default_value.is_some());
                    }
                }
            }
            Some(ExtendedType::Scalar(scalar)) if !scalar.is_built_in() => {
                let literal = plan::literal(value, &|_| None).unwrap_or_default();
                let literal = literal.into_const().unwrap_or_default();
                // Its digits are what counts: `-0` has a sign, though the number that it stands for has none.
                let signed = matches!(&**value, Value::Int(int) if int.as_str().starts_with('-'));
                if scalar.name == "BigInt" && signed {
                    self.wrong(value, "this is no BigInt: it has no sign".into());
                } else if let Some(why) = Rules::wrong_scalar(&scalar.name, literal) {
                    self.wrong(value, format!("this is no {}: {why}", scalar.name));
                }
            }
            _ => {}
        }
    }
}

/// All Variable Usages Are Allowed (5.8.5), also inside of lists and input objects, where apollo-compiler does not look.
fn usage_allowed(variable: &VariableDefinition, expected: &Type, has_default: bool) -> bool {
    if expected.is_non_null() && !variable.ty.is_non_null() {
        let own_default = variable.default_value.as_ref().is_some_and(|value| !value.is_null());
        return (own_default || has_default) && variable.ty.is_assignable_to(&expected.clone().nullable());
    }
    variable.ty.is_assignable_to(expected)
}
