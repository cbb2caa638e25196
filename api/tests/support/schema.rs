//! The committed schema, walked: every field that can be selected below a type.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, Type, TypeKind, TypeSystemDefinition},
};
use serde_json::Value;

/// The types of the committed schema, as far as a walk needs them.
pub struct Types {
    /// Fields of objects and interfaces.
    pub fields: BTreeMap<String, Vec<Field>>,
    /// Members of input objects.
    pub inputs: BTreeMap<String, Vec<String>>,
    pub enums: BTreeMap<String, Vec<String>>,
    /// Objects of unions and interfaces.
    pub members: BTreeMap<String, Vec<String>>,
}

/// A field's name, its type, and its arguments with their types.
pub type Field = (String, Type, Vec<(String, Type)>);

/// The name of what a type is about.
pub fn named(of: &Type) -> &str {
    match &of.base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => named(inner),
    }
}

impl Types {
    /// Reads the committed schema.
    pub fn read() -> Self {
        // The parser knows no descriptions of the schema itself; it comes last.
        let types_alone =
            include_str!("../../../schema.graphql").split("\n\"\"\"\nA support desk as a log").next().unwrap();
        let document = parse_schema(types_alone).unwrap();
        let mut types =
            Self { fields: BTreeMap::new(), inputs: BTreeMap::new(), enums: BTreeMap::new(), members: BTreeMap::new() };
        for definition in document.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let (name, kind) = (definition.node.name.node.to_string(), definition.node.kind);
            let fields = |fields: Vec<async_graphql::Positioned<async_graphql::parser::types::FieldDefinition>>| {
                let field = |field: async_graphql::Positioned<async_graphql::parser::types::FieldDefinition>| {
                    let arguments = field.node.arguments.iter();
                    let arguments = arguments.map(|a| (a.node.name.node.to_string(), a.node.ty.node.clone())).collect();
                    (field.node.name.node.to_string(), field.node.ty.node, arguments)
                };
                fields.into_iter().map(field).collect()
            };
            match kind {
                TypeKind::Object(object) => {
                    for interface in object.implements {
                        types.members.entry(interface.node.to_string()).or_default().push(name.clone());
                    }
                    types.fields.insert(name, fields(object.fields));
                }
                TypeKind::Interface(interface) => _ = types.fields.insert(name, fields(interface.fields)),
                TypeKind::Union(union) => {
                    types.members.insert(name, union.members.iter().map(|m| m.node.to_string()).collect());
                }
                TypeKind::Enum(values) => {
                    types.enums.insert(name, values.values.iter().map(|v| v.node.value.node.to_string()).collect());
                }
                TypeKind::InputObject(input) => {
                    types.inputs.insert(name, input.fields.iter().map(|f| f.node.name.node.to_string()).collect());
                }
                TypeKind::Scalar => {}
            }
        }
        types
    }

    /// Everything that can be selected below a type, each type once on a path. Fields with required arguments are left out
    /// but at the root, where they are filled in.
    pub fn selection(&self, of: &str, above: &mut BTreeSet<String>, depth: usize) -> String {
        if depth == 0 || !above.insert(of.to_owned()) {
            return String::new();
        }
        let mut parts = vec!["__typename".to_owned()];
        if let Some(members) = self.members.get(of) {
            for member in members {
                let inner = self.selection(member, above, depth);
                if !inner.is_empty() {
                    parts.push(format!("... on {member} {{ {inner} }}"));
                }
            }
        } else {
            for (name, ty, arguments) in self.fields.get(of).into_iter().flatten() {
                if arguments.iter().any(|(_, ty)| !ty.nullable) {
                    continue;
                }
                let inner = named(ty);
                if self.fields.contains_key(inner) || self.members.contains_key(inner) {
                    let below = self.selection(inner, above, depth - 1);
                    if !below.is_empty() {
                        parts.push(format!("{name} {{ {below} }}"));
                    }
                } else {
                    parts.push(name.clone());
                }
            }
        }
        above.remove(of);
        parts.join(" ")
    }
}

/// A selection in two parts, cut between its own fields; deeper when it is one field.
pub fn halves(selection: &str) -> Vec<String> {
    let (mut parts, mut depth, mut part) = (Vec::new(), 0, String::new());
    for word in selection.split_inclusive(' ') {
        depth += word.matches('{').count();
        part.push_str(word);
        depth -= word.matches('}').count();
        let open = depth > 0
            || part.trim_end().ends_with(':')
            || part.trim_end().ends_with("...")
            || part.trim_end().ends_with("on");
        if !open && !part.trim().is_empty() {
            parts.push(std::mem::take(&mut part));
        }
    }
    // `name: field { … }` and `... on Type { … }` come in several words.
    let mut whole: Vec<String> = Vec::new();
    for part in parts {
        match whole.last_mut() {
            Some(last) if part.trim_start().starts_with('{') || last.trim_end().ends_with(" on") => {
                last.push_str(&part)
            }
            _ => whole.push(part),
        }
    }
    if whole.len() <= 1 {
        let Some((head, inner)) = selection.split_once('{') else { return vec![] };
        let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
        return halves(inner).into_iter().map(|half| format!("{head}{{ {half} }}")).collect();
    }
    let rest = whole.split_off(whole.len() / 2);
    vec![whole.concat(), rest.concat()]
}

/// Notes the types of all objects in an answer.
pub fn note_types(value: &Value, seen: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            seen.extend(members.get("__typename").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| note_types(value, seen));
        }
        Value::Array(items) => items.iter().for_each(|value| note_types(value, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
