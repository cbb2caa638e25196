//! How events are declared: payloads, each with its stored name and version, and one enum over those of a kind of stream.
//!
//! What belongs here is the form of declarations, and no event itself: every file with events imports this one, and this
//! one imports none of them.

use serde::{de::MapAccess, ser::SerializeMap};

/// What an event carries, stored under a name and a version.
pub(crate) trait Payload {
    /// Name as it is stored. A payload and its variant of the family's enum are both called so.
    const NAME: &'static str;
    /// The present version.
    const VERSION: u16;
}

/// Events of one kind of stream.
pub trait EventFamily: Sized {
    /// All types of the family with their current versions.
    const TYPES: &'static [(&'static str, u16)];

    /// Stored name and version of this event's type.
    fn type_version(&self) -> (&'static str, u16);

    /// Writes the payload as the entry `data`.
    ///
    /// # Errors
    /// Those of the serializer.
    fn write_data<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;

    /// Reads the payload of this type and version as the next value; `None` when the type is of another family.
    ///
    /// # Errors
    /// When the payload does not have the form of its type.
    fn read_data<'de, A: MapAccess<'de>>(type_name: &str, version: u16, map: &mut A) -> Result<Option<Self>, A::Error>;
}

/// Declares payloads: for each a type, with the name and version that it is stored under.
macro_rules! event_payloads {
    ($($(#[$doc:meta])* $name:ident = $version:literal {
        $($(#[$field_doc:meta])* $field:ident: $field_type:ty,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $field_type,)* }

        impl $crate::event::family::Payload for $name {
            const NAME: &'static str = stringify!($name);
            const VERSION: u16 = $version;
        }
    )*};
}
pub(crate) use event_payloads;

/// Declares the enum of a family over payloads that were declared elsewhere.
macro_rules! event_enum {
    ($(#[$family_doc:meta])* $family:ident { $($name:ident,)* }) => {
        $(#[$family_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $family {$(
            #[doc = concat!("See [`", stringify!($name), "`].")]
            $name($name),
        )*}

        $(
            impl From<$name> for $family {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )*

        impl $crate::event::family::EventFamily for $family {
            const TYPES: &'static [(&'static str, u16)] = &[$((
                <$name as $crate::event::family::Payload>::NAME,
                <$name as $crate::event::family::Payload>::VERSION,
            ),)*];

            fn type_version(&self) -> (&'static str, u16) {
                match self {$(
                    Self::$name(_) => (
                        <$name as $crate::event::family::Payload>::NAME,
                        <$name as $crate::event::family::Payload>::VERSION,
                    ),
                )*}
            }

            fn write_data<M: serde::ser::SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                match self { $(Self::$name(data) => map.serialize_entry("data", data),)* }
            }

            fn read_data<'de, A: serde::de::MapAccess<'de>>(
                type_name: &str,
                version: u16,
                map: &mut A,
            ) -> Result<Option<Self>, A::Error> {
                match (type_name, version) {
                    $((
                        <$name as $crate::event::family::Payload>::NAME,
                        <$name as $crate::event::family::Payload>::VERSION,
                    ) => map.next_value().map(|data| Some(Self::$name(data))),)*
                    _ => Ok(None),
                }
            }
        }
    };
}
pub(crate) use event_enum;

/// Declares a small family in one place: its payloads, and the enum over them.
macro_rules! event_family {
    ($(#[$family_doc:meta])* $family:ident {
        $($(#[$doc:meta])* $name:ident = $version:literal { $($fields:tt)* })*
    }) => {
        $crate::event::family::event_payloads! { $($(#[$doc])* $name = $version { $($fields)* })* }
        $crate::event::family::event_enum! { $(#[$family_doc])* $family { $($name,)* } }
    };
}
pub(crate) use event_family;
