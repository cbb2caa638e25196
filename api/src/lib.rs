//! Docket's outside: the engine, GraphQL over HTTP, and the command line.
//!
//! [`engine`] is the command path and the timers; [`graphql`] translates; [`http`] carries; [`import`] reads other desks'
//! histories; [`cli`] is the program `docket`. Only this crate knows the time, GraphQL and HTTP.

pub mod cli;
pub mod clock;
pub mod demo;
pub mod desk_file;
pub mod engine;
pub mod graphql;
mod holidays;
pub mod http;
pub mod import;
mod toml_error;
